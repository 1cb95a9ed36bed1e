"""Reads without locks, the sweeper's lease, evidence, sums and stories."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from common import ids
from common.database import Tx
from payment.domain import PAID, FeeRule, Payment, Status
from payment.store import rows

_BY_IDS = f"select {rows.SELECT} from payments where id = any(cast(:ids as uuid[]))"
_BY_ORDER = f"select {rows.SELECT} from payments where merchant_id = :merchant_id and order_id = :order_id"
_BY_ORDER_OF_ANYBODY = f"select {rows.SELECT} from payments where order_id = :order_id order by id limit 2"
_BY_INVOICE = f"select {rows.SELECT} from payments where id = (select payment_id from invoices where id = :id)"
_INVOICE_OF = "select id, invoice_number, issued_at from invoices where payment_id = :id"
_HISTORY_OF = "select seq, from_status, to_status, reason, actor, at from payment_history where payment_id = :id"
_ATTEMPTS_OF = """
select id, gateway_payment_id, status, reason, created_at, updated_at from payment_attempts
where payment_id = :id order by created_at
"""
_CALLS_OF = """
select operation, http_status, outcome, ms, at from gateway_calls where order_id = :order_id order by at limit 200
"""
_FEE_RULES = "select merchant_id, service_type, basis_points, minimum_minor, maximum_minor from fee_rules"
_LIST = """
select {columns} from payments
where merchant_id = :merchant_id and user_id = :user_id {filters}
order by id desc limit :limit offset :skip
"""
_DUE = """
update payments set next_check_at = :again, retry_count = retry_count + 1
where id in (
    select id from payments where next_check_at <= :now order by next_check_at limit :rows for no key update skip locked
)
returning id, merchant_id, order_id
"""
_SCHEDULE = """
update payments p set next_check_at = row.at
from unnest(cast(:ids as uuid[]), cast(:ats as timestamptz[])) as row (id, at)
where p.id = row.id and p.status in ('CREATED', 'PENDING', 'AUTHORIZING', 'PROCESSING') and p.review <> 'QUARANTINED'
"""
_CALLS = """
insert into gateway_calls (id, operation, order_id, http_status, outcome, ms, at)
select * from unnest(cast(:ids as uuid[]), cast(:operations as text[]), cast(:orders as text[]),
    cast(:statuses as integer[]), cast(:outcomes as text[]), cast(:ms as real[]), cast(:ats as timestamptz[]))
"""
_FORGET_CALLS = "delete from gateway_calls where id < uuid_floor(cast(:before as timestamptz))"
_TOTALS = """
select status, count(*) as number, sum(amount_minor) as minor, sum(credits_paid) as credits_paid,
       sum(credits_bonus) as credits_bonus, sum(net_minor) as net_minor, sum(gst_minor) as gst_minor
from payments group by status
"""
_TOTALS_MORE = """
select (select count(*) from invoices) as invoices, (select coalesce(sum(amount_minor), 0) from invoices) as invoiced,
       (select count(*) from transactions where status = 'CAPTURED') as captured,
       (select coalesce(sum(amount_minor), 0) from transactions where status = 'CAPTURED') as captured_minor,
       (select count(*) from transactions where status = 'DUPLICATE') as duplicates,
       (select count(*) from payments where review = 'QUARANTINED') as quarantined
"""


class Due(msgspec.Struct, frozen=True, gc=False):
    """A payment that the sweeper has leased."""

    payment_id: UUID
    merchant_id: str
    order_id: str


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a history is narrowed to; *before* is the last payment of the page before."""

    status: Status | None = None
    gateway: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None
    limit: int = 20
    skip: int = 0


async def by_ids(tx: Tx, payment_ids: Collection[UUID]) -> list[Payment]:
    return [rows.read(row) for row in await tx.execute(_BY_IDS, ids=list(payment_ids))]


async def by_order(tx: Tx, merchant_id: str, order_id: str) -> Payment | None:
    row = (await tx.execute(_BY_ORDER, merchant_id=merchant_id, order_id=order_id)).first()
    return rows.read(row) if row else None


async def by_order_of_anybody(tx: Tx, order_id: str) -> list[Payment]:
    """For operators: an order id is unique within a merchant only."""
    return [rows.read(row) for row in await tx.execute(_BY_ORDER_OF_ANYBODY, order_id=order_id)]


async def by_invoice(tx: Tx, invoice_id: UUID) -> Payment | None:
    row = (await tx.execute(_BY_INVOICE, id=invoice_id)).first()
    return rows.read(row) if row else None


