"""Each guard of the money path carries weight: beside the test with the guard stands one without it, in which the
oracle sees what the guard is there for."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from asyncpg import IntegrityConstraintViolationError

from common.clock import FakeClock
from common.database import Database, LostRace
from wallet import use_cases
from wallet.domain.batch import Result
from wallet.domain.errors import WalletInsufficientCredits
from wallet.domain.operations import Grant
from wallet.domain.wallets import Transaction
from wallet.store import commands

from .. import builders as make
from ..oracle import violations

AsOwner = Callable[[str], Awaitable[str]]
Deliver = Callable[[Grant], Awaitable[list[Result | None]]]
Debit = Callable[[], Awaitable[list[Result | BaseException]]]

NO_KEY_IS_TAKEN = commands._TAKEN_KEYS + " where false"
UNLOCKED = commands._LOCK_WALLETS.replace("for no key update", "offset 0")


@pytest.fixture
def delivered(db: Database, clock: FakeClock) -> Deliver:
    async def deliver(grant: Grant) -> list[Result | None]:
        async with db.begin() as tx:
            return await use_cases.grant_credits(tx, clock, [grant])

    return deliver


@pytest.fixture
def debited_at_once(db: Database, clock: FakeClock, delivered: Deliver) -> Debit:
    """Two debits of one wallet that overlap for sure; each fits its balance, together they do not."""

    async def debit() -> list[Result | BaseException]:
        await delivered(make.grant())
        async with db.begin() as tx:
            [first] = await use_cases.move_credits(tx, clock, [make.consumption(3000)])
            await tx.flush()
            second = asyncio.create_task(use_cases.consume_credits(db, clock, [make.consumption(3000)]))
            await asyncio.wait([second], timeout=0.3)
            assert not second.done(), "the second must still be waiting when the first commits"
        [outcome] = await asyncio.gather(second, return_exceptions=True)
        return [first, *(outcome if isinstance(outcome, list) else [outcome])]

    return debit


# ── The business key ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_with_the_key_a_payment_grants_once(delivered: Deliver, db: Database) -> None:
    bought = make.grant()
    [first], [again] = [await delivered(bought) for _ in range(2)]
    assert first.id == again.id
    assert await violations(db) == []


async def test_without_the_look_up_the_primary_key_still_refuses(
    delivered: Deliver, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_TAKEN_KEYS", NO_KEY_IS_TAKEN)
    bought = make.grant()
    await delivered(bought)
    with pytest.raises(LostRace) as lost:
        await delivered(bought)
    assert "operation_keys_pkey" in str(lost.value.__cause__)
    assert await violations(db) == []


async def test_without_the_key_a_payment_grants_twice(
    delivered: Deliver, db: Database, monkeypatch: pytest.MonkeyPatch, as_owner: AsOwner
) -> None:
    monkeypatch.setattr(commands, "_TAKEN_KEYS", NO_KEY_IS_TAKEN)
    await as_owner("alter table operation_keys drop constraint operation_keys_pkey")
    bought = make.grant()
    for _ in range(2):
        await delivered(bought)
    assert await violations(db) == [f"('mer_commdesk', '{bought.operation_key}') was carried out twice"]


# ── The row lock ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_with_the_lock_exactly_one_of_two_debits_succeeds(debited_at_once: Debit, db: Database) -> None:
    results = await debited_at_once()
    assert Counter(map(type, results)) == {Transaction: 1, WalletInsufficientCredits: 1}
    assert await violations(db) == []


async def test_without_the_lock_a_debit_fails_instead_of_being_refused(
    debited_at_once: Debit, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_LOCK_WALLETS", UNLOCKED)
    first, second = await debited_at_once()
    assert isinstance(first, Transaction)
    # The schema's word on it: a wallet's seq is given once.
    assert isinstance(second, IntegrityConstraintViolationError)
    assert "wallet_transactions_seq" in str(second)
    assert await violations(db) == []


async def test_without_lock_and_seq_credits_are_spent_twice(
    debited_at_once: Debit, db: Database, monkeypatch: pytest.MonkeyPatch, as_owner: AsOwner
) -> None:
    monkeypatch.setattr(commands, "_LOCK_WALLETS", UNLOCKED)
    await as_owner("alter table wallet_transactions drop constraint wallet_transactions_seq")
    results = await debited_at_once()
    assert Counter(map(type, results)) == {Transaction: 2}
    found = " ".join(await violations(db))
    assert "seq is not contiguous" in found
    assert "the transactions come to something else than the balance" in found
    assert "burns and remainder do not add up" in found
