"""Grants and consumption against a real Postgres."""

import asyncio
import random
from collections import Counter

import pytest
from asyncpg import IntegrityConstraintViolationError, PostgresError

from common import seals
from common.clock import FakeClock
from common.database import Database, connect, sqlstate
from common.testing import published
from wallet.domain.batch import Result
from wallet.domain.errors import OperationKeyReused, WalletInsufficientCredits
from wallet.domain.operations import Grant
from wallet.domain.wallets import Owner, Transaction
from wallet.store import queries
from wallet.use_cases import credits, wallets

from .. import builders as make
from ..oracle import violations


async def granted(db: Database, clock: FakeClock, *grants: Grant) -> list[Result | None]:
    async with db.begin() as tx:
        return await credits.grant_credits(tx, clock, grants)


async def available(db: Database, *owners: Owner) -> list[int]:
    async with db.begin() as tx:
        by_owner = await queries.wallets_of(tx, owners)
    return [by_owner[owner].available for owner in owners]


async def test_a_payment_grants_its_pack_and_says_so(db: Database, clock: FakeClock) -> None:
    bought = make.grant()
    [grant] = await granted(db, clock, bought)
    assert (grant.credits_paid, grant.credits_bonus, grant.balance_after, grant.seq) == (5000, 500, 5500, 1)
    assert await available(db, bought.owner) == [5500]
    events = dict(await published(db))
    credited = events["wallet.credited"]
    assert (credited.credits_paid, credited.credits_bonus, credited.balance_after) == (5000, 500, 5500)
    assert (credited.payment_id, credited.operation_key) == (bought.source_id, f"grant:{bought.source_id}")
    assert credited.event_id[3:] == credited.transaction_id[3:]
    assert events.keys() == {"wallet.credited"}, "its journal is the audit record"
    assert not await violations(db)


async def test_a_second_delivery_under_another_envelope_changes_nothing(db: Database, clock: FakeClock) -> None:
    bought = make.grant()
    [first] = await granted(db, clock, bought)
    results = await granted(db, clock, bought, make.grant(make.owner("usr_ravi")), bought)
    assert [result.id == first.id for result in results] == [True, False, True]
    assert await available(db, bought.owner) == [5500]
    assert [key for key, _ in await published(db)].count("wallet.credited") == 2
    assert not await violations(db)


async def test_a_payment_without_credits_has_no_effect(db: Database, clock: FakeClock) -> None:
    assert await granted(db, clock, make.grant(paid=0, bonus=0, net=0)) == [None]
    assert await published(db) == []
    async with db.begin() as tx:
        assert await queries.wallets_of(tx, [make.owner()]) == {}


async def test_550_credits_burn_500_bonus_and_50_paid(db: Database, clock: FakeClock) -> None:
    await granted(db, clock, make.grant())
    [spent] = await credits.consume_credits(db, clock, [make.consumption(550)])
    assert (spent.credits_paid, spent.credits_bonus) == (-50, -500)
    [(_, debited)] = await published(db, "wallet.debited")
    assert (debited.credits_paid, debited.credits_bonus, debited.balance_after) == (50, 500, 4950)
    assert (debited.value.minor, debited.value.currency) == (3_852 + 385, "INR")
    assert not await violations(db)


async def test_the_whole_worth_leaves_with_the_last_credit(db: Database, clock: FakeClock) -> None:
    await granted(db, clock, make.grant(), make.grant(net=12_711, paid=1500, bonus=0))
    while (left := (await available(db, make.owner()))[0]) > 0:
        await credits.consume_credits(db, clock, [make.consumption(min(left, 617)) for _ in range(2)])
    values = [event.value.minor for _, event in await published(db, "wallet.debited")]
    assert sum(values) == 42_373 + 12_711
    assert not await violations(db)
    async with db.begin() as tx:
        totals = await wallets.totals(tx)
    assert (totals["lots.value_minor"], totals["consumed.value_minor"]) == (0, 42_373 + 12_711)


async def test_one_batch_credits_then_debits_and_burns_in_the_published_order(db: Database, clock: FakeClock) -> None:
    await granted(db, clock, make.grant(paid=100, bonus=0, net=100))
    async with db.begin() as tx:
        _, spent = await credits.move_credits(
            tx, clock, [make.grant(paid=100, bonus=50, net=150), make.consumption(60)]
        )
    # The bonus that came with this batch burns before the older paid lot, which burns before the newer one.
    assert (spent.credits_bonus, spent.credits_paid) == (-50, -10)
    async with db.begin() as tx:
        remaining = await tx.execute("select kind, remaining from credit_lots order by created_at, lot_id")
        assert Counter(map(tuple, remaining)) == {("PAID", 90): 1, ("PAID", 100): 1, ("BONUS", 0): 1}
    assert not await violations(db)


