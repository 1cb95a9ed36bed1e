"""The money path's SQL: one statement per step and batch, as text, because it is hot.

The planner has no choice in any of these statements: each array element leads to one index probe, be the tables empty
or huge (see _PROBE_ALWAYS; `cross join lateral` with a sub-select that cannot be flattened keeps the order besides).
What is not asked for under load is in `queries`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from asyncpg import UniqueViolationError

from common import ids
from common.database import LostRace, Row, Tx
from common.guards import LOCK_ORDER, OPERATION_KEY, ROW_LOCK, Guards
from wallet.domain.batch import OpenedLot, WalletBatch
from wallet.domain.debts import Debt
from wallet.domain.operations import ScopedKey
from wallet.domain.wallets import Lot, Owner, Transaction, Wallet
from wallet.store import rows

_OPEN_WALLETS = """
insert into wallets (wallet_id, merchant_id, owner_kind, owner_id, currency, created_at, updated_at)
select wallet_id, merchant_id, owner_kind, owner_id, currency, :now, :now
from unnest(cast(:ids as uuid[]), cast(:merchant_ids as text[]), cast(:kinds as text[]), cast(:owner_ids as text[]),
            cast(:currencies as text[])) as row (wallet_id, merchant_id, owner_kind, owner_id, currency)
on conflict (owner_id, owner_kind, merchant_id) do nothing
"""

# Left to itself the planner reads a table of a few pages whole for every single probe, and one of middling size whole
# for every batch: a merchant with two hundred wallets would pay two hundred times. Ends with the transaction.
_PROBE_ALWAYS = """
select set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true)
"""

# The lock is taken inside the lateral sub-select, once for each owner in the order of the arrays: sorted by the caller.
_LOCK_WALLETS = """
select w.*
from unnest(cast(:merchant_ids as text[]), cast(:kinds as text[]), cast(:owner_ids as text[]))
     as o (merchant_id, owner_kind, owner_id)
cross join lateral (
    select wallet_id, merchant_id, owner_kind, owner_id, currency, available, locked, pending, lifetime_purchased, seq,
           debt
    from wallets
    where owner_id = o.owner_id and owner_kind = o.owner_kind and merchant_id = o.merchant_id
    for no key update
) w
"""
# Without its guard.
_READ_WALLETS = _LOCK_WALLETS.replace("for no key update", "offset 0")

_TAKEN_KEYS = """
select taken.transaction_id
from unnest(cast(:merchant_ids as text[]), cast(:keys as text[])) as k (merchant_id, operation_key)
cross join lateral (
    select transaction_id from operation_keys
    where operation_key = k.operation_key and merchant_id = k.merchant_id offset 0
) taken
"""

_TRANSACTIONS_BY_ID = f"""
select {rows.TRANSACTION}
from unnest(cast(:ids as uuid[])) as given (transaction_id)
cross join lateral (select * from wallet_transactions where transaction_id = given.transaction_id offset 0) t
cross join lateral (select * from wallets where wallet_id = t.wallet_id offset 0) w
"""

# The first few of each wallet in burn order (of kinds, that of their text: see BURN_ORDER). The index has that
# order and is left as soon as there are enough.
_OPEN_LOTS = """
select n.wallet_id, l.lot_id, l.kind, l.payment_id, l.granted, l.remaining, l.value_minor, l.value_left_minor,
       l.priority, l.expires_at
from unnest(cast(:wallet_ids as uuid[])) as n (wallet_id)
cross join lateral (
    select * from credit_lots where wallet_id = n.wallet_id and is_open
    order by priority, expires_at, kind, lot_id limit :lots
) l
"""
# Nearly every spend fits into the first lot or goes on into the second.
_LOTS_AT_FIRST = 2

# What is only ever added is copied: neither side handles it value by value as it does a statement's arguments.
_TRANSACTION_COLUMNS = (
    "transaction_id", "wallet_id", "seq", "merchant_id", "type", "credits", "credits_paid", "credits_bonus",
    "value_minor", "balance_before", "balance_after", "source", "source_id", "operation_key", "burnt_lots",
    "burnt_credits", "burnt_value", "created_at", "locked", "debt",
)  # fmt: skip
_KEY_COLUMNS = ("operation_key", "merchant_id", "transaction_id")
_LOT_COLUMNS = (
    "lot_id", "wallet_id", "kind", "payment_id", "granted", "remaining", "value_minor", "value_left_minor", "priority",
    "expires_at", "created_at", "regrant_hold_id",
)  # fmt: skip

_SAVE_BURNT_LOTS = """
update credit_lots as lot
set remaining = row.remaining, value_left_minor = row.value_left_minor
from unnest(cast(:ids as uuid[]), cast(:remaining as bigint[]), cast(:values_left as bigint[]))
     as row (lot_id, remaining, value_left_minor)
