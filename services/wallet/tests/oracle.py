"""The oracle that every test of the store is judged by: it tells contradictions from the stored rows alone."""

from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID

from common.database import Database, Row


async def violations(db: Database) -> list[str]:
    """Every way in which the stored rows contradict one another; empty is right."""
    async with db.begin() as tx:
        wallets = (await tx.execute("select wallet_id, available, locked, debt, seq from wallets")).all()
        moves = (
            await tx.execute(
                "select wallet_id, seq, type, credits, locked, debt, balance_before, balance_after, operation_key,"
                " merchant_id, value_minor, burnt_lots, burnt_credits, burnt_value from wallet_transactions"
                " order by wallet_id, seq"
            )
        ).all()
        lots = (await tx.execute("select * from credit_lots")).all()
        holds = (await tx.execute("select * from holds")).all()
        debts = (await tx.execute("select * from debts")).all()
    contradictions: list[str] = []
    keys = [(move.merchant_id, move.operation_key) for move in moves]
    contradictions += [f"{key} was carried out twice" for key in set(keys) if keys.count(key) > 1]
    for each in wallets:
        chain = [move for move in moves if move.wallet_id == each.wallet_id]
        contradictions += _chain_violations(each, chain)
        if sum(lot.remaining for lot in lots if lot.wallet_id == each.wallet_id) != each.available:
            contradictions.append(f"{each.wallet_id}: the lots hold something else than the balance")
        held = [hold.credits_paid + hold.credits_bonus for hold in holds if _is_held(hold, each)]
        if not sum(held) == each.locked == sum(lot.held for lot in lots if lot.wallet_id == each.wallet_id):
            contradictions.append(f"{each.wallet_id}: the holds and the lots hold something else than is locked")
        owed = [debt.credits - debt.settled_paid - debt.settled_bonus - debt.forgiven for debt in debts
                if debt.wallet_id == each.wallet_id]  # fmt: skip
        if sum(owed) != each.debt:
            contradictions.append(f"{each.wallet_id}: the debts come to something else than is owed")
    contradictions += _burn_violations(moves, lots)
    return contradictions


def _chain_violations(wallet: Row, chain: Sequence[Row]) -> list[str]:
    contradictions: list[str] = []
    if [move.seq for move in chain] != list(range(1, wallet.seq + 1)):
        contradictions.append(f"{wallet.wallet_id}: seq is not contiguous from 1 to {wallet.seq}")
    if sum(move.credits for move in chain) != wallet.available:
        contradictions.append(f"{wallet.wallet_id}: the transactions come to something else than the balance")
    if any(before.balance_after != after.balance_before for before, after in pairwise(chain)):
        contradictions.append(f"{wallet.wallet_id}: a balance does not follow from the one before")
    if (sum(move.locked for move in chain), sum(move.debt for move in chain)) != (wallet.locked, wallet.debt):
        contradictions.append(f"{wallet.wallet_id}: the transactions come to something else than is locked or owed")
    if any(move.balance_after < 0 for move in chain):
        contradictions.append(f"{wallet.wallet_id}: below zero")
    return contradictions


def _is_held(hold: Row, wallet: Row) -> bool:
    return bool(hold.wallet_id == wallet.wallet_id and hold.state == "HELD")


# What a transaction of each type does with credits of a lot: (burnt permanently, held).
_EFFECTS = {"CONSUME": (1, 0), "DEBT": (1, 0), "LOCK": (0, 1), "RELEASE": (0, -1), "REFUND": (1, -1)}


def _burn_violations(moves: Sequence[Row], lots: Sequence[Row]) -> list[str]:
    sums: dict[UUID, list[int]] = {}
    for move in moves:
        for lot_id, credits, value in zip(
            move.burnt_lots or (), move.burnt_credits or (), move.burnt_value or (), strict=True
        ):
            burnt, held = _EFFECTS[move.type]
            of_lot = sums.setdefault(lot_id, [0, 0, 0, 0])
            for index, change in enumerate((burnt * credits, burnt * value, held * credits, held * value)):
                of_lot[index] += change
        if move.type == "CONSUME" and sum(move.burnt_credits) != -move.credits:
            return [f"{move.operation_key}: the lots paid something else than was spent"]
    return [
        f"lot {lot.lot_id}: burns, holds and remainder do not add up"
        for lot in lots
        if sums.get(lot.lot_id, [0, 0, 0, 0])
        != [
            lot.granted - lot.remaining - lot.held,
            lot.value_minor - lot.value_left_minor - lot.held_value_minor,
            lot.held,
            lot.held_value_minor,
        ]
    ]
