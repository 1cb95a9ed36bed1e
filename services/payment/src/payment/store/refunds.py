"""Refunds as they lie in their table: insert, save, read. A refund is written under its payment's lock only."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from common.database import Row, Tx
from common.money import Money
from gateways.refunds import RefundSpeed
from payment.domain.pricing import Credits, Tax
from payment.domain.refunds import Refund, RefundSource, RefundStatus, RefundTransition
from payment.domain.spent_credits import SpentCreditsPolicy


class _Column(msgspec.Struct, frozen=True):
    name: str
    type: str
    value: Callable[[Refund], Any]
    # Moves and facts change it; the rest is written once.
    changes: bool = False


_C = _Column
_COLUMNS: tuple[_Column, ...] = (
    _C("id", "uuid", lambda r: r.id),
    _C("payment_id", "uuid", lambda r: r.payment_id),
    _C("merchant_id", "text", lambda r: r.merchant_id),
    _C("gateway", "text", lambda r: r.gateway),
    _C("gateway_payment_id", "text", lambda r: r.gateway_payment_id),
    _C("receipt_id", "uuid", lambda r: r.receipt_id),
    _C("amount_minor", "bigint", lambda r: r.amount.minor),
    _C("currency", "text", lambda r: r.amount.currency),
    _C("net_minor", "bigint", lambda r: r.tax.net.minor),
    _C("cgst_minor", "bigint", lambda r: r.tax.cgst.minor),
    _C("sgst_minor", "bigint", lambda r: r.tax.sgst.minor),
    _C("igst_minor", "bigint", lambda r: r.tax.igst.minor),
    _C("credits_paid", "bigint", lambda r: r.credits.paid),
    _C("credits_bonus", "bigint", lambda r: r.credits.bonus),
    _C("policy", "text", lambda r: r.policy.value),
    _C("status", "text", lambda r: r.status.value, True),
    _C("reason", "text", lambda r: r.reason),
    _C("speed", "text", lambda r: r.speed.value),
    _C("source", "text", lambda r: r.source.value),
    _C("requested_by", "text", lambda r: r.requested_by),
    _C("hold_id", "text", lambda r: r.hold_id, True),
    _C("value_held_minor", "bigint", lambda r: r.value_held, True),
    _C("held_paid", "bigint", lambda r: r.held.paid, True),
    _C("held_bonus", "bigint", lambda r: r.held.bonus, True),
    _C("provider_refund_id", "text", lambda r: r.gateway_refund_id, True),
    _C("returned_payment_id", "text", lambda r: r.returned_payment_id, True),
    _C("bank_reference", "text", lambda r: r.bank_reference, True),
    _C("failure_reason", "text", lambda r: r.failure_reason, True),
    _C("seq", "integer", lambda r: r.seq, True),
    _C("retry_count", "integer", lambda r: r.checks, True),
    _C("next_check_at", "timestamptz", lambda r: r.next_check_at, True),
    _C("created_at", "timestamptz", lambda r: r.created_at),
    _C("succeeded_at", "timestamptz", lambda r: r.succeeded_at, True),
    _C("updated_at", "timestamptz", lambda r: r.updated_at, True),
)
_CHANGING = (_COLUMNS[0], *(column for column in _COLUMNS if column.changes))
SELECT = ", ".join(column.name for column in _COLUMNS)


def _unnest(columns: Sequence[_Column]) -> str:
    types = ", ".join(f"cast(:{column.name} as {column.type}[])" for column in columns)
    return f"unnest({types}) as row ({', '.join(column.name for column in columns)})"


_INSERT = f"insert into refunds ({SELECT}) select * from {_unnest(_COLUMNS)}"
_SAVE = f"""
update refunds r set {", ".join(f"{column.name} = row.{column.name}" for column in _CHANGING[1:])}
from {_unnest(_CHANGING)}
where r.id = row.id
"""
_HISTORY = """
insert into refund_history (refund_id, seq, from_status, to_status, reason, actor, at)
select * from unnest(cast(:ids as uuid[]), cast(:seqs as integer[]), cast(:befores as text[]), cast(:afters as text[]),
                     cast(:reasons as text[]), cast(:actors as text[]), cast(:ats as timestamptz[]))
