"""The money path's SQL: one statement per step and batch.

The planner has no choice in any of these statements: each array element leads to one index probe, be the tables empty
or huge (see PROBE_ALWAYS; `cross join lateral` with a sub-select that cannot be flattened keeps the order besides).
Questions that are not asked under load are in `reading`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from asyncpg import UniqueViolationError

from common import ids
from common.database import LostRace, Tx
from wallet.domain import Book, Lot, LotKind, Owner, ScopedKey, Transaction, TransactionType, Wallet

OPEN_WALLETS = """
insert into wallets (wallet_id, merchant_id, owner_kind, owner_id, currency, created_at, updated_at)
select wallet_id, merchant_id, owner_kind, owner_id, currency, :now, :now
from unnest(cast(:ids as uuid[]), cast(:merchant_ids as text[]), cast(:kinds as text[]), cast(:owner_ids as text[]),
            cast(:currencies as text[])) as row (wallet_id, merchant_id, owner_kind, owner_id, currency)
on conflict (owner_id, owner_kind, merchant_id) do nothing
"""

# Left to itself the planner reads a table of a few pages whole for every single probe, and one of middling size whole
# for every batch: a merchant with two hundred wallets would pay two hundred times. Ends with the transaction.
PROBE_ALWAYS = """
select set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true)
"""

# The lock is taken inside the lateral sub-select, once for each owner in the order of the arrays: sorted by the caller.
LOCK_WALLETS = """
select w.*
from unnest(cast(:merchant_ids as text[]), cast(:kinds as text[]), cast(:owner_ids as text[]))
     as o (merchant_id, owner_kind, owner_id)
cross join lateral (
    select wallet_id, merchant_id, owner_kind, owner_id, currency, available, locked, pending, lifetime_purchased, seq
    from wallets
    where owner_id = o.owner_id and owner_kind = o.owner_kind and merchant_id = o.merchant_id
    for no key update
) w
"""

TAKEN_KEYS = """
select taken.transaction_id
from unnest(cast(:merchant_ids as text[]), cast(:keys as text[])) as k (merchant_id, operation_key)
cross join lateral (
    select transaction_id from operation_keys
    where operation_key = k.operation_key and merchant_id = k.merchant_id offset 0
) taken
"""

TRANSACTIONS_WITH_OWNERS = """
select t.transaction_id, t.wallet_id, w.merchant_id, w.owner_kind, w.owner_id, t.type, t.credits_paid, t.credits_bonus,
       t.value_minor, w.currency, t.balance_before, t.balance_after, t.seq, t.source, t.source_id, t.operation_key,
       t.created_at
from unnest(cast(:ids as uuid[])) as asked (transaction_id)
cross join lateral (select * from wallet_transactions where transaction_id = asked.transaction_id offset 0) t
cross join lateral (select * from wallets where wallet_id = t.wallet_id offset 0) w
"""

# The first few of each wallet in burn order: the index has that order and is left as soon as there are enough.
OPEN_LOTS = """
select n.wallet_id, l.lot_id, l.kind, l.payment_id, l.granted, l.remaining, l.value_minor, l.value_left_minor,
       l.priority, l.expires_at
from unnest(cast(:wallet_ids as uuid[])) as n (wallet_id)
cross join lateral (
    select * from credit_lots where wallet_id = n.wallet_id and is_open
    order by priority, expires_at, kind, lot_id limit :lots
) l
"""
# Nearly every spend fits into the first lot or goes on into the second.
LOTS_AT_FIRST = 2

# What is only ever added is copied: neither side handles it value by value as it does a statement's arguments.
TRANSACTION_COLUMNS = (
    "transaction_id", "wallet_id", "seq", "merchant_id", "type", "credits", "credits_paid", "credits_bonus",
    "value_minor", "balance_before", "balance_after", "source", "source_id", "operation_key", "burnt_lots",
    "burnt_credits", "burnt_value", "created_at",
)  # fmt: skip
KEY_COLUMNS = ("operation_key", "merchant_id", "transaction_id")
LOT_COLUMNS = (
    "lot_id", "wallet_id", "kind", "payment_id", "granted", "remaining", "value_minor", "value_left_minor", "priority",
    "expires_at", "created_at",
)  # fmt: skip

SAVE_BURNT_LOTS = """
update credit_lots as lot
set remaining = row.remaining, value_left_minor = row.value_left_minor
from unnest(cast(:ids as uuid[]), cast(:remaining as bigint[]), cast(:worths_left as bigint[]))
     as row (lot_id, remaining, value_left_minor)
where lot.lot_id = row.lot_id
"""

SAVE_WALLETS = """
update wallets as wallet
set available = row.available, lifetime_purchased = row.lifetime_purchased, seq = row.seq, updated_at = :now
from unnest(cast(:ids as uuid[]), cast(:available as bigint[]), cast(:lifetimes as bigint[]), cast(:seqs as bigint[]))
     as row (wallet_id, available, lifetime_purchased, seq)
