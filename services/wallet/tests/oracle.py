"""The oracle that every test of the store is judged by: it tells contradictions from the stored rows alone."""

from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID

from common.database import Database, Row


async def violations(db: Database) -> list[str]:
    """Every way in which the stored rows contradict one another; empty is right."""
    async with db.begin() as tx:
        wallets = (await tx.execute("select wallet_id, available, locked, seq from wallets")).all()
        moves = (
            await tx.execute(
                "select wallet_id, seq, type, credits, balance_before, balance_after, operation_key, merchant_id,"
                " value_minor, burnt_lots, burnt_credits, burnt_value from wallet_transactions order by wallet_id, seq"
            )
        ).all()
        lots = (await tx.execute("select * from credit_lots")).all()
    contradictions: list[str] = []
    keys = [(move.merchant_id, move.operation_key) for move in moves]
    contradictions += [f"{key} was carried out twice" for key in set(keys) if keys.count(key) > 1]
    for each in wallets:
        chain = [move for move in moves if move.wallet_id == each.wallet_id]
        contradictions += _chain_violations(each, chain)
        if sum(lot.remaining for lot in lots if lot.wallet_id == each.wallet_id) != each.available + each.locked:
            contradictions.append(f"{each.wallet_id}: the lots hold something else than the balance")
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
    if any(move.balance_after < 0 for move in chain):
        contradictions.append(f"{wallet.wallet_id}: below zero")
    return contradictions


def _burn_violations(moves: Sequence[Row], lots: Sequence[Row]) -> list[str]:
    burnt: dict[UUID, list[int]] = {}
    for move in moves:
        for lot_id, credits, value in zip(
            move.burnt_lots or (), move.burnt_credits or (), move.burnt_value or (), strict=True
        ):
            sums = burnt.setdefault(lot_id, [0, 0])
            sums[0] += credits
            sums[1] += value
        if move.type == "CONSUME" and sum(move.burnt_credits) != -move.credits:
            return [f"{move.operation_key}: the lots paid something else than was spent"]
    return [
        f"lot {lot.lot_id}: burns and remainder do not add up"
        for lot in lots
        if burnt.get(lot.lot_id, [0, 0]) != [lot.granted - lot.remaining, lot.value_minor - lot.value_left_minor]
    ]
