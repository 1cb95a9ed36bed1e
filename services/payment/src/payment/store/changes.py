"""Lock, insert and save: one statement for each table and batch. Payments are locked in the order of their ids."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from common import ids
from common.database import Tx
from common.idempotency import Key
from payment.domain import ATTEMPT_RANK, Invoice, Payment, PaymentAttempt, Transaction, Transition
from payment.store import rows

_LOCK = f"""
select {rows.SELECT} from payments where id = any(cast(:ids as uuid[])) order by id for no key update
"""
# The order ids are looked up first and the rows locked by their own ids: one order for everybody who locks. One probe
# for each, and no other index of all rows begins with the merchant: no plan reads more, whenever it was made.
_LOCK_ORDERS = f"""
select {rows.SELECT} from payments
where id = any(array(
    select found.id from unnest(cast(:merchants as text[]), cast(:orders as text[])) as asked (merchant_id, order_id)
    cross join lateral (select p.id from payments p
                        where p.merchant_id = asked.merchant_id and p.order_id = asked.order_id limit 1) as found))
order by id for no key update
"""
_HISTORY = """
insert into payment_history (payment_id, seq, from_status, to_status, reason, actor, at)
select * from unnest(cast(:ids as uuid[]), cast(:seqs as integer[]), cast(:befores as text[]), cast(:afters as text[]),
                     cast(:reasons as text[]), cast(:actors as text[]), cast(:ats as timestamptz[]))
"""
_ATTEMPTS = """
insert into payment_attempts as a (id, payment_id, gateway, gateway_payment_id, status, rank, amount_minor, currency,
    payment_method, payment_group, bank_reference, reason, created_at, updated_at)
select id, payment_id, gateway, gateway_payment_id, status, rank, amount_minor, currency, payment_method, payment_group,
       bank_reference, reason, at, at
from unnest(cast(:ids as uuid[]), cast(:payment_ids as uuid[]), cast(:gateways as text[]), cast(:claimed as text[]),
            cast(:statuses as text[]), cast(:ranks as smallint[]), cast(:amounts as bigint[]),
            cast(:currencies as text[]), cast(:methods as text[]), cast(:groups as text[]), cast(:banks as text[]),
            cast(:reasons as text[]), cast(:ats as timestamptz[]))
     as row (id, payment_id, gateway, gateway_payment_id, status, rank, amount_minor, currency, payment_method,
             payment_group, bank_reference, reason, at)
order by gateway, gateway_payment_id
on conflict (gateway, gateway_payment_id) do update
    set status = excluded.status, rank = excluded.rank, reason = excluded.reason, updated_at = excluded.updated_at,
        payment_method = excluded.payment_method, payment_group = excluded.payment_group,
        bank_reference = excluded.bank_reference, amount_minor = excluded.amount_minor, currency = excluded.currency
    where a.rank < excluded.rank and a.payment_id = excluded.payment_id
returning gateway_payment_id
"""
_TRANSACTIONS = """
insert into transactions (id, payment_id, merchant_id, gateway, provider_transaction_id, bank_reference,
    gateway_response, amount_minor, currency, status, created_at)
select id, payment_id, merchant_id, gateway, provider_id, bank, cast(response as jsonb), amount, currency, status, at
from unnest(cast(:ids as uuid[]), cast(:payment_ids as uuid[]), cast(:merchants as text[]), cast(:gateways as text[]),
            cast(:provider_ids as text[]), cast(:banks as text[]), cast(:responses as text[]),
            cast(:amounts as bigint[]), cast(:currencies as text[]), cast(:statuses as text[]),
            cast(:ats as timestamptz[]))
     as row (id, payment_id, merchant_id, gateway, provider_id, bank, response, amount, currency, status, at)
"""
_CAPTURES = """
select payment_id, provider_transaction_id from transactions where payment_id = any(cast(:ids as uuid[]))
"""
# The lease is for a request that is at work; this one has answered that it does not know.
_LET_GO = """
update idempotency_keys set leased_until = now()
where merchant_id = :merchant_id and user_id = :user_id and route = :route and key = :key and state = 'STARTED'
"""
_SERIES_OPEN = """
insert into invoice_series (merchant_id, series)
select * from unnest(cast(:merchants as text[]), cast(:series as text[])) order by 1, 2
on conflict do nothing
"""
_SERIES_LOCK = """
select merchant_id, series, last_number from invoice_series
where (merchant_id, series) in (select * from unnest(cast(:merchants as text[]), cast(:series as text[])))
order by merchant_id, series for no key update
"""
_SERIES_ADVANCE = """
update invoice_series s set last_number = row.last_number
from unnest(cast(:merchants as text[]), cast(:series as text[]), cast(:numbers as bigint[]))
     as row (merchant_id, series, last_number)
