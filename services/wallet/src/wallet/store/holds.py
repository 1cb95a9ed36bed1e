"""Holds in the tables: one statement per step and batch, as text; each array element leads to one index probe."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from common.database import Tx
from common.guards import HOLD_STATE, Guards
from wallet.domain.debts import Debt
from wallet.domain.hold_batch import HoldBatch
from wallet.domain.holds import Hold, HoldState
from wallet.domain.operations import ScopedKey
from wallet.domain.wallets import Lot, Owner
from wallet.store import commands, rows

_HOLD = """
h.hold_id, h.wallet_id, w.merchant_id, w.owner_kind, w.owner_id, w.currency, h.operation_key, h.payment_id, h.policy,
h.credits_paid, h.credits_bonus, h.missing_paid, h.missing_bonus, h.value_paid_minor, h.value_bonus_minor, h.state,
h.transaction_id, t.burnt_lots, t.burnt_credits, t.burnt_value
"""
_WITH_LOCK = """
cross join lateral (select * from wallets where wallet_id = h.wallet_id offset 0) w
left join lateral (
    select burnt_lots, burnt_credits, burnt_value from wallet_transactions
    where transaction_id = h.transaction_id offset 0
) t on true
"""
_HOLDS_BY_KEY = f"""
select {_HOLD}
from unnest(cast(:merchant_ids as text[]), cast(:keys as text[])) as k (merchant_id, operation_key)
cross join lateral (
    select * from holds where operation_key = k.operation_key and merchant_id = k.merchant_id offset 0
) h {_WITH_LOCK}
"""
_HOLDS_BY_ID = f"""
select {_HOLD}
from unnest(cast(:ids as uuid[])) as given (hold_id)
cross join lateral (select * from holds where hold_id = given.hold_id offset 0) h {_WITH_LOCK}
"""
_OWNERS = """
select w.merchant_id, w.owner_kind, w.owner_id
from unnest(cast(:ids as uuid[])) as given (hold_id)
cross join lateral (select wallet_id from holds where hold_id = given.hold_id offset 0) h
cross join lateral (select * from wallets where wallet_id = h.wallet_id offset 0) w
"""

_LOT = """
l.wallet_id, l.lot_id, l.kind, l.payment_id, l.granted, l.remaining, l.value_minor, l.value_left_minor, l.priority,
l.expires_at, l.held, l.held_value_minor
"""
_PAYMENT_LOTS = f"""
select {_LOT}
from unnest(cast(:payment_ids as uuid[]), cast(:wallet_ids as uuid[])) as given (payment_id, wallet_id)
cross join lateral (
    select * from credit_lots where payment_id = given.payment_id and wallet_id = given.wallet_id offset 0
) l
"""
_LOTS_BY_ID = f"""
select {_LOT}
from unnest(cast(:ids as uuid[])) as given (lot_id)
cross join lateral (select * from credit_lots where lot_id = given.lot_id offset 0) l
"""
_DEBTS_BY_ID = """
select d.* from unnest(cast(:ids as uuid[])) as given (hold_id)
cross join lateral (select * from debts where hold_id = given.hold_id offset 0) d
"""

_HOLD_COLUMNS = (
    "hold_id", "wallet_id", "merchant_id", "operation_key", "payment_id", "policy", "credits_paid", "credits_bonus",
    "missing_paid", "missing_bonus", "value_paid_minor", "value_bonus_minor", "state", "transaction_id", "created_at",
    "changed_at",
)  # fmt: skip
_DEBT_COLUMNS = ("hold_id", "wallet_id", "credits", "settled_paid", "settled_bonus", "forgiven", "created_at")

_SAVE_HOLDS = """
update holds as hold set state = row.state, changed_at = :now
from unnest(cast(:ids as uuid[]), cast(:states as text[])) as row (hold_id, state)
where hold.hold_id = row.hold_id
"""
_SAVE_LOTS = """
update credit_lots as lot
set remaining = row.remaining, value_left_minor = row.value_left_minor, held = row.held,
    held_value_minor = row.held_value_minor
from unnest(cast(:ids as uuid[]), cast(:remaining as bigint[]), cast(:values_left as bigint[]),
            cast(:held as bigint[]), cast(:held_values as bigint[]))
     as row (lot_id, remaining, value_left_minor, held, held_value_minor)
