"""The bare books: wallet transactions with their double entry, posted in batches of 64 by one statement each.

The tables live in a scratch schema that is dropped afterwards, whatever happens.
"""

import asyncio
import os
import secrets
from collections.abc import Mapping
from typing import Any

import asyncpg

from common import ids
from loadtests import database
from loadtests.baselines.measurement import Costed, repeated

BATCH = 64
CONNECTIONS = 2
WALLETS = 1_000

_TABLES = """
create schema {schema};
create table {schema}.wallets (id integer primary key, balance bigint not null) with (fillfactor = 60);
create table {schema}.transactions (
    id uuid primary key, operation_key uuid not null unique, wallet_id integer not null, amount bigint not null,
    balance_before bigint not null, balance_after bigint not null,
    check (balance_after = balance_before + amount));
create table {schema}.entries (
    transaction_id uuid not null, side smallint not null, account_id integer not null, amount bigint not null,
    primary key (transaction_id, side));
insert into {schema}.wallets select number, 0 from generate_series(0, {wallets} - 1) number;
analyze {schema}.wallets;
"""

# The update reads the running balances, and those read the locks: all wallets are locked, in order, before any moves.
_POST = """
with items as (
    select * from unnest($1::uuid[], $2::uuid[], $3::int[], $4::bigint[]) with ordinality
        as item (id, operation_key, wallet_id, amount, place)),
locked as (
    select id, balance from {schema}.wallets where id = any($3::int[]) order by id for no key update),
moved as materialized (
    select item.*, locked.balance + sum(item.amount) over (partition by item.wallet_id order by item.place) as after
    from items item join locked on locked.id = item.wallet_id),
posted as (
    insert into {schema}.transactions
    select id, operation_key, wallet_id, amount, after - amount, after from moved),
entered as (
    insert into {schema}.entries
    select id, 0, 1, amount from moved union all select id, 1, 2, -amount from moved)
update {schema}.wallets wallet set balance = wallet.balance + change.amount
from (select wallet_id, sum(amount) as amount from moved group by 1) change where wallet.id = change.wallet_id
"""

_WRONG = """
select (select count(*) from {schema}.wallets w
        where balance <> (select coalesce(sum(amount), 0) from {schema}.transactions t where t.wallet_id = w.id))
     + (select count(*) from (select from {schema}.entries group by transaction_id having sum(amount) <> 0) unbalanced)
"""


async def measure(description: Mapping[str, Any], seconds: float) -> dict[str, dict[str, Any]]:
    schema = f"bench_baseline_{secrets.token_hex(4)}"
    async with database.connect(description) as db:
        await db.execute(_TABLES.format(schema=schema, wallets=WALLETS))
        try:
            return await _measured(description, schema, seconds, db)
        finally:
            await db.execute(f"drop schema {schema} cascade")


async def _measured(
    description: Mapping[str, Any], schema: str, seconds: float, db: asyncpg.Connection
) -> dict[str, dict[str, Any]]:
    idle: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
    statement = _POST.format(schema=schema)
    turns = iter(range(1_000_000))

    async def post() -> int:
        connection, prepared = await idle.get()
        first = next(turns) * BATCH
        await prepared.fetch(
            [ids.new() for _ in range(BATCH)],
            [ids.new() for _ in range(BATCH)],
            [(first + number * 7) % WALLETS for number in range(BATCH)],
            [100 + number for number in range(BATCH)],
        )
        idle.put_nowait((connection, prepared))
        return BATCH

    async with database.connect(description) as one, database.connect(description) as other:
        for connection in (one, other):
            # The plan that was made for empty tables would be kept for full ones.
            await connection.execute("set plan_cache_mode = force_custom_plan")
            idle.put_nowait((connection, await connection.prepare(statement)))
        roots = {"PostgreSQL": description["pids"]["postgresql"], "client": os.getpid()}
        async with Costed(roots) as costed:
            done, took = await repeated(post, CONNECTIONS, seconds)
    wrong = await db.fetchval(_WRONG.format(schema=schema))
    if wrong:
        raise RuntimeError(f"the SQL baseline does not add up: {wrong} rows")
    return {f"SQL posting, batches of {BATCH}": costed.figures(done, took)}