where s.merchant_id = row.merchant_id and s.series = row.series
"""
_INVOICED = "select payment_id from invoices where payment_id = any(cast(:ids as uuid[]))"
_INVOICES = """
insert into invoices (id, payment_id, merchant_id, user_id, series, number, invoice_number, amount_minor, currency,
    net_minor, cgst_minor, sgst_minor, igst_minor, place_of_supply, issued_at)
select * from unnest(cast(:ids as uuid[]), cast(:payment_ids as uuid[]), cast(:merchants as text[]),
    cast(:users as text[]), cast(:series as text[]), cast(:numbers as bigint[]), cast(:texts as text[]),
    cast(:amounts as bigint[]), cast(:currencies as text[]), cast(:nets as bigint[]), cast(:cgsts as bigint[]),
    cast(:sgsts as bigint[]), cast(:igsts as bigint[]), cast(:supplies as text[]), cast(:ats as timestamptz[]))
"""

_json = msgspec.json.Encoder().encode


async def insert(tx: Tx, payments: Sequence[Payment]) -> set[UUID]:
    """Insert what is new; the ids that went in. Those left out have an order id or a key that was used before."""
    if not payments:
        return set()
    ordered = sorted(payments, key=lambda payment: (payment.merchant_id, payment.order_id))
    return set((await tx.execute(rows.INSERT, **rows.inserted(ordered))).scalars())


async def lock(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, Payment]:
    """The payments as they are now; nobody else may change them until *tx* ends."""
    if not payment_ids:
        return {}
    found = await tx.execute(_LOCK, ids=sorted(payment_ids))
    return {payment.id: payment for payment in map(rows.read, found)}


async def lock_orders(tx: Tx, orders: Collection[tuple[str, str]]) -> dict[tuple[str, str], Payment]:
    """The payments of (merchant, order id) pairs, locked."""
    if not orders:
        return {}
    found = await tx.execute(
        _LOCK_ORDERS, merchants=[merchant for merchant, _ in orders], orders=[order for _, order in orders]
    )
    return {(payment.merchant_id, payment.order_id): payment for payment in map(rows.read, found)}


async def save(tx: Tx, payments: Sequence[Payment]) -> None:
    if payments:
        await tx.write(rows.SAVE, **rows.saved(payments))


async def add_history(tx: Tx, lines: Sequence[Transition]) -> None:
    if lines:
        await tx.write(
            _HISTORY,
            ids=[line.payment_id for line in lines],
            seqs=[line.seq for line in lines],
            befores=[line.from_status.value if line.from_status else None for line in lines],
            afters=[line.to_status.value for line in lines],
            reasons=[line.reason for line in lines],
            actors=[line.actor for line in lines],
            ats=[line.at for line in lines],
        )


async def climb_attempts(tx: Tx, attempts: Iterable[tuple[Payment, PaymentAttempt]], now: datetime) -> set[str]:
    """Record attempts, or move them up; the gateway payment ids of those that are new or changed."""
    unique = {(payment.gateway, claim.gateway_payment_id): (payment, claim) for payment, claim in attempts}
    if not unique:
        return set()
    pairs = list(unique.values())
    found = await tx.execute(
        _ATTEMPTS,
        ids=[ids.new() for _ in pairs],
        payment_ids=[payment.id for payment, _ in pairs],
        gateways=[payment.gateway for payment, _ in pairs],
        claimed=[claim.gateway_payment_id for _, claim in pairs],
        statuses=[claim.status.value for _, claim in pairs],
        ranks=[ATTEMPT_RANK[claim.status] for _, claim in pairs],
        amounts=[claim.amount.minor if claim.amount else None for _, claim in pairs],
        currencies=[claim.amount.currency if claim.amount else None for _, claim in pairs],
        methods=[claim.method for _, claim in pairs],
        groups=[claim.group for _, claim in pairs],
        banks=[claim.bank_reference for _, claim in pairs],
        reasons=[claim.reason for _, claim in pairs],
        ats=[now for _ in pairs],
    )
    return set(found.scalars())


async def captures(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, set[str]]:
    """The gateway payment ids that were taken for these payments, duplicates included."""
    taken: dict[UUID, set[str]] = {}
    if payment_ids:
        for row in await tx.execute(_CAPTURES, ids=sorted(payment_ids)):
            taken.setdefault(row.payment_id, set()).add(row.provider_transaction_id)
    return taken


async def add_transactions(tx: Tx, taken: Sequence[tuple[Payment, Transaction]]) -> None:
    if not taken:
        return
    ordered = sorted(taken, key=lambda pair: (pair[0].gateway, pair[1].claim.gateway_payment_id))
    amounts = [transaction.claim.amount or payment.amount for payment, transaction in ordered]
    await tx.write(
        _TRANSACTIONS,
        ids=[transaction.id for _, transaction in ordered],
        payment_ids=[payment.id for payment, _ in ordered],
        merchants=[payment.merchant_id for payment, _ in ordered],
        gateways=[payment.gateway for payment, _ in ordered],
        provider_ids=[transaction.claim.gateway_payment_id for _, transaction in ordered],
        banks=[transaction.claim.bank_reference for _, transaction in ordered],
        responses=[
            _json({"method": t.claim.method, "group": t.claim.group, "status": t.claim.status}).decode()
            for _, t in ordered
        ],
        amounts=[amount.minor for amount in amounts],
        currencies=[amount.currency for amount in amounts],
        statuses=[transaction.status.value for _, transaction in ordered],
        ats=[transaction.created_at for _, transaction in ordered],
    )


async def let_go(tx: Tx, key: Key) -> None:
    """End the lease of an idempotency key whose request has answered 202: the next one is told the same at once."""
    await tx.execute(_LET_GO, merchant_id=key.merchant_id, user_id=key.user_id, route=key.route, key=key.key)


async def lock_series(tx: Tx, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The last number of each (merchant, series), locked until *tx* ends; opened when it is new."""
    ordered = sorted(names)
    scopes = {"merchants": [merchant for merchant, _ in ordered], "series": [series for _, series in ordered]}
    found = (await tx.execute(_SERIES_LOCK, **scopes)).all()
    if len(found) < len(ordered):
        await tx.execute(_SERIES_OPEN, **scopes)
        found = (await tx.execute(_SERIES_LOCK, **scopes)).all()
    return {(row.merchant_id, row.series): row.last_number for row in found}