where lot.lot_id = row.lot_id
"""

_SAVE_WALLETS = """
update wallets as wallet
set available = row.available, locked = row.locked, debt = row.debt, lifetime_purchased = row.lifetime_purchased,
    seq = row.seq, updated_at = :now
from unnest(cast(:ids as uuid[]), cast(:available as bigint[]), cast(:locked as bigint[]), cast(:debts as bigint[]),
            cast(:lifetimes as bigint[]), cast(:seqs as bigint[]))
     as row (wallet_id, available, locked, debt, lifetime_purchased, seq)
where wallet.wallet_id = row.wallet_id
"""

# The open debts of wallets, the oldest first.
_OPEN_DEBTS = """
select d.hold_id, d.wallet_id, d.credits, d.settled_paid, d.settled_bonus, d.forgiven
from unnest(cast(:wallet_ids as uuid[])) as w (wallet_id)
cross join lateral (select * from debts where wallet_id = w.wallet_id and is_open order by hold_id) d
"""

_SAVE_DEBTS = """
update debts as debt
set settled_paid = row.settled_paid, settled_bonus = row.settled_bonus, forgiven = row.forgiven
from unnest(cast(:ids as uuid[]), cast(:settled_paid as bigint[]), cast(:settled_bonus as bigint[]),
            cast(:forgiven as bigint[])) as row (hold_id, settled_paid, settled_bonus, forgiven)
where debt.hold_id = row.hold_id
"""


async def open_wallets(tx: Tx, currencies: Mapping[Owner, str], now: datetime) -> None:
    """A wallet for each owner that has none, counting in the currency given; in sorted order."""
    owners = sorted(currencies)
    await tx.execute(
        _OPEN_WALLETS,
        ids=[ids.new() for _ in owners],
        **rows.owner_columns(owners),
        currencies=[currencies[owner] for owner in owners],
        now=now,
    )


async def lock_wallets(tx: Tx, owners: Collection[Owner], guards: Guards) -> dict[Owner, Wallet]:
    """The wallets as they are now, without their lots; nobody else may change either until *tx* ends."""
    await tx.execute(_PROBE_ALWAYS)
    statement = _LOCK_WALLETS if guards.has(ROW_LOCK) else _READ_WALLETS
    in_order = sorted(owners) if guards.has(LOCK_ORDER) else list(owners)
    locked = await tx.execute(statement, **rows.owner_columns(in_order))
    return {wallet.owner: wallet for wallet in map(rows.wallet, locked)}


async def transactions_by_key(tx: Tx, keys: Collection[ScopedKey], guards: Guards) -> dict[ScopedKey, Transaction]:
    """What these keys already stand for. Read under the wallets' locks, in a statement of its own, it is final."""
    if not guards.has(OPERATION_KEY):
        return {}
    taken = await tx.execute(
        _TAKEN_KEYS, merchant_ids=[merchant_id for merchant_id, _ in keys], keys=[key for _, key in keys]
    )
    if not taken:
        return {}
    existing = map(rows.transaction, await tx.execute(_TRANSACTIONS_BY_ID, ids=taken.scalars()))
    return {(each.owner.merchant_id, each.operation_key): each for each in existing}


async def load_lots(tx: Tx, wallets: Collection[Wallet], needs: Mapping[Owner, int]) -> None:
    """Fill in the open lots of locked wallets, in burn order, as far as *needs* (credits) reach."""
    unread = {wallet.id: wallet for wallet in wallets if needs.get(wallet.owner)}
    lots_max = _LOTS_AT_FIRST
    while unread:
        open_lots = await tx.execute(_OPEN_LOTS, wallet_ids=list(unread), lots=lots_max)
        for wallet_id, group in groupby(open_lots, key=_wallet_id):
            unread[wallet_id].lots = [rows.lot(row) for row in group]
        unread = {id: wallet for id, wallet in unread.items() if _may_run_short(wallet, needs[wallet.owner], lots_max)}
        lots_max *= 16