async def test_each_item_is_judged_by_itself(db: Database, clock: FakeClock) -> None:
    await granted(db, clock, make.grant())
    results = await credits.consume_credits(
        db,
        clock,
        [
            make.consumption(10, "a"),
            make.consumption(0, "b"),
            make.consumption(10, "nul\0"),
            make.consumption(10_000, "c"),
            make.consumption(10, "a"),
            make.consumption(11, "a"),
            make.consumption(1, "d", of=make.owner("usr_nobody")),
        ],
    )
    codes = [getattr(result, "code", "done") for result in results]
    assert codes == [
        "done",
        "consumption_invalid",
        "consumption_invalid",
        "wallet_insufficient_credits",
        "done",
        "operation_key_reused",
        "wallet_insufficient_credits",
    ]
    assert results[0] is results[4]
    assert await available(db, make.owner()) == [5490]
    assert not await violations(db)


async def test_a_key_answers_with_its_first_result_for_ever(db: Database, clock: FakeClock) -> None:
    await granted(db, clock, make.grant(), make.grant(make.owner("usr_ravi")))
    [first] = await credits.consume_credits(db, clock, [make.consumption(10, "a")])
    clock.advance(86_400)
    again, other, elsewhere = await credits.consume_credits(
        db,
        clock,
        [
            make.consumption(10, "a"),
            make.consumption(10, "a", purpose="gift"),
            make.consumption(10, "a", of=make.owner("usr_ravi")),
        ],
    )
    assert (again.id, again.seq, again.balance_after, again.created_at) == (
        first.id, first.seq, first.balance_after, first.created_at,
    )  # fmt: skip
    assert isinstance(other, OperationKeyReused)
    assert isinstance(elsewhere, OperationKeyReused)
    assert await available(db, make.owner()) == [5490]
    assert not await violations(db)


async def test_twenty_parallel_debits_over_two_pools_spend_every_credit_once(
    db: Database, database_url: str, clock: FakeClock
) -> None:
    await granted(db, clock, make.grant(paid=1000, bonus=0))
    async with connect(database_url, service="wallet", sealer=seals.generated()) as other:
        results = await asyncio.gather(
            *(credits.consume_credits(pool, clock, [make.consumption(100)]) for pool in (db, other) * 10)
        )
    kinds = Counter(type(result) for [result] in results)
    assert kinds == {Transaction: 10, WalletInsufficientCredits: 10}
    assert await available(db, make.owner()) == [0]
    assert not await violations(db)


async def test_one_key_at_once_from_everywhere_spends_once(db: Database, database_url: str, clock: FakeClock) -> None:
    await granted(db, clock, make.grant())
    async with connect(database_url, service="wallet", sealer=seals.generated()) as other:
        results = await asyncio.gather(
            *(credits.consume_credits(pool, clock, [make.consumption(100, "k")]) for pool in (db, other) * 5)
        )
    assert len({result.id for [result] in results}) == 1
    assert await available(db, make.owner()) == [5400]
    assert not await violations(db)


async def test_one_key_at_once_on_two_wallets_is_the_firsts(db: Database, clock: FakeClock) -> None:
    ravi = make.owner("usr_ravi")
    await granted(db, clock, make.grant(), make.grant(ravi))
    async with db.begin() as tx:
        [first] = await credits.move_credits(tx, clock, [make.consumption(100, "k")])
        second = asyncio.create_task(
            credits.consume_credits(db, clock, [make.consumption(100, "k", of=ravi), make.consumption(1, of=ravi)])
        )
        await asyncio.wait([second], timeout=0.3)
        assert not second.done(), "it must be waiting for the key"
    refused, untouched = await second
    assert isinstance(first, Transaction)
    assert isinstance(refused, OperationKeyReused)
    assert isinstance(untouched, Transaction)
    assert await available(db, make.owner(), ravi) == [5400, 5499]
    assert not await violations(db)


async def test_one_grant_at_once_from_everywhere_opens_one_wallet_and_grants_once(
    db: Database, database_url: str, clock: FakeClock
) -> None:
    bought = make.grant()
    async with connect(database_url, service="wallet", sealer=seals.generated()) as other:
        results = await asyncio.gather(*(granted(pool, clock, bought) for pool in (db, other) * 5))
    assert len({result.id for [result] in results}) == 1
    assert await available(db, bought.owner) == [5500]
    assert not await violations(db)


