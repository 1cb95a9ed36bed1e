"""Builders, and the oracle that every test of the store is judged by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import count, pairwise
from types import SimpleNamespace
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from common import ids
from common.database import Database
from common.money import Money
from wallet.domain import Consumption, Grant, Owner, Wallet

MERCHANT = "mer_commdesk"


def owner(name: str = "usr_asha", merchant_id: str = MERCHANT, kind: str = "USER") -> Owner:
    return Owner(merchant_id, kind, name)


def grant(
    to: Owner | None = None, paid: int = 5000, bonus: int = 500, net: int = 42_373, payment: UUID | None = None
) -> Grant:
    """What the ₹500 pack buys, unless told otherwise."""
    payment_id = payment or ids.new()
    return Grant(to or owner(), payment_id, ids.encode("pay", payment_id), paid, bonus, Money(net))


def consumption(credits: int, key: str | None = None, of: Owner | None = None, purpose: str = "boost") -> Consumption:
    return Consumption(key or f"op-{ids.new()}", of or owner(), credits, purpose, "post-1")


def wallet(of: Owner | None = None) -> Wallet:
    return Wallet(UUID(int=2**127), of or owner(), "INR")


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    numbers = count(1)
    return SimpleNamespace(
        owner=owner,
        grant=grant,
        consumption=consumption,
        wallet=wallet,
        # Ids in the order in which they are asked for.
        id=lambda: UUID(int=next(numbers)),
    )


async def _violations(db: Database) -> list[str]:
    """Every way in which the stored rows contradict one another, told from the rows alone."""
    async with db.begin() as tx:
        wallets = (await tx.execute("select wallet_id, available, locked, seq from wallets")).all()
        moves = (
            await tx.execute(
                "select wallet_id, seq, type, credits, balance_before, balance_after, operation_key, merchant_id,"
                " value_minor, burnt_lots, burnt_credits, burnt_value from wallet_transactions order by wallet_id, seq"
            )
        ).all()
        lots = (await tx.execute("select * from credit_lots")).all()
    found = []
    keys = [(move.merchant_id, move.operation_key) for move in moves]
    found += [f"{key} was carried out twice" for key in set(keys) if keys.count(key) > 1]
    for each in wallets:
        chain = [move for move in moves if move.wallet_id == each.wallet_id]
        found += _chain_violations(each, chain)
        if sum(lot.remaining for lot in lots if lot.wallet_id == each.wallet_id) != each.available + each.locked:
            found.append(f"{each.wallet_id}: the lots hold something else than the balance")
    found += _burn_violations(moves, lots)
    return found


def _chain_violations(wallet, chain: Sequence) -> list[str]:
    found = []
    if [move.seq for move in chain] != list(range(1, wallet.seq + 1)):
        found.append(f"{wallet.wallet_id}: seq is not contiguous from 1 to {wallet.seq}")
    if sum(move.credits for move in chain) != wallet.available:
        found.append(f"{wallet.wallet_id}: the transactions come to something else than the balance")
    if any(before.balance_after != after.balance_before for before, after in pairwise(chain)):
        found.append(f"{wallet.wallet_id}: a balance does not follow from the one before")
    if any(move.balance_after < 0 for move in chain):
        found.append(f"{wallet.wallet_id}: below zero")
    return found


def _burn_violations(moves: Sequence, lots: Sequence) -> list[str]:
    burnt: dict[UUID, list[int]] = {}
    for move in moves:
        for lot_id, credits, value in zip(
            move.burnt_lots or (), move.burnt_credits or (), move.burnt_value or (), strict=True
        ):
            sums = burnt.setdefault(lot_id, [0, 0])
            sums[0] += credits
            sums[1] += value
        if move.type == "CONSUME" and sum(move.burnt_credits) != -move.credits:
            found = f"{move.operation_key}: the lots paid something else than was spent"
            return [found]
    return [
        f"lot {lot.lot_id}: burns and remainder do not add up"
        for lot in lots
        if burnt.get(lot.lot_id, [0, 0]) != [lot.granted - lot.remaining, lot.value_minor - lot.value_left_minor]
    ]


@pytest.fixture
def violations():
    """`await violations(db)` lists what is wrong; empty is right."""
    return _violations


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest_asyncio.fixture
async def as_owner(owner_url: str) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Runs a statement as only the schema's owner may."""
    connection = await asyncpg.connect(owner_url)
    yield connection.execute
    await connection.close()
