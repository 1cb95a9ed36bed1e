"""Disputes, their moves and evidence; which payments' disputes are due to be read. Locked by their payments."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Select, select

from common import statements
from common.database import Row, Tx
from common.money import Money
from gateways.disputes import DisputeStatus
from payment.domain.disputes import Announced, Dispute, DisputeFilter, DisputeTransition, Evidence
from payment.domain.pricing import Credits, Tax
from payment.domain.states import Status
from payment.store.tables import disputes as disputes_table

_COLUMNS = (
    "id", "payment_id", "merchant_id", "gateway_account_id", "gateway_dispute_id", "round", "status", "announced",
    "amount_minor", "currency", "net_minor", "cgst_minor", "sgst_minor", "igst_minor", "credits_paid", "credits_bonus",
    "reason_code", "respond_by", "gateway_updated_at", "status_before", "hold_id", "value_held", "fee_minor", "seq",
    "created_at", "updated_at",
)  # fmt: skip
_NEVER_CHANGED = frozenset({"id", "payment_id", "merchant_id", "gateway_account_id", "gateway_dispute_id", "round"})
_SAVE = f"""
insert into disputes ({", ".join(_COLUMNS)}) values ({", ".join(f":{name}" for name in _COLUMNS)})
on conflict (id) do update set {
    ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in _NEVER_CHANGED)
}
"""
_OF_PAYMENTS = "select * from disputes where payment_id = any(cast(:ids as uuid[])) order by id"
_PAYMENTS_OF = "select id, payment_id from disputes where id = any(cast(:ids as uuid[]))"
_ONE = "select * from disputes where id = :id"
_CHANGED = """
select * from disputes
where updated_at >= :since and updated_at < :until and (updated_at, id) > (:after_at, :after_id)
order by updated_at, id limit :rows
"""
_HISTORY = """
insert into dispute_history (dispute_id, seq, from_status, to_status, at)
values (:dispute_id, :seq, :from_status, :to_status, :at)
"""
_TRANSITIONS_OF = """
select dispute_id, from_status, to_status, at from dispute_history
where dispute_id = any(cast(:ids as uuid[])) order by at, dispute_id, seq
"""
_ADD_EVIDENCE = """
insert into dispute_evidence (id, dispute_id, note, file_reference, actor_id, at)
values (:id, :dispute_id, :note, :file_reference, :actor_id, :at)
on conflict (dispute_id, note, file_reference) do nothing
returning id
"""
_EVIDENCE = "select * from dispute_evidence where dispute_id = any(cast(:ids as uuid[])) order by id"
# Due soon; a check that is due earlier stays so.
_WATCH = """
insert into dispute_checks as c (payment_id, due_at)
select id, :due_at from unnest(cast(:ids as uuid[])) as row (id) order by id
on conflict (payment_id) do update set due_at = least(c.due_at, excluded.due_at)
"""
_DUE = """
update dispute_checks set due_at = :again
where payment_id in (select payment_id from dispute_checks where due_at <= :now
                     order by due_at limit :rows for no key update skip locked)
returning payment_id
"""
# Only what nobody asked for meanwhile.
_SCHEDULE = """
update dispute_checks set due_at = :at where payment_id = any(cast(:ids as uuid[])) and due_at = :leased
"""
_FORGET = "delete from dispute_checks where payment_id = any(cast(:ids as uuid[])) and due_at = :leased"
_NEAR_DEADLINE = """
update disputes set deadline_alerted_at = :now
where id in (select id from disputes
             where status = 'OPEN' and deadline_alerted_at is null and respond_by <= :before
             order by respond_by limit :rows for no key update skip locked)
returning *
"""
_REFUNDED = """
select payment_id, sum(amount_minor) as minor from refunds
where payment_id = any(cast(:ids as uuid[])) and status = 'SUCCESS' and receipt_id is null group by payment_id
"""
_SETTLED = "select id from payments where id = any(cast(:ids as uuid[])) and settlement_status = 'SETTLED'"
_LOST = """
select payment_id, sum(amount_minor) as minor from disputes
where payment_id = any(cast(:ids as uuid[])) and status = 'LOST' group by payment_id
"""


async def of_payments(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, list[Dispute]]:
    """By payment, oldest first."""
    disputes: dict[UUID, list[Dispute]] = {}
    if payment_ids:
        for row in await tx.execute(_OF_PAYMENTS, ids=sorted(payment_ids)):
            disputes.setdefault(row.payment_id, []).append(_read(row))
    return disputes


async def payments_of(tx: Tx, dispute_ids: Collection[UUID]) -> dict[UUID, UUID]:
    return {row.id: row.payment_id for row in await tx.execute(_PAYMENTS_OF, ids=sorted(dispute_ids))}


async def transitions_of(tx: Tx, dispute_ids: Collection[UUID]) -> Sequence[Row]:
    return (await tx.execute(_TRANSITIONS_OF, ids=sorted(dispute_ids))).all()


async def find(tx: Tx, dispute_id: UUID) -> Dispute | None:
    row = (await tx.execute(_ONE, id=dispute_id)).first()
    return _read(row) if row else None


async def changed(tx: Tx, since: datetime, until: datetime, after: tuple[datetime, UUID], limit: int) -> list[Dispute]:
    rows = await tx.execute(_CHANGED, since=since, until=until, after_at=after[0], after_id=after[1], rows=limit)
    return [_read(row) for row in rows]


async def page(tx: Tx, filter: DisputeFilter) -> list[Dispute]:
    """A merchant's disputes, newest first."""
    return [_read(row) for row in await statements.run(tx, _page(filter))]