async def advance_series(tx: Tx, last_numbers: dict[tuple[str, str], int]) -> None:
    await tx.write(
        _SERIES_ADVANCE,
        merchants=[merchant for merchant, _ in last_numbers],
        series=[series for _, series in last_numbers],
        numbers=list(last_numbers.values()),
    )


async def invoiced(tx: Tx, payment_ids: Collection[UUID]) -> set[UUID]:
    """Those of the payments that have their invoice already."""
    return set((await tx.execute(_INVOICED, ids=sorted(payment_ids))).scalars())


async def add_invoices(tx: Tx, invoices: Sequence[Invoice]) -> None:
    await tx.write(
        _INVOICES,
        ids=[invoice.id for invoice in invoices],
        payment_ids=[invoice.payment_id for invoice in invoices],
        merchants=[invoice.merchant_id for invoice in invoices],
        users=[invoice.user_id for invoice in invoices],
        series=[invoice.series for invoice in invoices],
        numbers=[invoice.number for invoice in invoices],
        texts=[invoice.text for invoice in invoices],
        amounts=[invoice.amount.minor for invoice in invoices],
        currencies=[invoice.amount.currency for invoice in invoices],
        nets=[invoice.tax.net.minor for invoice in invoices],
        cgsts=[invoice.tax.cgst.minor for invoice in invoices],
        sgsts=[invoice.tax.sgst.minor for invoice in invoices],
        igsts=[invoice.tax.igst.minor for invoice in invoices],
        supplies=[invoice.place_of_supply for invoice in invoices],
        ats=[invoice.issued_at for invoice in invoices],
    )