where lot.lot_id = row.lot_id
"""


async def by_key(tx: Tx, keys: Collection[ScopedKey]) -> dict[ScopedKey, Hold]:
    """The holds that these keys already stand for. Read under the wallets' locks, it is final."""
    existing = await tx.execute(
        _HOLDS_BY_KEY, merchant_ids=[merchant_id for merchant_id, _ in keys], keys=[key for _, key in keys]
    )
    return {(each.owner.merchant_id, each.operation_key): each for each in map(rows.hold, existing)}


async def owners(tx: Tx, hold_ids: Collection[UUID]) -> list[Owner]:
    """Whose wallets the holds are in, which never changes."""
    return list({rows.owner(row) for row in await tx.execute(_OWNERS, ids=list(hold_ids))})


async def by_id(tx: Tx, hold_ids: Collection[UUID], guards: Guards) -> dict[UUID, Hold]:
    """The holds as they are now."""
    existing = [rows.hold(row) for row in await tx.execute(_HOLDS_BY_ID, ids=list(hold_ids))]
    if not guards.has(HOLD_STATE):
        existing = [replace(hold, state=HoldState.HELD) for hold in existing]
    return {hold.id: hold for hold in existing}


async def payment_lots(tx: Tx, payments: Collection[tuple[UUID, UUID]]) -> list[tuple[UUID, Lot]]:
    """All lots, open or not, that these (payment, wallet) have, each with its wallet."""
    found = await tx.execute(
        _PAYMENT_LOTS,
        payment_ids=[payment_id for payment_id, _ in payments],
        wallet_ids=[wallet_id for _, wallet_id in payments],
    )
    return [(row["wallet_id"], rows.held_lot(row)) for row in found]


async def lots_by_id(tx: Tx, lot_ids: Collection[UUID]) -> dict[UUID, Lot]:
    return {lot.id: lot for lot in map(rows.held_lot, await tx.execute(_LOTS_BY_ID, ids=list(lot_ids)))}


async def load_debts(tx: Tx, batch: HoldBatch) -> None:
    """Fill in the debts that the batch's holds made, and all that is open of their wallets."""
    batch.debts = await commands.load_debts(tx, batch.wallets.values())
    still_open = {debt.hold_id: debt for debts in batch.debts.values() for debt in debts}
    closed = [hold_id for hold_id in batch.holds if hold_id not in still_open]
    paid = {debt.hold_id: debt for debt in map(rows.debt, await tx.execute(_DEBTS_BY_ID, ids=closed))}
    batch.debts_of_holds = paid | {id: debt for id, debt in still_open.items() if id in batch.holds}


async def save(tx: Tx, batch: HoldBatch, now: datetime, guards: Guards) -> None:
    """Write what the batch came to. Raises LostRace as `commands.save` does."""
    if batch.opened_holds:
        await tx.copy("holds", _HOLD_COLUMNS, [_hold_row(hold, now) for hold in batch.opened_holds])
    if batch.changed_holds:
        changed = [batch.changed_holds[id] for id in sorted(batch.changed_holds)]
        await tx.write(
            "holds", _SAVE_HOLDS, ids=[hold.id for hold in changed], states=[hold.state for hold in changed], now=now
        )
    if batch.opened_debts:
        await tx.copy("debts", _DEBT_COLUMNS, [_debt_row(debt, now) for debt in batch.opened_debts])
    await _save_lots(tx, [batch.held_lots[id] for id in sorted(batch.held_lots)])
    await commands.save(tx, batch, now, guards)


def _hold_row(hold: Hold, now: datetime) -> tuple[object, ...]:
    return (
        hold.id, hold.wallet_id, hold.owner.merchant_id, hold.operation_key, hold.payment_id, hold.policy,
        hold.credits_paid, hold.credits_bonus, hold.missing_paid, hold.missing_bonus, hold.value_paid_minor,
        hold.value_bonus_minor, hold.state, hold.transaction_id, now, now,
    )  # fmt: skip


def _debt_row(debt: Debt, now: datetime) -> tuple[object, ...]:
    return (
        debt.hold_id, debt.wallet_id, debt.credits, debt.settled_paid, debt.settled_bonus, debt.forgiven, now,
    )  # fmt: skip


async def _save_lots(tx: Tx, lots: Sequence[Lot]) -> None:
    if lots:
        await tx.write(
            "credit_lots",
            _SAVE_LOTS,
            ids=[lot.id for lot in lots],
            remaining=[lot.remaining for lot in lots],
            values_left=[lot.value_left_minor for lot in lots],
            held=[lot.held for lot in lots],
            held_values=[lot.held_value_minor for lot in lots],
        )