"""
_OF_PAYMENTS = f"select {SELECT} from refunds where payment_id = any(cast(:ids as uuid[])) order by id"
_BY_IDS = f"select {SELECT} from refunds where id = any(cast(:ids as uuid[]))"
_PAYMENTS_OF = "select id, payment_id from refunds where id = any(cast(:ids as uuid[]))"
_TRANSITIONS_OF = """
select h.refund_id, h.from_status, h.to_status, h.reason, h.actor, h.at
from refund_history h join refunds r on r.id = h.refund_id
where r.payment_id = :payment_id order by h.at, h.refund_id, h.seq
"""
# Due again at :again unless the result sets another time: a process that dies delays it by that.
_DUE = f"""
update refunds set next_check_at = :again, retry_count = retry_count + 1
where id in (select id from refunds where next_check_at <= :now
             order by next_check_at limit :rows for no key update skip locked)
returning {SELECT}
"""


async def add(tx: Tx, refunds: Sequence[Refund]) -> None:
    if refunds:
        ordered = sorted(refunds, key=lambda refund: refund.id)
        await tx.execute(_INSERT, **_values(_COLUMNS, ordered))


async def save(tx: Tx, refunds: Sequence[Refund]) -> None:
    if refunds:
        ordered = sorted(refunds, key=lambda refund: refund.id)
        await tx.execute(_SAVE, **_values(_CHANGING, ordered))


async def add_history(tx: Tx, transitions: Sequence[RefundTransition]) -> None:
    if transitions:
        await tx.write(
            "refund_history",
            _HISTORY,
            ids=[each.refund_id for each in transitions],
            seqs=[each.seq for each in transitions],
            befores=[each.from_status.value if each.from_status else None for each in transitions],
            afters=[each.to_status.value for each in transitions],
            reasons=[each.reason for each in transitions],
            actors=[each.actor for each in transitions],
            ats=[each.at for each in transitions],
        )


async def refunds_of(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, list[Refund]]:
    """The refunds of these payments and of their receipts, oldest first."""
    refunds: dict[UUID, list[Refund]] = {}
    if payment_ids:
        for row in await tx.execute(_OF_PAYMENTS, ids=sorted(payment_ids)):
            refunds.setdefault(row.payment_id, []).append(read(row))
    return refunds


async def refunds_by_id(tx: Tx, refund_ids: Collection[UUID]) -> dict[UUID, Refund]:
    rows = await tx.execute(_BY_IDS, ids=sorted(refund_ids)) if refund_ids else ()
    return {row.id: read(row) for row in rows}


async def payments_of(tx: Tx, refund_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """The payment of each refund, to be locked before the refund is read; it never changes."""
    rows = await tx.execute(_PAYMENTS_OF, ids=sorted(refund_ids)) if refund_ids else ()
    return {row.id: row.payment_id for row in rows}


async def transitions_of(tx: Tx, payment_id: UUID) -> Sequence[Row]:
    return (await tx.execute(_TRANSITIONS_OF, payment_id=payment_id)).all()


async def lease_due(tx: Tx, now: datetime, due_again_at: datetime, limit: int) -> list[Refund]:
    """Lease the refunds whose check is due."""
    return [read(row) for row in await tx.execute(_DUE, now=now, again=due_again_at, rows=limit)]


def _values(columns: Sequence[_Column], refunds: Sequence[Refund]) -> dict[str, list[Any]]:
    return {column.name: [column.value(refund) for refund in refunds] for column in columns}


def read(row: Row) -> Refund:
    currency = row.currency
    return Refund(
        id=row.id,
        payment_id=row.payment_id,
        merchant_id=row.merchant_id,
        gateway=row.gateway,
        gateway_payment_id=row.gateway_payment_id,
        receipt_id=row.receipt_id,
        amount=Money(row.amount_minor, currency),
        tax=Tax(
            Money(row.net_minor, currency),
            Money(row.cgst_minor, currency),
            Money(row.sgst_minor, currency),
            Money(row.igst_minor, currency),
        ),
        credits=Credits(row.credits_paid, row.credits_bonus),
        policy=SpentCreditsPolicy(row.policy),
        status=RefundStatus(row.status),
        reason=row.reason,
        speed=RefundSpeed(row.speed),
        source=RefundSource(row.source),
        requested_by=row.requested_by,
        hold_id=row.hold_id,
        value_held=row.value_held_minor,
        held=Credits(row.held_paid, row.held_bonus),
        gateway_refund_id=row.provider_refund_id,
        returned_payment_id=row.returned_payment_id,
        bank_reference=row.bank_reference,
        failure_reason=row.failure_reason,
        seq=row.seq,
        checks=row.retry_count,
        next_check_at=row.next_check_at,
        created_at=row.created_at,
        succeeded_at=row.succeeded_at,
        updated_at=row.updated_at,
    )