async def test_opposite_orders_and_new_wallets_do_not_deadlock(
    db: Database, database_url: str, clock: FakeClock
) -> None:
    owners = [make.owner(f"usr_{number:02}") for number in range(12)]

    async def batch(pool: Database, seed: int) -> None:
        shuffled = random.Random(seed).sample(owners, len(owners))
        async with pool.begin() as tx:  # not retried: a deadlock would surface
            await credits.move_credits(
                tx, clock, [make.grant(each) for each in shuffled] + [make.consumption(3, of=each) for each in shuffled]
            )

    async with connect(database_url, service="wallet", sealer=seals.generated()) as other:
        await asyncio.gather(*(batch(pool, seed) for seed, pool in enumerate((db, other) * 8)))
    assert await available(db, *owners) == [16 * 5497] * 12
    assert not await violations(db)


async def test_many_small_lots_burn_across_batches(db: Database, clock: FakeClock) -> None:
    await granted(db, clock, *(make.grant(paid=7, bonus=3, net=11) for _ in range(40)))
    await credits.consume_credits(db, clock, [make.consumption(each) for each in (1, 95, 24, 33)])
    await credits.consume_credits(db, clock, [make.consumption(247)])
    assert await available(db, make.owner()) == [0]
    assert not await violations(db)


@pytest.mark.parametrize("table", ["wallet_transactions", "operation_keys"])
@pytest.mark.parametrize("statement", ["delete from {}", "update {} set merchant_id = 'x'", "truncate {}"])
async def test_history_cannot_be_rewritten_by_the_service(
    db: Database, clock: FakeClock, table: str, statement: str
) -> None:
    await granted(db, clock, make.grant())
    with pytest.raises(PostgresError) as refused:
        async with db.begin() as tx:
            await tx.execute(statement.format(table))
    assert sqlstate(refused.value) == "42501"


@pytest.mark.parametrize(
    "statement",
    [
        "update wallets set available = -1",
        "update credit_lots set remaining = -1",
        "update credit_lots set remaining = granted + 1",
        "update credit_lots set value_left_minor = value_minor + 1",
        "update credit_lots set remaining = 0",
        "delete from wallets",
    ],
)
async def test_the_schema_itself_refuses_the_impossible(db: Database, clock: FakeClock, statement: str) -> None:
    await granted(db, clock, make.grant())
    with pytest.raises(IntegrityConstraintViolationError):
        async with db.begin() as tx:
            await tx.execute(statement)


async def test_a_balance_that_was_tampered_with_is_found(db: Database, clock: FakeClock) -> None:
    await granted(db, clock, make.grant(), make.grant(make.owner("usr_ravi")))
    async with db.begin() as tx:
        by_owner = await queries.wallets_of(tx, [make.owner(), make.owner("usr_ravi")])
        ids = [wallet.id for wallet in by_owner.values()]
        assert await wallets.check_balances(tx, ids) == []
        assert (await wallets.totals(tx))["wallets.mismatched"] == 0
        await tx.execute("update wallets set available = available + 1 where owner_id = 'usr_ravi'")
        assert await wallets.check_balances(tx, ids) == [by_owner[make.owner("usr_ravi")].id]
        assert (await wallets.totals(tx))["wallets.mismatched"] == 1


async def test_the_totals_add_up(db: Database, clock: FakeClock) -> None:
    await granted(db, clock, make.grant(), make.grant(make.owner("usr_ravi"), paid=1500, bonus=0, net=12_712))
    await credits.consume_credits(db, clock, [make.consumption(550), make.consumption(50)])
    async with db.begin() as tx:
        totals = await wallets.totals(tx)
    released = totals.pop("consumed.value_minor")
    assert totals == {
        "wallets.count": 2,
        "wallets.available": 6400,
        "wallets.locked": 0,
        "wallets.mismatched": 0,
        "wallets.negative": 0,
        "lots.remaining.paid": 6400,
        "lots.remaining.bonus": 0,
        "lots.value_minor": 42_373 + 12_712 - released,
        "transactions.count": 4,
        "grants.count": 2,
        "grants.credits": 7000,
        "grants.value_minor": 42_373 + 12_712,
        "consumed.count": 2,
        "consumed.credits": 600,
        "wallets.debt": 0,
        "holds.value_minor": 0,
        "reversed.credits": 0,
        "regranted.credits": 0,
        "debts.settled.credits": 0,
        "debts.settled.value_minor": 0,
        "debts.forgiven.credits": 0,
    }
