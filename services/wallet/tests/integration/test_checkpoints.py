"""The sums that books are compared by, from a checkpoint on: right, found out when they are not, and never dearer."""

import asyncio
from datetime import timedelta

import pytest

from commdesk.common.v1 import delivery_pb2 as pb
from common import checkpoints, delivery
from common.clock import FakeClock
from common.database import Database, Tx
from wallet.store import queries
from wallet.use_cases import credits, wallets

from .. import builders as make

# Every transaction that is there is final.
NOW = timedelta(0)
_ROWS_READ = """
select coalesce(sum(seq_tup_read), 0) + coalesce(sum(idx_tup_fetch), 0)
from pg_stat_xact_user_tables where schemaname = current_schema()
"""


async def grant_to(db: Database, clock: FakeClock, *names: str) -> None:
    async with db.begin() as tx:
        await credits.grant_credits(tx, clock, [make.grant(make.owner(name)) for name in names])


async def move_checkpoint(db: Database) -> None:
    # Ids of many in one millisecond run ahead of the clock.
    await asyncio.sleep(0.05)
    async with db.begin() as tx:
        await checkpoints.sums(tx, queries.CHECKPOINT, queries.MOVED, NOW)


async def recent(db: Database) -> dict[str, int]:
    async with db.begin() as tx:
        return dict(await wallets.recent_totals(tx))


async def answered(db: Database, *, verify: bool = False) -> dict[str, int]:
    """What the reconciler gets."""
    servicer = delivery.DeliveryServicer(
        db,
        None,
        delivery.no_timeline,
        wallets.totals,
        wallets.recent_totals,  # type: ignore[arg-type]
    )
    request = pb.TotalsRequest(since_checkpoint=True, verify_checkpoint=verify)
    return dict((await servicer.Totals(request, None)).totals)  # type: ignore[arg-type]


async def test_the_sums_since_the_checkpoint_are_those_of_every_row(db: Database, clock: FakeClock) -> None:
    await grant_to(db, clock, "usr_a", "usr_b")
    before = await recent(db)
    await move_checkpoint(db)
    assert await recent(db) == before
    await grant_to(db, clock, "usr_a", "usr_c")
    await credits.consume_credits(db, clock, [make.consumption(550, of=make.owner("usr_a"))])
    sums = await recent(db)
    async with db.begin() as tx:
        whole = await wallets.totals(tx)
    assert sums == {name: whole[name] for name in sums}
    assert sums["wallets.mismatched"] == 0
    assert sums["consumed.credits"] == 550


async def test_a_transaction_that_is_not_final_stays_out_of_the_checkpoint(db: Database, clock: FakeClock) -> None:
    await grant_to(db, clock, "usr_a")
    assert (await recent(db))["grants.count"] == 1
    async with db.begin() as tx:
        assert await tx.execute("select 1 from wallet_transactions where transaction_id < :up_to",
                                up_to=await checkpoints.since(tx, queries.CHECKPOINT)) == []  # fmt: skip


async def rows_read(tx: Tx) -> int:
    before = int((await tx.execute(_ROWS_READ)).scalar_one())
    await wallets.recent_totals(tx)
    return int((await tx.execute(_ROWS_READ)).scalar_one()) - before


async def test_the_cost_does_not_grow_with_the_table(db: Database, clock: FakeClock) -> None:
    costs = []
    for population in (50, 600):
        await grant_to(db, clock, *(f"usr_{population}_{number}" for number in range(population)))
        await move_checkpoint(db)
        await grant_to(db, clock, f"usr_{population}_0", f"usr_{population}_1")
        async with db.begin() as tx:
            costs.append(await rows_read(tx))
    assert costs[1] <= costs[0] + 5, "two transactions since the checkpoint, whatever lies behind it"
    assert costs[1] < 60


@pytest.mark.parametrize(
    "tampering",
    [
        "update wallets set available = available + 1 where owner_id = 'usr_a'",
        "update credit_lots set remaining = remaining - 1 where true",
        "update wallets set seq = seq + 1 where owner_id = 'usr_a'",
    ],
)
async def test_a_balance_that_contradicts_a_recent_transaction_is_found_at_once(
    db: Database, clock: FakeClock, as_owner, tampering: str
) -> None:
    await grant_to(db, clock, "usr_a")
    assert (await recent(db))["wallets.mismatched"] == 0
    await as_owner(tampering)
    assert (await recent(db))["wallets.mismatched"] == 1


async def test_a_balance_below_zero_is_found_without_the_check(db: Database, clock: FakeClock, as_owner) -> None:
    await grant_to(db, clock, "usr_a")
    assert (await recent(db))["wallets.negative"] == 0
    await as_owner("alter table wallets drop constraint wallets_locked_check")
    await as_owner("update wallets set locked = -1 where owner_id = 'usr_a'")
    assert (await recent(db))["wallets.negative"] == 1
    async with db.begin() as tx:
        assert (await wallets.totals(tx))["wallets.negative"] == 1


async def test_a_change_behind_the_checkpoint_is_found_when_every_row_is_added_up_and_stays_found(
    db: Database, clock: FakeClock, as_owner
) -> None:
    await grant_to(db, clock, "usr_a", "usr_b")
    await move_checkpoint(db)
    assert (await answered(db, verify=True))["checkpoints.mismatched"] == 0
    for statement in (
        "alter table wallet_transactions disable trigger user",
        "update wallet_transactions set credits = 5501, credits_paid = 5001, balance_after = 5501"
        " where wallet_id = (select wallet_id from wallets where owner_id = 'usr_a')",
        "alter table wallet_transactions enable trigger user",
    ):
        await as_owner(statement)
    assert (await answered(db))["checkpoints.mismatched"] == 0, "rights forbid it; only a whole pass would see it"
    found = await answered(db, verify=True)
    assert found["checkpoints.mismatched"] > 0
    assert found["wallets.mismatched"] == 1
    again = await answered(db)
    assert (again["checkpoints.mismatched"], again["wallets.mismatched"]) == (found["checkpoints.mismatched"], 1)


async def test_every_row_is_added_up_once_a_day(db: Database, clock: FakeClock) -> None:
    await grant_to(db, clock, "usr_a")
    await answered(db)
    async with db.begin() as tx:
        await tx.execute("update checkpoints set sums = '{\"wallets.mismatched\": 7}' where name = 'verified'")
    assert (await answered(db))["wallets.mismatched"] == 7
    async with db.begin() as tx:
        await tx.execute("update checkpoints set taken_at = now() - interval '25 hours' where name = 'verified'")
    assert (await answered(db))["wallets.mismatched"] == 0