where wallet.wallet_id = row.wallet_id
"""


async def open_wallets(tx: Tx, currencies: Mapping[Owner, str], now: datetime) -> None:
    """A wallet for each owner that has none, counting in the currency given; in sorted order."""
    owners = sorted(currencies)
    await tx.execute(
        OPEN_WALLETS,
        ids=[ids.new() for _ in owners],
        **owner_columns(owners),
        currencies=[currencies[owner] for owner in owners],
        now=now,
    )


async def lock(tx: Tx, owners: Collection[Owner]) -> dict[Owner, Wallet]:
    """The wallets as they are now, without their lots; nobody else may change either until *tx* ends."""
    await tx.execute(PROBE_ALWAYS)
    rows = await tx.execute(LOCK_WALLETS, **owner_columns(sorted(owners)))
    return {wallet.owner: wallet for wallet in map(wallet_of, rows)}


async def done_before(tx: Tx, keys: Collection[ScopedKey]) -> dict[ScopedKey, Transaction]:
    """What these keys already stand for. Asked under the wallets' locks, in a statement of its own, it is final."""
    rows = await tx.execute(
        TAKEN_KEYS, merchant_ids=[merchant_id for merchant_id, _ in keys], keys=[key for _, key in keys]
    )
    taken = rows.scalars()
    if not taken:
        return {}
    rows = await tx.execute(TRANSACTIONS_WITH_OWNERS, ids=taken)
    return {(done.owner.merchant_id, done.operation_key): done for done in map(transaction_of, rows)}


async def load_lots(tx: Tx, wallets: Collection[Wallet], needs: Mapping[Owner, int]) -> None:
    """Fill in the open lots of locked wallets, in burn order, as far as *needs* (credits) reach."""
    burning = [wallet for wallet in wallets if needs.get(wallet.owner)]
    if not burning:
        return
    by_id = {wallet.id: wallet for wallet in burning}
    lots = LOTS_AT_FIRST
    while by_id:
        rows = await tx.execute(OPEN_LOTS, wallet_ids=list(by_id), lots=lots)
        for wallet_id, group in groupby(rows, key=_first_column):
            by_id[wallet_id].lots = [_lot_of(row) for row in group]
        by_id = {id: wallet for id, wallet in by_id.items() if _may_run_short(wallet, needs[wallet.owner], lots)}
        lots *= 16


_first_column = itemgetter(0)


def _may_run_short(wallet: Wallet, need: int, lots: int) -> bool:
    """Whether the lots that were read do not cover the need, and more may be there."""
    return len(wallet.lots) == lots and sum(lot.remaining for lot in wallet.lots) < min(need, wallet.available)


async def save(tx: Tx, book: Book, now: datetime) -> None:
    """Write what the batch came to: children before their wallets, keys in sorted order.

    Raises LostRace when somebody else took one of the keys between the look-up and the insert.
    """
    if not book.transactions:
        return
    await tx.copy(
        "wallet_transactions", TRANSACTION_COLUMNS, [_transaction_row(each, now) for each in book.transactions]
    )
    await _save_keys(tx, book.transactions)
    # As the batch left them: some may be burnt already.
    if book.opened:
        await tx.copy("credit_lots", LOT_COLUMNS, [_lot_row(wallet, lot, now) for wallet, lot in book.opened])
    await _save_burnt_lots(tx, list(book.burnt.values()))
    await _save_wallets(tx, list(book.moved.values()), now)


def _transaction_row(done: Transaction, now: datetime) -> tuple[Any, ...]:
    burnt: tuple[Any, ...] = tuple(map(list, zip(*done.burns, strict=True))) or (None, None, None)
    return (
        done.id, done.wallet_id, done.seq, done.owner.merchant_id, done.type, done.credits, done.credits_paid,
        done.credits_bonus, done.value_minor, done.balance_before, done.balance_after, done.source, done.source_id,
        done.operation_key, *burnt, now,
    )  # fmt: skip


async def _save_keys(tx: Tx, done: Sequence[Transaction]) -> None:
    try:
        await tx.copy("operation_keys", KEY_COLUMNS, sorted(_key_row(each) for each in done))
    except UniqueViolationError as error:
        raise LostRace from error


def _key_row(done: Transaction) -> tuple[str, str, UUID]:
    return done.operation_key, done.owner.merchant_id, done.id


def _lot_row(wallet: Wallet, lot: Lot, now: datetime) -> tuple[Any, ...]:
    return (
        lot.id, wallet.id, lot.kind, lot.payment_id, lot.granted, lot.remaining, lot.value_minor, lot.value_left_minor,
        lot.priority, lot.expires_at, now,
    )  # fmt: skip


async def _save_burnt_lots(tx: Tx, lots: Sequence[Lot]) -> None:
    if not lots:
        return
    await tx.write(
        SAVE_BURNT_LOTS,
        ids=[lot.id for lot in lots],
        remaining=[lot.remaining for lot in lots],
        worths_left=[lot.value_left_minor for lot in lots],
    )


async def _save_wallets(tx: Tx, wallets: Sequence[Wallet], now: datetime) -> None:
    await tx.write(
        SAVE_WALLETS,
        ids=[wallet.id for wallet in wallets],
        available=[wallet.available for wallet in wallets],
        lifetimes=[wallet.lifetime_purchased for wallet in wallets],
        seqs=[wallet.seq for wallet in wallets],
        now=now,
    )


def owner_columns(owners: Sequence[Owner]) -> dict[str, list[str]]:
    return {
        "merchant_ids": [owner.merchant_id for owner in owners],
        "kinds": [owner.kind for owner in owners],
        "owner_ids": [owner.id for owner in owners],
    }


def wallet_of(row: Any) -> Wallet:
    id, merchant_id, kind, owner_id, currency, available, locked, pending, lifetime_purchased, seq = row
    return Wallet(id, Owner(merchant_id, kind, owner_id), currency, available, locked, pending, lifetime_purchased, seq)


def _lot_of(row: Any) -> Lot:
    _, id, kind, payment_id, granted, remaining, value, value_left, priority, expires_at = row
    return Lot(id, LotKind(kind), payment_id, granted, remaining, value, value_left, priority, expires_at)


def transaction_of(row: Any) -> Transaction:
    id, wallet_id, merchant_id, kind, owner_id, type, *rest = row
    return Transaction(id, wallet_id, Owner(merchant_id, kind, owner_id), TransactionType(type), *rest)