async def listed(tx: Tx, merchant_id: str, user_id: str, wanted: Filters) -> list[Payment]:
    """A user's payments, newest first; one more than the limit when there are more."""
    filters: dict[str, Any] = {
        "status = :status": wanted.status.value if wanted.status else None,
        "gateway = :gateway": wanted.gateway or None,
        "created_at >= :since": wanted.since,
        "created_at < :until": wanted.until,
        "id < :before": wanted.before,
    }
    given = {text: value for text, value in filters.items() if value is not None}
    sql = _LIST.format(columns=rows.SELECT, filters="".join(f" and {text}" for text in given))
    params = {text.rpartition(":")[2]: value for text, value in given.items()}
    found = await tx.execute(
        sql, merchant_id=merchant_id, user_id=user_id, limit=wanted.limit + 1, skip=wanted.skip, **params
    )
    return [rows.read(row) for row in found]


async def take_due(tx: Tx, now: datetime, again: datetime, limit: int) -> list[Due]:
    """Lease what is due: it is due again at *again* unless it is scheduled or resolved before."""
    return [
        Due(row.id, row.merchant_id, row.order_id) for row in await tx.execute(_DUE, now=now, again=again, rows=limit)
    ]


async def schedule(tx: Tx, checks: Sequence[tuple[UUID, datetime]]) -> None:
    """Ask again at these times, as long as the payments are open."""
    if checks:
        ordered = sorted(checks)
        await tx.execute(_SCHEDULE, ids=[payment_id for payment_id, _ in ordered], ats=[at for _, at in ordered])


async def fee_rules(tx: Tx) -> list[FeeRule]:
    return [FeeRule(*row) for row in await tx.execute(_FEE_RULES)]


async def add_calls(tx: Tx, calls: Sequence[tuple[datetime, Any]]) -> None:
    """Keep what gateway calls came to; see gateways.GatewayCall."""
    await tx.execute(
        _CALLS,
        ids=[ids.new() for _ in calls],
        operations=[call.operation for _, call in calls],
        orders=[call.order_id for _, call in calls],
        statuses=[call.http_status for _, call in calls],
        outcomes=[call.outcome for _, call in calls],
        ms=[call.ms for _, call in calls],
        ats=[at for at, _ in calls],
    )


async def forget_calls(tx: Tx, now: datetime, age: timedelta) -> None:
    await tx.execute(_FORGET_CALLS, before=now - age)


async def history_of(tx: Tx, payment_id: UUID) -> Sequence[Any]:
    return (await tx.execute(_HISTORY_OF + " order by seq", id=payment_id)).all()


async def attempts_of(tx: Tx, payment_id: UUID) -> Sequence[Any]:
    return (await tx.execute(_ATTEMPTS_OF, id=payment_id)).all()


async def calls_of(tx: Tx, order_id: str) -> Sequence[Any]:
    return (await tx.execute(_CALLS_OF, order_id=order_id)).all()


async def invoice_of(tx: Tx, payment_id: UUID) -> Any | None:
    return (await tx.execute(_INVOICE_OF, id=payment_id)).first()


async def totals(tx: Tx) -> dict[str, int]:
    """Counts and sums for the comparison of books; see the README for the names."""
    # "paid" is what the books of wallet and ledger must agree with: every payment whose money is or was ours.
    sums: dict[str, int] = {}
    for what in ("count", "minor", "credits", "credits_paid", "credits_bonus", "net_minor", "gst_minor"):
        sums[f"payments.paid.{what}"] = 0
    for row in await tx.execute(_TOTALS):
        name = f"payments.{row.status.lower()}"
        sums[f"{name}.count"] = row.number
        sums[f"{name}.minor"] = int(row.minor)
        sums[f"{name}.credits"] = int(row.credits_paid + row.credits_bonus)
        sums[f"{name}.credits_paid"] = int(row.credits_paid)
        sums[f"{name}.credits_bonus"] = int(row.credits_bonus)
        sums[f"{name}.net_minor"] = int(row.net_minor)
        sums[f"{name}.gst_minor"] = int(row.gst_minor)
        if Status(row.status) in PAID:
            for what in ("count", "minor", "credits", "credits_paid", "credits_bonus", "net_minor", "gst_minor"):
                sums[f"payments.paid.{what}"] += sums[f"{name}.{what}"]
    more = (await tx.execute(_TOTALS_MORE)).one()
    return sums | {
        "invoices.count": more.invoices,
        "invoices.minor": int(more.invoiced),
        "transactions.captured.count": more.captured,
        "transactions.captured.minor": int(more.captured_minor),
        "transactions.duplicate.count": more.duplicates,
        "payments.quarantined.count": more.quarantined,
    }
