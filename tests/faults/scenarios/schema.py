"""P59 to P65: PostgreSQL is there, and something about it is not as it should be."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg

from common.migrations import LOCK_TIMEOUT
from tests.faults.environment import Environment
from tests.faults.scenario import scenario
from tests.faults.scenarios.postgresql import SERVICE_SESSIONS

SECONDS = 8.0
# Of 120 that PostgreSQL has.
TAKEN_MIN = 60
READER_SECONDS = 9.0
# Longer than a migration may wait for its lock, and everybody behind it.
LONGEST_SECONDS = 8.0


@asynccontextmanager
async def session(environment: Environment, role: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of a service's own role, or of its owner."""
    known = environment.fleet.description["postgresql"]
    connection = await asyncpg.connect(
        host=known["host"],
        port=known["port"],
        user=role,
        password=environment.stack.credentials.database[role],
        database=known["database"],
        timeout=10,
    )
    try:
        yield connection
    finally:
        await connection.close()


@scenario(
    "P59-connections-exhausted",
    must="503 at once, no deadlock; it goes on when there are connections again",
    random=False,
)
async def _(environment: Environment) -> None:
    """Somebody takes every connection that PostgreSQL has, and the services' are cut, for 8 s."""
    taken: list[asyncpg.Connection] = []
    async with environment.db() as db:
        await db.execute(SERVICE_SESSIONS)
        ends = time.monotonic() + SECONDS
        try:
            while time.monotonic() < ends:
                try:
                    taken.append(await _superusers(environment))
                except (asyncpg.TooManyConnectionsError, OSError, TimeoutError):
                    await db.execute(SERVICE_SESSIONS)
                    await asyncio.sleep(0.3)
        finally:
            await asyncio.gather(*(each.close() for each in taken), return_exceptions=True)
    environment.expect(len(taken) > TAKEN_MIN, f"no connection is left (took {len(taken)})")


async def _superusers(environment: Environment) -> asyncpg.Connection:
    """Roles of services may have a few connections each, superusers all there are."""
    known = environment.fleet.description["postgresql"]
    names = ("host", "port", "user", "password", "database")
    return await asyncpg.connect(**{name: known[name] for name in names}, timeout=2)


# Where rows of today would go if nobody had made their partition; what is there already steps aside meanwhile.
ASTRAY = (("payment", "outbox"), ("webhook_ingest", "outbox"), ("wallet", "inbox"))


@scenario(
    "P61-partition-missing",
    must="the default partition catches them, an error is logged, no payment fails",
    random=False,
)
async def _(environment: Environment) -> None:
    """Today's partitions of two outboxes and an inbox are missing for 6 s; then housekeeping makes them."""
    today = datetime.now(UTC).strftime("%Y%m%d")
    async with environment.db() as db:
        for schema, table in ASTRAY:
            async with db.transaction():
                await db.execute(f"alter table {schema}.{table} detach partition {schema}.{table}_{today}")
                await db.execute(f"alter table {schema}.{table}_{today} rename to {table}_aside")
        await asyncio.sleep(6)
        for schema, table in ASTRAY:
            astray = await db.fetchval(f"select count(*) from {schema}.{table}_default")
            environment.expect(astray, f"rows lie in {schema}.{table}_default")
        for schema, table in ASTRAY:
            async with session(environment, schema) as service:
                await service.fetchval("select ensure_partitions()")
            left = await db.fetchval(f"select count(*) from {schema}.{table}_default")
            environment.expect(left == 0, f"housekeeping moves them to their partition (left {left})")
            async with db.transaction():
                await db.execute(f"lock table {schema}.{table} in share row exclusive mode")
                await db.execute(
                    f"insert into {schema}.{table} select * from {schema}.{table}_aside on conflict do nothing"
                )
                await db.execute(f"drop table {schema}.{table}_aside")


@scenario(
    "P62-alter-behind-a-reader", must="the migration gives up after its lock time-out; the others go on", random=False
)
async def _(environment: Environment) -> None:
    """Somebody reads payments for 9 s in one transaction; a migration would alter the table meanwhile."""
    async with environment.db() as reader, reader.transaction():
        await reader.fetchval("select count(*) from payment.payments")
        reading = asyncio.create_task(asyncio.sleep(READER_SECONDS))
        async with session(environment, "payment_owner") as owner:
            await owner.execute(f"set lock_timeout = '{LOCK_TIMEOUT}'")
            try:
                await owner.execute("alter table payments add column tomorrow text")
                environment.expect(False, "the migration waits for the reader")
            except asyncpg.LockNotAvailableError:
                pass
        await reading
    environment.expect(
        environment.history.longest_seconds < LONGEST_SECONDS, "nobody waits for much longer than the time-out"
    )


@scenario("P65-checkpoint-storm", must="slower, and nothing else", random=False)
async def _(environment: Environment) -> None:
    """Checkpoints and full vacuums of the hot tables, one after the other, for 8 s."""
    ends = time.monotonic() + SECONDS
    async with environment.db() as db:
        while time.monotonic() < ends:
            await db.execute("checkpoint")
            for table in ("payment.payments", "wallet.wallets", "ledger.ledger_entries"):
                await db.execute(f"vacuum (freeze, analyze) {table}")
    environment.expect(environment.history.longest_seconds < LONGEST_SECONDS, "nobody waits for long")
