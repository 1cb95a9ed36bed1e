"""Lock, insert and save payments and what belongs to them: one statement for each table and batch.

Payments are locked in the order of their ids, inserted in the order of their order ids.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from common import context, ids
from common.database import Row, Rows, Tx
from common.idempotency import Key
from gateways import PaymentAttempt
from payment.domain.decisions import Decision, Transaction
from payment.domain.orders import ATTEMPT_RANK, OrderKey
from payment.domain.payments import Payment, Transition
from payment.store import payment_rows

_LOCK = f"""
select {payment_rows.SELECT} from payments where id = any(cast(:ids as uuid[])) order by id for no key update
"""
# The order ids are looked up first and the rows locked by their own ids: everybody locks in one order. One index probe
# per order: no other index of all rows begins with the account, so no plan reads more, whenever it was made.
_LOCK_ORDERS = f"""
select {payment_rows.SELECT} from payments
where id = any(array(
    select existing.id
    from unnest(cast(:accounts as text[]), cast(:orders as text[])) as wanted (gateway_account_id, order_id)
    cross join lateral (select p.id from payments p
                        where p.gateway_account_id = wanted.gateway_account_id and p.order_id = wanted.order_id
                        limit 1) as existing))
order by id for no key update
"""
_HISTORY = """
insert into payment_history (payment_id, seq, from_status, to_status, reason, actor, at)
select * from unnest(cast(:ids as uuid[]), cast(:seqs as integer[]), cast(:befores as text[]), cast(:afters as text[]),
                     cast(:reasons as text[]), cast(:actors as text[]), cast(:ats as timestamptz[]))
"""
_ATTEMPTS = """
insert into payment_attempts as a (id, payment_id, gateway, gateway_payment_id, status, rank, amount_minor, currency,
    payment_method, payment_group, bank_reference, reason, created_at, updated_at, confirmed_at)
select id, payment_id, gateway, gateway_payment_id, status, rank, amount_minor, currency, payment_method, payment_group,
       bank_reference, reason, at, at, confirmed_at
from unnest(cast(:ids as uuid[]), cast(:payment_ids as uuid[]), cast(:gateways as text[]),
            cast(:gateway_payment_ids as text[]),
            cast(:statuses as text[]), cast(:ranks as smallint[]), cast(:amounts as bigint[]),
            cast(:currencies as text[]), cast(:methods as text[]), cast(:groups as text[]), cast(:banks as text[]),
            cast(:reasons as text[]), cast(:ats as timestamptz[]), cast(:confirmed_ats as timestamptz[]))
     as row (id, payment_id, gateway, gateway_payment_id, status, rank, amount_minor, currency, payment_method,
             payment_group, bank_reference, reason, at, confirmed_at)
order by gateway, gateway_payment_id
on conflict (gateway, gateway_payment_id) do update
    set payment_id = excluded.payment_id, confirmed_at = excluded.confirmed_at,
        status = excluded.status, rank = excluded.rank, reason = excluded.reason, updated_at = excluded.updated_at,
        payment_method = excluded.payment_method, payment_group = excluded.payment_group,
        bank_reference = excluded.bank_reference, amount_minor = excluded.amount_minor, currency = excluded.currency
    where (a.rank < excluded.rank and a.payment_id = excluded.payment_id)
       or (a.confirmed_at is null and excluded.confirmed_at is not null)
returning gateway_payment_id
"""
_TRANSACTIONS = """
insert into transactions (id, payment_id, merchant_id, gateway, provider_transaction_id, bank_reference,
    gateway_response, amount_minor, currency, status, created_at, confirmed_at, confirmation_due_at)
select id, payment_id, merchant_id, gateway, provider_id, bank, cast(response as jsonb), amount, currency, status, at,
       confirmed_at, cast(:due_at as timestamptz)
from unnest(cast(:ids as uuid[]), cast(:payment_ids as uuid[]), cast(:merchants as text[]), cast(:gateways as text[]),
            cast(:provider_ids as text[]), cast(:banks as text[]), cast(:responses as text[]),
            cast(:amounts as bigint[]), cast(:currencies as text[]), cast(:statuses as text[]),
            cast(:ats as timestamptz[]), cast(:confirmed_ats as timestamptz[]))
     as row (id, payment_id, merchant_id, gateway, provider_id, bank, response, amount, currency, status, at,
             confirmed_at)
