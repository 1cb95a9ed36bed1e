"""A fresh database reads no more rows than a full one: the shape of each plan of the money path, not its time."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from common.clock import FakeClock
from common.database import Database, Rows, Tx
from wallet.use_cases import credits

from .. import builders as make

AsOwner = Callable[[str], Awaitable[str]]

BATCH = 128
POPULATION = 20_000

# What the planner falls for while tables are small, and what one of them would read at this size.
SWEEPING = {"Seq Scan", "Hash Join", "Merge Join", "Materialize"}

POPULATE = """
insert into wallets (wallet_id, merchant_id, owner_kind, owner_id, currency, available, seq, created_at, updated_at)
select gen_random_uuid(), 'mer_commdesk', 'USER', 'usr_filler_' || n, 'INR', 10, 1, now(), now()
from generate_series(1, {n}) n;
insert into credit_lots (lot_id, wallet_id, kind, granted, remaining, value_minor, value_left_minor, created_at)
select gen_random_uuid(), wallet_id, 'PAID', 10, 10, 100, 100, now() from wallets where owner_id like 'usr_filler_%';
insert into wallet_transactions (transaction_id, wallet_id, seq, merchant_id, type, credits, credits_paid,
    credits_bonus, value_minor, balance_before, balance_after, source, source_id, operation_key, created_at)
select gen_random_uuid(), wallet_id, 1, 'mer_commdesk', 'GRANT', 10, 10, 0, 100, 0, 10, '', '', owner_id, now()
from wallets where owner_id like 'usr_filler_%';
insert into operation_keys select operation_key, merchant_id, transaction_id from wallet_transactions
where operation_key like 'usr_filler_%'
"""


class Explained(Tx):
    """A transaction that keeps the plan of every statement it runs; *free* leaves the planner its choice."""

    __slots__ = ("free", "plans")

    def __init__(self, tx: Tx, free: bool) -> None:
        super().__init__(tx.connection, tx.service, tx.sealer)
        self.free = free
        self.plans: list[tuple[str, dict[str, Any]]] = []

    async def execute(self, sql: str, **params: Any) -> Any:
        if "set_config" in sql:
            if self.free:
                return Rows()
        else:
            explained = (await super().execute(f"explain (format json) {sql}", **params)).scalar_one()
            self.plans.append((sql, (json.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"]))
        return await super().execute(sql, **params)

    async def write(self, table: str, sql: str = "", /, **params: Any) -> None:
        await self.execute(sql, **params)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def plans_of_a_batch(db: Database, clock: FakeClock, *, free: bool = False) -> list[tuple[str, dict[str, Any]]]:
    """Every statement that grants, consumptions and repeated keys make, with its plan."""
    owners = [make.owner(f"usr_{number:03}") for number in range(BATCH)]
    repeated = [make.consumption(5, f"again-{number}", of=each) for number, each in enumerate(owners)]
    async with db.begin() as tx:
        explained = Explained(tx, free)
        await credits.move_credits(explained, clock, [make.grant(each) for each in owners])
        await credits.move_credits(explained, clock, repeated)
        await credits.move_credits(explained, clock, repeated + [make.consumption(700, of=each) for each in owners])
    # The outbox is not ours; `insert … select … from unnest` has no choice either.
    return [(sql, plan) for sql, plan in explained.plans if "into outbox" not in sql]


@pytest.mark.parametrize("population", [0, POPULATION], ids=["fresh", "full"])
@pytest.mark.parametrize("analyzed", [False, True])
async def test_every_statement_probes_an_index_for_each_item(
    db: Database, clock: FakeClock, population: int, analyzed: bool, as_owner: AsOwner
) -> None:
    if population:
        async with db.begin() as tx:
            for statement in POPULATE.format(n=population).split(";"):
                await tx.execute(statement)
    if analyzed:
        for table in ("wallets", "credit_lots", "wallet_transactions", "operation_keys"):
            await as_owner(f"analyze {table}")
    plans = await plans_of_a_batch(db, clock)
    assert len(plans) >= 9
    assert sweeping(plans) == []


async def test_left_to_itself_the_planner_sweeps(db: Database, clock: FakeClock) -> None:
    assert sweeping(await plans_of_a_batch(db, clock, free=True)) != []


def sweeping(plans: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """What reads more than it was asked for: whole tables, or an index from end to end."""
    return [
        f"{node['Node Type']} in\n{sql}"
        for sql, plan in plans
        for node in nodes(plan)
        if node["Node Type"] in SWEEPING or ("Index" in node["Node Type"] and "Index Cond" not in node)
    ]