async def load_debts(tx: Tx, wallets: Collection[Wallet]) -> dict[UUID, list[Debt]]:
    """What is open of those of the locked *wallets* that owe something, by wallet, the oldest first."""
    indebted = [wallet.id for wallet in wallets if wallet.debt]
    if not indebted:
        return {}
    open_debts: dict[UUID, list[Debt]] = {}
    for row in await tx.execute(_OPEN_DEBTS, wallet_ids=indebted):
        open_debts.setdefault(row["wallet_id"], []).append(rows.debt(row))
    return open_debts


def _wallet_id(row: Row) -> UUID:
    id: UUID = row["wallet_id"]
    return id


def _may_run_short(wallet: Wallet, need: int, lots_max: int) -> bool:
    """Whether the lots that were read do not cover the need, and more may be there."""
    return len(wallet.lots) == lots_max and sum(lot.remaining for lot in wallet.lots) < min(need, wallet.available)


async def save(tx: Tx, batch: WalletBatch, now: datetime, guards: Guards) -> None:
    """Write what the batch came to: children before their wallets, keys in sorted order.

    Raises LostRace when somebody else took one of the keys between the look-up and the insert.
    """
    if not batch.transactions:
        return
    await tx.copy(
        "wallet_transactions", _TRANSACTION_COLUMNS, [_transaction_row(each, now) for each in batch.transactions]
    )
    if guards.has(OPERATION_KEY):
        await _save_keys(tx, batch.transactions)
    # As the batch left them: some may be burnt already.
    if batch.opened_lots:
        await tx.copy("credit_lots", _LOT_COLUMNS, [_lot_row(each, now) for each in batch.opened_lots])
    await _save_burnt_lots(tx, list(batch.burnt_lots.values()))
    await _save_debts(tx, list(batch.changed_debts.values()))
    await _save_wallets(tx, list(batch.changed_wallets.values()), now)


def _transaction_row(transaction: Transaction, now: datetime) -> tuple[Any, ...]:
    burnt: tuple[Any, ...] = (None, None, None)
    if burns := transaction.burns:
        burnt = [burn.lot_id for burn in burns], [burn.credits for burn in burns], [burn.value_minor for burn in burns]
    paid, bonus = transaction.credits_paid, transaction.credits_bonus
    return (
        transaction.id, transaction.wallet_id, transaction.seq, transaction.owner.merchant_id, transaction.type,
        paid + bonus, paid, bonus, transaction.value_minor, transaction.balance_before, transaction.balance_after,
        transaction.source, transaction.source_id, transaction.operation_key, *burnt, now, transaction.locked,
        transaction.debt,
    )  # fmt: skip


async def _save_keys(tx: Tx, transactions: Sequence[Transaction]) -> None:
    try:
        await tx.copy("operation_keys", _KEY_COLUMNS, sorted(_key_row(each) for each in transactions))
    except UniqueViolationError as error:
        raise LostRace from error


def _key_row(transaction: Transaction) -> tuple[str, str, UUID]:
    return transaction.operation_key, transaction.owner.merchant_id, transaction.id


def _lot_row(opened: OpenedLot, now: datetime) -> tuple[Any, ...]:
    lot = opened.lot
    return (
        lot.id, opened.wallet_id, lot.kind, lot.payment_id, lot.granted, lot.remaining, lot.value_minor,
        lot.value_left_minor, lot.priority, lot.expires_at, now, lot.regrant_hold_id,
    )  # fmt: skip


async def _save_burnt_lots(tx: Tx, lots: Sequence[Lot]) -> None:
    if not lots:
        return
    await tx.write(
        "credit_lots",
        _SAVE_BURNT_LOTS,
        ids=[lot.id for lot in lots],
        remaining=[lot.remaining for lot in lots],
        values_left=[lot.value_left_minor for lot in lots],
    )


async def _save_debts(tx: Tx, debts: Sequence[Debt]) -> None:
    if not debts:
        return
    await tx.write(
        "debts",
        _SAVE_DEBTS,
        ids=[debt.hold_id for debt in debts],
        settled_paid=[debt.settled_paid for debt in debts],
        settled_bonus=[debt.settled_bonus for debt in debts],
        forgiven=[debt.forgiven for debt in debts],
    )


async def _save_wallets(tx: Tx, wallets: Sequence[Wallet], now: datetime) -> None:
    await tx.write(
        "wallets",
        _SAVE_WALLETS,
        ids=[wallet.id for wallet in wallets],
        available=[wallet.available for wallet in wallets],
        locked=[wallet.locked for wallet in wallets],
        debts=[wallet.debt for wallet in wallets],
        lifetimes=[wallet.lifetime_purchased for wallet in wallets],
        seqs=[wallet.seq for wallet in wallets],
        now=now,
    )