"""
_CAPTURES = """
select payment_id, gateway_payment_id, bool_and(confirmed) as confirmed
from (select payment_id, provider_transaction_id, confirmed_at is not null from transactions
      where payment_id = any(cast(:ids as uuid[]))
      union all
      select payment_id, gateway_payment_id, true from receipts where payment_id = any(cast(:ids as uuid[])))
     as recorded (payment_id, gateway_payment_id, confirmed)
group by payment_id, gateway_payment_id
"""
# A failed attempt is announced to fraud once, however often webhooks and lists show it.
_FAILURES = """
update payment_attempts set failure_announced_at = :now
where gateway_payment_id = any(cast(:gateway_payment_ids as text[])) and payment_id = any(cast(:payment_ids as uuid[]))
  and status = 'FAILED' and failure_announced_at is null
returning payment_id, gateway_payment_id, reason
"""
# The lease is for a request that is at work; this one has answered that the outcome is unknown.
_RELEASE_LEASE = """
update idempotency_keys set leased_until = now()
where merchant_id = :merchant_id and user_id = :user_id and route = :route and key = :key and state = 'STARTED'
"""

_json = msgspec.json.Encoder().encode


async def insert_payments(tx: Tx, payments: Sequence[Payment]) -> set[UUID]:
    """Insert what is new; the ids that went in. Those left out have an order id or a key that was used before."""
    if not payments:
        return set()
    # An order id is unique in its account and for its merchant: sorted by it, both indexes are filled in one order.
    ordered = sorted(payments, key=lambda payment: (payment.order_id, payment.merchant_id))
    return set((await tx.execute(payment_rows.INSERT, **payment_rows.inserted(ordered))).scalars())


async def lock_payments(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, Payment]:
    """The payments as they are now; nobody else may change them until *tx* ends."""
    if not payment_ids:
        return {}
    rows = await tx.execute(_LOCK, ids=sorted(payment_ids))
    return {payment.id: payment for payment in _noted(tx, rows)}


async def lock_orders(tx: Tx, orders: Collection[OrderKey]) -> dict[OrderKey, Payment]:
    """The payments of these orders, locked."""
    if not orders:
        return {}
    rows = await tx.execute(
        _LOCK_ORDERS,
        accounts=[order.gateway_account_id for order in orders],
        orders=[order.order_id for order in orders],
    )
    return {payment.order_key: payment for payment in _noted(tx, rows)}


def _noted(tx: Tx, rows: Rows) -> list[Payment]:
    """The payments in *rows*; what *tx* announces about each keeps the ids of the request that made it."""
    payments = [payment_rows.read(row) for row in rows]
    tx.contexts |= {ids.encode("pay", payment.id): payment_rows.event_context(payment) for payment in payments}
    if len(payments) == 1:
        [payment] = payments
        context.note(payment_id=ids.encode("pay", payment.id), order_id=payment.order_id, user_id=payment.user_id)
    return payments


async def save_payments(tx: Tx, payments: Sequence[Payment]) -> None:
    if payments:
        await tx.write("payments", payment_rows.SAVE, **payment_rows.saved(payments))


async def add_history(tx: Tx, transitions: Sequence[Transition]) -> None:
    if transitions:
        await tx.write(
            "payment_history",
            _HISTORY,
            ids=[each.payment_id for each in transitions],
            seqs=[each.seq for each in transitions],
            befores=[each.from_status.value if each.from_status else None for each in transitions],
            afters=[each.to_status.value for each in transitions],
            reasons=[each.reason for each in transitions],
            actors=[each.actor for each in transitions],
            ats=[each.at for each in transitions],
        )


async def record_attempts(tx: Tx, decisions: Iterable[Decision], now: datetime) -> set[str]:
    """Record attempts or raise their status; the gateway payment ids of those that are new or changed.

    What the gateway lists stands against what webhooks claimed, also when another payment's webhook claimed it.
    """
    # Those that are listed come last and win: a webhook about one payment may name the attempt of another.
    ordered = sorted(decisions, key=lambda decision: decision.listed)
    unique = {
        (decision.payment.gateway, attempt.gateway_payment_id): (decision, attempt)
        for decision in ordered
        for attempt in decision.attempts
    }
    if not unique:
        return set()
    listed = [decision.listed for decision, _ in unique.values()]
    pairs = [(decision.payment, attempt) for decision, attempt in unique.values()]
    changed = await tx.execute(
        _ATTEMPTS,
        ids=[ids.new() for _ in pairs],
        payment_ids=[payment.id for payment, _ in pairs],
        gateways=[payment.gateway for payment, _ in pairs],
        gateway_payment_ids=[attempt.gateway_payment_id for _, attempt in pairs],
        statuses=[attempt.status.value for _, attempt in pairs],
        ranks=[ATTEMPT_RANK[attempt.status] for _, attempt in pairs],
        amounts=[attempt.amount.minor if attempt.amount else None for _, attempt in pairs],
        currencies=[attempt.amount.currency if attempt.amount else None for _, attempt in pairs],
        methods=[attempt.method for _, attempt in pairs],
        groups=[attempt.group for _, attempt in pairs],
        banks=[attempt.bank_reference for _, attempt in pairs],
        reasons=[attempt.reason for _, attempt in pairs],
        ats=[now for _ in pairs],
        confirmed_ats=[now if each else None for each in listed],
    )
    return set(changed.scalars())


async def claim_failures(tx: Tx, attempts: Sequence[tuple[Payment, PaymentAttempt]], now: datetime) -> Sequence[Row]:
    """The attempts among *attempts* that failed and are not announced yet; they count as announced from now on."""
    if not attempts:
        return []
    rows = await tx.execute(
        _FAILURES,
        payment_ids=sorted({payment.id for payment, _ in attempts}),
        gateway_payment_ids=sorted({attempt.gateway_payment_id for _, attempt in attempts}),
        now=now,
    )
    return rows.all()


async def recorded_captures(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, dict[str, bool]]:
    """What was captured for these payments, duplicates and receipts included, by the gateway's payment id: whether the
    gateway's own list has shown it.
    """
    captures: dict[UUID, dict[str, bool]] = {}
    if payment_ids:
        for row in await tx.execute(_CAPTURES, ids=sorted(payment_ids)):
            captures.setdefault(row.payment_id, {})[row.gateway_payment_id] = row.confirmed
    return captures


async def add_transactions(
    tx: Tx, transactions: Sequence[tuple[Payment, Transaction]], now: datetime, confirmation_due_at: datetime
) -> None:
    """Record captures. The gateway's list is read at *confirmation_due_at*, whether it has shown them yet or not: a
    second capture whose webhook was lost is seen then.
    """
    if not transactions:
        return
    ordered = sorted(transactions, key=lambda pair: (pair[0].gateway, pair[1].attempt.gateway_payment_id))
    amounts = [transaction.attempt.amount or payment.amount for payment, transaction in ordered]
    await tx.write(
        "transactions",
        _TRANSACTIONS,
        ids=[transaction.id for _, transaction in ordered],
        payment_ids=[payment.id for payment, _ in ordered],
        merchants=[payment.merchant_id for payment, _ in ordered],
        gateways=[payment.gateway for payment, _ in ordered],
        provider_ids=[transaction.attempt.gateway_payment_id for _, transaction in ordered],
        banks=[transaction.attempt.bank_reference for _, transaction in ordered],
        responses=[gateway_response(transaction.attempt) for _, transaction in ordered],
        amounts=[amount.minor for amount in amounts],
        currencies=[amount.currency for amount in amounts],
        statuses=[transaction.status.value for _, transaction in ordered],
        ats=[transaction.created_at for _, transaction in ordered],
        confirmed_ats=[now if transaction.confirmed else None for _, transaction in ordered],
        due_at=confirmation_due_at,
    )


def gateway_response(attempt: PaymentAttempt) -> str:
    """What is kept of the gateway's answer, as JSON."""
    return _json({"method": attempt.method, "group": attempt.group, "status": attempt.status}).decode()


async def release_lease(tx: Tx, key: Key) -> None:
    """End the lease of a key whose request was answered 202: the next request with it gets the same answer at once."""
    await tx.execute(_RELEASE_LEASE, merchant_id=key.merchant_id, user_id=key.user_id, route=key.route, key=key.key)
