"""P: PostgreSQL goes away, cuts connections, aborts transactions."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults import disks
from tests.faults.environment import Environment
from tests.faults.proxy import NetworkConditions
from tests.faults.retry import retry
from tests.faults.scenario import scenario

SERVICE_SESSIONS = "select pg_terminate_backend(pid) from pg_stat_activity where usename not in ('postgres')"

DRAINED = "requests of the meantime are served at three times the arrival rate or faster, without a restart by hand"

# Room for the next WAL segments and little more.
DISK_SPARE_BYTES = 64 << 20

# A trigger that aborts one write in twenty, as if it had lost a race.
ABORTS = """
create or replace function {schema}.abort_some() returns trigger language plpgsql as $$
begin
    if random() < 0.05 then
        raise exception 'injected' using errcode = case when random() < 0.5 then '40001' else '40P01' end;
    end if;
    return null;
end $$;
create trigger abort_some after insert or update on {schema}.{table} for each statement
execute function {schema}.abort_some()
"""
ABORTED_TABLES = (("payment", "payments"), ("wallet", "wallets"), ("ledger", "journals"), ("payment", "outbox"))


@scenario("P52-postgresql-immediate", must="every acknowledged effect is there after recovery")
async def _(environment: Environment) -> None:
    """PostgreSQL is stopped immediately (SIGQUIT: no checkpoint, recovery at the start); the supervisor starts it."""
    await _quit(environment)
    await asyncio.sleep(1)
    await environment.until_ready("postgresql")


@scenario("P52-postgresql-immediate-three-times", must="every acknowledged effect is there after each recovery")
async def _(environment: Environment) -> None:
    """The same three times, three seconds apart."""
    for _ in range(3):
        await _quit(environment)
        await asyncio.sleep(1)
        await environment.until_ready("postgresql")
        await asyncio.sleep(3)


async def _quit(environment: Environment) -> None:
    # To the postmaster alone: it passes it on to its children.
    os.kill(environment.state("postgresql").pid, signal.SIGQUIT)


@scenario("P-connections-cut", must="pools open anew, nothing acknowledged is lost or done twice")
async def _(environment: Environment) -> None:
    """pg_terminate_backend on every session of every service, five times within five seconds."""
    for _ in range(5):
        await retry(lambda: _execute(environment, SERVICE_SESSIONS))
        await asyncio.sleep(1)


async def _execute(environment: Environment, *statements: str) -> None:
    async with environment.db() as db:
        for statement in statements:
            await db.execute(statement)


@scenario("P-stopped-20s", must="refused or unknown while it is away; all of it known and done once afterwards")
async def _(environment: Environment) -> None:
    """PostgreSQL is stopped for 20 s."""
    await environment.stop("postgresql")
    await asyncio.sleep(20)
    await environment.start("postgresql")


@scenario("P-stopped-60s", must=DRAINED, drain_ratio_min=3, random=False)
async def _(environment: Environment) -> None:
    """PostgreSQL is stopped for 60 s."""
    await environment.stop("postgresql")
    await asyncio.sleep(60)
    await environment.start("postgresql")


@scenario("P56-races-lost", must="bounded retries with jitter; each effect once, no dead letter")
async def _(environment: Environment) -> None:
    """One write in twenty to payments, wallets, journals and payment's outbox ends with 40001 or 40P01 for 8 s."""
    async with _aborting(environment):
        await asyncio.sleep(8)


@asynccontextmanager
async def _aborting(environment: Environment) -> AsyncIterator[None]:
    drops = [f"drop trigger if exists abort_some on {schema}.{table}" for schema, table in ABORTED_TABLES]
    creates = [ABORTS.format(schema=schema, table=table) for schema, table in ABORTED_TABLES]
    await retry(lambda: _execute(environment, *drops, *creates))
    try:
        yield
    finally:
        await retry(lambda: _execute(environment, *drops))


@scenario("P-slow", must="slower, and nothing else")
async def _(environment: Environment) -> None:
    """Every piece between the services and PostgreSQL takes 30 ms longer each way, for 8 s."""
    with environment.conditions("postgresql", NetworkConditions(latency_seconds=0.03)):
        await asyncio.sleep(8)


@scenario("P-black-hole", must="statements time out, commits that may have happened are looked up, nothing doubles")
async def _(environment: Environment) -> None:
    """Nothing passes between the services and PostgreSQL for 8 s, then all connections are reset."""
    with environment.conditions("postgresql", NetworkConditions(black_hole=True)):
        await asyncio.sleep(8)
        environment.proxies["postgresql"].reset()


@scenario("P-half-open", must="commits whose answer never came are looked up by their keys, nothing doubles")
async def _(environment: Environment) -> None:
    """PostgreSQL receives and its answers are lost (commits happen, unknown to their callers), for 4 s, then reset."""
    with environment.conditions("postgresql", NetworkConditions(deaf=True)):
        await asyncio.sleep(4)
        environment.proxies["postgresql"].reset()


@scenario(
    "P58-disk-full", must="503 meanwhile; it goes on by itself when there is room", random=False, needs=disks.why_not
)
async def _(environment: Environment) -> None:
    """PostgreSQL's data lies on a small disk, which is full for 15 s; then there is room again."""
    data = environment.stack.engines / "postgresql" / "data"
    await environment.stop("postgresql")
    with disks.small(data, spare_bytes=DISK_SPARE_BYTES):
        await environment.start("postgresql")
        await asyncio.sleep(3)
        with disks.full(data):
            await asyncio.sleep(15)
        await environment.until_ready("postgresql")
        await asyncio.sleep(5)
        await environment.stop("postgresql")
    await environment.start("postgresql")
