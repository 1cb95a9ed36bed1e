"""Receipts: one statement for each batch, and what a refund of one changes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from common.database import Row, Tx
from common.money import Money
from payment.domain.receipts import Receipt, ReceiptReason

_ADD = """
insert into receipts (id, payment_id, merchant_id, gateway, gateway_payment_id, reason, amount_minor, currency,
    payment_method, payment_group, bank_reference, received_at, refund_due_at, announced_at)
select *, :now from unnest(cast(:ids as uuid[]), cast(:payment_ids as uuid[]), cast(:merchants as text[]),
    cast(:gateways as text[]), cast(:gateway_payment_ids as text[]), cast(:reasons as text[]),
    cast(:amounts as bigint[]), cast(:currencies as text[]), cast(:methods as text[]), cast(:groups as text[]),
    cast(:banks as text[]), cast(:received as timestamptz[]), cast(:dues as timestamptz[]))
"""
_SAVE = """
update receipts r set applied_minor = row.applied, refunded_minor = row.refunded,
    gateway_refund_id = row.gateway_refund_id, refund_id = row.refund_id, refund_due_at = row.due_at
from unnest(cast(:ids as uuid[]), cast(:applied as bigint[]), cast(:refunded as bigint[]),
            cast(:gateway_refund_ids as text[]), cast(:refund_ids as uuid[]), cast(:dues as timestamptz[]))
    as row (id, applied, refunded, gateway_refund_id, refund_id, due_at)
where r.id = row.id
"""
# A receipt is changed under its payment's lock only, so that the rows need none of their own.
_OF_PAYMENTS = "select * from receipts where payment_id = any(cast(:ids as uuid[])) order by id"
# The last condition is the partial index's: a plan for any refund id uses it only when it is said.
_REFUND_TAKEN = """
select 1 from receipts where gateway = :gateway and gateway_refund_id = :refund_id and gateway_refund_id <> ''
"""
# What a migration found and could not announce.
_UNANNOUNCED = """
update receipts set announced_at = :now
where id in (select id from receipts where announced_at is null order by id limit :rows for update skip locked)
returning *
"""
_TRANSACTION_OF = """
update transactions set status = :status
where payment_id = :payment_id and provider_transaction_id = :gateway_payment_id and status in ('DUPLICATE', 'REFUNDED')
    and status <> :status
"""
# Locked by their payments afterwards, and read again there.
_REFUND_DUE = """
select payment_id from receipts where refund_due_at <= :now order by refund_due_at, id limit :rows
"""


async def add_receipts(tx: Tx, receipts: Sequence[Receipt], now: datetime) -> None:
    """Insert receipts that are announced in this transaction."""
    if not receipts:
        return
    ordered = sorted(receipts, key=lambda each: (each.gateway, each.gateway_payment_id))
    await tx.write(
        "receipts",
        _ADD,
        ids=[each.id for each in ordered],
        payment_ids=[each.payment_id for each in ordered],
        merchants=[each.merchant_id for each in ordered],
        gateways=[each.gateway for each in ordered],
        gateway_payment_ids=[each.gateway_payment_id for each in ordered],
        reasons=[each.reason.value for each in ordered],
        amounts=[each.amount.minor for each in ordered],
        currencies=[each.amount.currency for each in ordered],
        methods=[each.method for each in ordered],
        groups=[each.group for each in ordered],
        banks=[each.bank_reference for each in ordered],
        received=[each.received_at for each in ordered],
        dues=[each.refund_due_at for each in ordered],
        now=now,
    )


async def save_receipts(tx: Tx, receipts: Sequence[Receipt]) -> None:
    if receipts:
        ordered = sorted(receipts, key=lambda each: each.id)
        await tx.write(
            "receipts",
            _SAVE,
            ids=[each.id for each in ordered],
            applied=[each.applied_minor for each in ordered],
            refunded=[each.refunded_minor for each in ordered],
            gateway_refund_ids=[each.gateway_refund_id for each in ordered],
            refund_ids=[each.refund_id for each in ordered],
            dues=[each.refund_due_at for each in ordered],
        )


async def receipts_of(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, list[Receipt]]:
    """The receipts of these payments, oldest first."""
    receipts: dict[UUID, list[Receipt]] = {}
    if payment_ids:
        for row in await tx.execute(_OF_PAYMENTS, ids=sorted(payment_ids)):
            receipts.setdefault(row.payment_id, []).append(read(row))
    return receipts


async def refund_id_taken(tx: Tx, gateway: str, gateway_refund_id: str) -> bool:
    """Whether another receipt names this refund of the gateway."""
    rows = await tx.execute(_REFUND_TAKEN, gateway=gateway, refund_id=gateway_refund_id)
    return bool(rows)


async def mark_transaction(tx: Tx, receipt: Receipt) -> None:
    """A second capture that went back is REFUNDED; one whose money came back is a DUPLICATE again."""
    await tx.execute(
        _TRANSACTION_OF,
        payment_id=receipt.payment_id,
        gateway_payment_id=receipt.gateway_payment_id,
        status="REFUNDED" if receipt.refunded_minor else "DUPLICATE",
    )


async def payments_with_refunds_due(tx: Tx, now: datetime, limit: int) -> list[UUID]:
    """The payments of the receipts that the policy gives back by *now*, longest due first."""
    return list((await tx.execute(_REFUND_DUE, now=now, rows=limit)).scalars())


async def take_unannounced(tx: Tx, now: datetime, limit: int) -> list[Receipt]:
    """Receipts that are not announced yet; they count as announced with this transaction."""
    return [read(row) for row in await tx.execute(_UNANNOUNCED, now=now, rows=limit)]


def read(row: Row) -> Receipt:
    return Receipt(
        id=row.id,
        payment_id=row.payment_id,
        merchant_id=row.merchant_id,
        gateway=row.gateway,
        gateway_payment_id=row.gateway_payment_id,
        reason=ReceiptReason(row.reason),
        amount=Money(row.amount_minor, row.currency),
        applied_minor=row.applied_minor,
        refunded_minor=row.refunded_minor,
        gateway_refund_id=row.gateway_refund_id,
        refund_id=row.refund_id,
        refund_due_at=row.refund_due_at,
        method=row.payment_method,
        group=row.payment_group,
        bank_reference=row.bank_reference,
        received_at=row.received_at,
    )
