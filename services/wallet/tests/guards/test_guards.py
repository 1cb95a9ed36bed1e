"""Each guard of the money path carries weight: beside the test with the guard stands one without it, in which the
oracle, or the database, sees what the guard is there for."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from asyncpg import DeadlockDetectedError, IntegrityConstraintViolationError, UniqueViolationError

from common.clock import FakeClock
from common.database import Database
from common.guards import LOCK_ORDER, OPERATION_KEY, ROW_LOCK, Guards
from wallet.domain.batch import Result
from wallet.domain.errors import WalletInsufficientCredits
from wallet.domain.operations import Grant
from wallet.domain.wallets import Transaction
from wallet.use_cases import credits

from .. import builders as make
from ..oracle import violations

AsOwner = Callable[[str], Awaitable[str]]
ALL = Guards.all()


async def granted(db: Database, clock: FakeClock, *grants: Grant, guards: Guards = ALL) -> list[Result | None]:
    async with db.begin() as tx:
        return await credits.grant_credits(tx, clock, grants, guards)


# ── The operation key ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_with_the_key_a_payment_grants_once(db: Database, clock: FakeClock) -> None:
    bought = make.grant()
    [first], [again] = [await granted(db, clock, bought) for _ in range(2)]
    assert isinstance(first, Transaction)
    assert isinstance(again, Transaction)
    assert first.id == again.id
    assert await violations(db) == []


async def test_without_the_key_a_payment_grants_twice(db: Database, clock: FakeClock) -> None:
    bought = make.grant()
    for _ in range(2):
        await granted(db, clock, bought, guards=ALL.without(OPERATION_KEY))
    assert await violations(db) == [f"('mer_commdesk', '{bought.operation_key}') was carried out twice"]


async def test_the_primary_key_alone_refuses_a_key_that_is_taken(db: Database, clock: FakeClock) -> None:
    await granted(db, clock, make.grant())
    with pytest.raises(UniqueViolationError) as refused:
        async with db.begin() as tx:
            await tx.execute("insert into operation_keys select * from operation_keys")
    assert "operation_keys_pkey" in str(refused.value)
    assert await violations(db) == []


# ── The row lock ──────────────────────────────────────────────────────────────────────────────────────────────────


async def debited_at_once(db: Database, clock: FakeClock, guards: Guards) -> list[Result | BaseException]:
    """Two debits of one wallet that overlap for sure; each fits its balance, together they do not."""
    await granted(db, clock, make.grant())
    async with db.begin() as tx:
        [first] = await credits.move_credits(tx, clock, [make.consumption(3000)], guards)
        await tx.flush()
        second = asyncio.create_task(credits.consume_credits(db, clock, [make.consumption(3000)], guards))
        await asyncio.wait([second], timeout=0.3)
        assert not second.done(), "the second must still be waiting when the first commits"
    [outcome] = await asyncio.gather(second, return_exceptions=True)
    return [first, *(outcome if isinstance(outcome, list) else [outcome])]


async def test_with_the_lock_exactly_one_of_two_debits_succeeds(db: Database, clock: FakeClock) -> None:
    results = await debited_at_once(db, clock, ALL)
    assert Counter(map(type, results)) == {Transaction: 1, WalletInsufficientCredits: 1}
    assert await violations(db) == []


async def test_without_the_lock_a_debit_fails_instead_of_being_refused(db: Database, clock: FakeClock) -> None:
    first, second = await debited_at_once(db, clock, ALL.without(ROW_LOCK))
    assert isinstance(first, Transaction)
    # The schema's word on it: a wallet's seq is given once.
    assert isinstance(second, IntegrityConstraintViolationError)
    assert "wallet_transactions_seq" in str(second)
    assert await violations(db) == []


async def test_without_lock_and_seq_credits_are_spent_twice(db: Database, clock: FakeClock, as_owner: AsOwner) -> None:
    await as_owner("alter table wallet_transactions drop constraint wallet_transactions_seq")
    results = await debited_at_once(db, clock, ALL.without(ROW_LOCK))
    assert Counter(map(type, results)) == {Transaction: 2}
    contradictions = " ".join(await violations(db))
    assert "seq is not contiguous" in contradictions
    assert "the transactions come to something else than the balance" in contradictions
    assert "burns, holds and remainder do not add up" in contradictions


# ── The lock order ────────────────────────────────────────────────────────────────────────────────────────────────


async def crossed(db: Database, clock: FakeClock, guards: Guards) -> list[BaseException | None]:
    """One transaction takes Asha's wallet, then Ravi's, while a batch names them the other way round: how both end."""
    asha, ravi = make.owner("usr_asha"), make.owner("usr_ravi")
    await granted(db, clock, make.grant(asha), make.grant(ravi))

    async def other_way_round() -> None:
        async with db.begin() as tx:  # not retried: a deadlock shows
            await credits.move_credits(tx, clock, [make.consumption(1, of=ravi), make.consumption(1, of=asha)], guards)

    async def one_by_one() -> None:
        async with db.begin() as tx:
            await credits.move_credits(tx, clock, [make.consumption(1, of=asha)], guards)
            await tx.flush()
            others.append(asyncio.create_task(other_way_round()))
            await asyncio.wait(others, timeout=0.3)
            assert not others[0].done(), "it must be waiting for Asha's wallet"
            await credits.move_credits(tx, clock, [make.consumption(1, of=ravi)], guards)

    others: list[asyncio.Task[None]] = []
    outcomes = await asyncio.gather(one_by_one(), return_exceptions=True)
    return [*outcomes, *await asyncio.gather(*others, return_exceptions=True)]


async def test_with_the_order_batches_wait_for_one_another(db: Database, clock: FakeClock) -> None:
    assert await crossed(db, clock, ALL) == [None, None]
    assert await violations(db) == []


async def test_without_the_order_one_of_two_batches_dies_in_a_deadlock(db: Database, clock: FakeClock) -> None:
    outcomes = await crossed(db, clock, ALL.without(LOCK_ORDER))
    assert Counter(map(type, outcomes)) == {type(None): 1, DeadlockDetectedError: 1}