def _page(filter: DisputeFilter) -> Select[tuple[object, ...]]:
    table = disputes_table
    statement = select(table).where(table.c.merchant_id == filter.merchant_id).order_by(table.c.id.desc())
    if filter.status is not None:
        statement = statement.where(table.c.status == filter.status)
    if filter.before is not None:
        statement = statement.where(table.c.id < filter.before)
    return statement.limit(filter.limit)


async def save(tx: Tx, disputes: Sequence[Dispute], transitions: Sequence[DisputeTransition]) -> None:
    """Disputes are rare: one statement each."""
    for dispute in disputes:
        await tx.execute(_SAVE, **_line(dispute))
    for each in transitions:
        await tx.execute(
            _HISTORY,
            dispute_id=each.dispute_id,
            seq=each.seq,
            from_status=each.from_status.value if each.from_status else None,
            to_status=each.to_status.value,
            at=each.at,
        )


async def add_evidence(tx: Tx, evidence: Evidence) -> bool:
    """Whether it is new; the same note about the same file is kept once."""
    return (await tx.execute(_ADD_EVIDENCE, **msgspec.structs.asdict(evidence))).first() is not None


async def evidence_of(tx: Tx, dispute_ids: Collection[UUID]) -> dict[UUID, list[Evidence]]:
    evidence: dict[UUID, list[Evidence]] = {}
    if dispute_ids:
        for row in await tx.execute(_EVIDENCE, ids=sorted(dispute_ids)):
            found = Evidence(
                id=row.id,
                dispute_id=row.dispute_id,
                note=row.note,
                file_reference=row.file_reference,
                actor_id=row.actor_id,
                at=row["at"],
            )
            evidence.setdefault(row.dispute_id, []).append(found)
    return evidence


async def watch(tx: Tx, payment_ids: Collection[UUID], due_at: datetime) -> None:
    """Read the disputes of these payments at *due_at* or, where that is set already, earlier."""
    if payment_ids:
        await tx.execute(_WATCH, ids=sorted(payment_ids), due_at=due_at)


async def lease_due(tx: Tx, now: datetime, due_again_at: datetime, limit: int) -> list[UUID]:
    """Lease what is due: it is due again at *due_again_at* unless it is scheduled before."""
    return list((await tx.execute(_DUE, now=now, again=due_again_at, rows=limit)).scalars())


async def schedule(tx: Tx, payment_ids: Collection[UUID], leased: datetime, at: datetime) -> None:
    if payment_ids:
        await tx.execute(_SCHEDULE, ids=sorted(payment_ids), leased=leased, at=at)


async def forget(tx: Tx, payment_ids: Collection[UUID], leased: datetime) -> None:
    if payment_ids:
        await tx.execute(_FORGET, ids=sorted(payment_ids), leased=leased)


async def take_near_deadline(tx: Tx, now: datetime, notice: timedelta, limit: int) -> list[Dispute]:
    """Those that nobody has answered and that are to be answered soon, each once."""
    return [_read(row) for row in await tx.execute(_NEAR_DEADLINE, now=now, before=now + notice, rows=limit)]


async def refunded(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, int]:
    """What of these payments was refunded, in minor units."""
    return {row.payment_id: int(row.minor) for row in await tx.execute(_REFUNDED, ids=sorted(payment_ids))}


async def lost(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, int]:
    """What of these payments disputes took that were lost, in minor units."""
    return {row.payment_id: int(row.minor) for row in await tx.execute(_LOST, ids=sorted(payment_ids))}


async def settled(tx: Tx, payment_ids: Collection[UUID]) -> set[UUID]:
    """Which of these payments the gateway has paid out."""
    return set((await tx.execute(_SETTLED, ids=sorted(payment_ids))).scalars()) if payment_ids else set()


def _line(dispute: Dispute) -> dict[str, object]:
    own = {name: getattr(dispute, name) for name in _COLUMNS if name in Dispute.__struct_fields__}
    return own | {
        "status": dispute.status.value,
        "announced": dispute.announced.value,
        "amount_minor": dispute.amount.minor,
        "currency": dispute.amount.currency,
        "net_minor": dispute.tax.net.minor,
        "cgst_minor": dispute.tax.cgst.minor,
        "sgst_minor": dispute.tax.sgst.minor,
        "igst_minor": dispute.tax.igst.minor,
        "credits_paid": dispute.credits.paid,
        "credits_bonus": dispute.credits.bonus,
        "status_before": dispute.status_before.value if dispute.status_before else "",
    }


def _read(row: Row) -> Dispute:
    currency = row["currency"]
    return Dispute(
        id=row["id"],
        payment_id=row["payment_id"],
        merchant_id=row["merchant_id"],
        gateway_account_id=row["gateway_account_id"],
        gateway_dispute_id=row["gateway_dispute_id"],
        round=row["round"],
        status=DisputeStatus(row["status"]),
        announced=Announced(row["announced"]),
        amount=Money(row["amount_minor"], currency),
        tax=Tax(
            net=Money(row["net_minor"], currency),
            cgst=Money(row["cgst_minor"], currency),
            sgst=Money(row["sgst_minor"], currency),
            igst=Money(row["igst_minor"], currency),
        ),
        credits=Credits(row["credits_paid"], row["credits_bonus"]),
        reason_code=row["reason_code"],
        respond_by=row["respond_by"],
        gateway_updated_at=row["gateway_updated_at"],
        status_before=Status(row["status_before"]) if row["status_before"] else None,
        hold_id=row["hold_id"],
        value_held=row["value_held"],
        fee_minor=row["fee_minor"],
        seq=row["seq"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
