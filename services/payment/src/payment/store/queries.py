"""Reads without locks: payments by their ids, a user's history, what a timeline is made of."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Select, select, text

from common import statements
from common.database import Row, Tx
from common.idempotency import Key
from payment.domain.history import HistoryFilter
from payment.domain.payments import Payment
from payment.store import payment_rows
from payment.store.tables import payments

_BY_IDS = f"select {payment_rows.SELECT} from payments where id = any(cast(:ids as uuid[]))"
_BY_ORDER = f"select {payment_rows.SELECT} from payments where merchant_id = :merchant_id and order_id = :order_id"
_BY_ORDER_ANY_MERCHANT = f"select {payment_rows.SELECT} from payments where order_id = :order_id order by id limit 2"
_BY_INVOICE = f"select {payment_rows.SELECT} from payments where id = (select payment_id from invoices where id = :id)"
_BY_KEYS = f"""
select {payment_rows.SELECT}
from unnest(cast(:merchants as text[]), cast(:users as text[]), cast(:keys as text[]))
     as scope (of_merchant, of_user, of_key)
join payments on merchant_id = of_merchant and user_id = of_user and idempotency_key = of_key and idempotency_key <> ''
"""
_FINGERPRINT = """
select md5(coalesce(string_agg(concat_ws(' ', p.id, p.seq, p.updated_at, r.refunds, r.changed_at), ','
                               order by p.id desc), '')) as fingerprint
from (select id, seq, updated_at from payments
      where user_id = :user_id and merchant_id = :merchant_id order by id desc limit :rows) p
cross join lateral (select count(*) as refunds, max(updated_at) as changed_at
                    from refunds where payment_id = p.id) r
"""
_REFUND_STATUSES = """
select payment_id, refund_status from payment_refunds where payment_id = any(cast(:ids as uuid[]))
"""
_TRANSITIONS_OF = """
select seq, from_status, to_status, reason, actor, at from payment_history where payment_id = :id order by seq
"""
_ATTEMPTS_OF = """
select id, gateway_payment_id, status, reason, payment_method, amount_minor, currency, created_at, updated_at
from payment_attempts where payment_id = :id order by created_at
"""
_STORED_RESPONSE = """
select status, response from idempotency_keys
where merchant_id = :merchant_id and user_id = :user_id and route = :route and key = :key and state = 'COMPLETED'
  and subject = :subject
"""


async def payments_by_id(tx: Tx, payment_ids: Collection[UUID]) -> list[Payment]:
    return [payment_rows.read(row) for row in await tx.execute(_BY_IDS, ids=list(payment_ids))]


async def payments_by_key(tx: Tx, keys: Collection[Key]) -> list[Payment]:
    """The payments that were made under these idempotency keys, however long ago."""
    rows = await tx.execute(
        _BY_KEYS,
        merchants=[key.merchant_id for key in keys],
        users=[key.user_id for key in keys],
        keys=[key.key for key in keys],
    )
    return [payment_rows.read(row) for row in rows]


async def payment_by_order(tx: Tx, merchant_id: str, order_id: str) -> Payment | None:
    row = (await tx.execute(_BY_ORDER, merchant_id=merchant_id, order_id=order_id)).first()
    return payment_rows.read(row) if row else None


async def payments_by_order_any_merchant(tx: Tx, order_id: str) -> list[Payment]:
    """For operators: an order id is unique within a merchant and an account only. Two at most."""
    return [payment_rows.read(row) for row in await tx.execute(_BY_ORDER_ANY_MERCHANT, order_id=order_id)]


async def payment_by_invoice(tx: Tx, invoice_id: UUID) -> Payment | None:
    row = (await tx.execute(_BY_INVOICE, id=invoice_id)).first()
    return payment_rows.read(row) if row else None


async def history(tx: Tx, merchant_id: str, wanted: HistoryFilter) -> list[Payment]:
    """The payments of one page, and one more when there are more."""
    return [payment_rows.read(row) for row in await statements.run(tx, _history(merchant_id, wanted))]


def _history(merchant_id: str, wanted: HistoryFilter) -> Select[tuple[object, ...]]:
    statement = (
        select(text(payment_rows.SELECT))
        .select_from(payments)
        .where(payments.c.merchant_id == merchant_id, payments.c.user_id == wanted.user_id)
        .order_by(payments.c.id.desc())
        .limit(wanted.limit + 1)
        .offset(wanted.skip)
    )
    if wanted.status is not None:
        statement = statement.where(payments.c.status == wanted.status.value)
    if wanted.gateway:
        statement = statement.where(payments.c.gateway == wanted.gateway)
    if wanted.since is not None:
        statement = statement.where(payments.c.created_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(payments.c.created_at < wanted.until)
    if wanted.before is not None:
        statement = statement.where(payments.c.id < wanted.before)
    return statement


async def history_fingerprint(tx: Tx, merchant_id: str, user_id: str, rows: int) -> bytes:
    """Another one whenever one of the user's latest *rows* payments, or a refund of one, is new or changed."""
    row = (await tx.execute(_FINGERPRINT, merchant_id=merchant_id, user_id=user_id, rows=rows)).one()
    return bytes.fromhex(row.fingerprint)


async def refund_statuses(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, str]:
    """NOT_REQUESTED, REQUESTED or COMPLETED by payment."""
    if not payment_ids:
        return {}
    rows = await tx.execute(_REFUND_STATUSES, ids=sorted(payment_ids))
    return {row.payment_id: row.refund_status for row in rows}


async def transitions_of(tx: Tx, payment_id: UUID) -> Sequence[Row]:
    return (await tx.execute(_TRANSITIONS_OF, id=payment_id)).all()


async def attempts_of(tx: Tx, payment_id: UUID) -> Sequence[Row]:
    return (await tx.execute(_ATTEMPTS_OF, id=payment_id)).all()


async def stored_response(tx: Tx, key: Key, payment_id: UUID) -> tuple[int, bytes] | None:
    """Status and body of the final answer to the request that made this payment; None while there is none."""
    row = (
        await tx.execute(
            _STORED_RESPONSE,
            merchant_id=key.merchant_id,
            user_id=key.user_id,
            route=key.route,
            key=key.key,
            subject=payment_id,
        )
    ).first()
    return (row.status, row.response) if row else None
