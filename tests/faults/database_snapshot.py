"""The database of a fleet, copied while it is right and put back once a control has spoilt it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from common import bootstrap, database_urls, topology
from common.topology import CONTRACT
from ops.fleet import DATABASE
from tests.faults.environment import Environment

COPY, FRESH, RUINED = "spotless", "fresh", "ruined"


async def copy(environment: Environment) -> None:
    """Keep the data as it is now."""
    async with _server(environment) as admin:
        await _without_sessions(admin, f"create database {COPY} template {DATABASE}")
        await admin.execute(f"create database {FRESH} template {COPY}")


async def put_back(environment: Environment) -> None:
    """The data as it was when it was copied, queues and gateway empty; services connect anew by themselves."""
    await environment.fleet.sandbox("POST", "/control/reset", {})
    async with environment.broker() as channel:
        await topology.declare(channel, environment.fleet.description["retry_schedule_ms"])
        for name in _queues(environment):
            await (await channel.get_queue(name)).purge()
    url = environment.fleet.description["postgresql"]["superuser_url"]
    services = bootstrap.services_of(environment.stack.credentials.database)
    await bootstrap.make_schemas(database_urls.database_url(url, FRESH), services)
    async with _server(environment) as admin:
        # Two renames, so that the database is away for no longer than they take.
        await _without_sessions(
            admin, f"alter database {DATABASE} rename to {RUINED}", f"alter database {FRESH} rename to {DATABASE}"
        )
        await admin.execute(f"drop database {RUINED}")
        await admin.execute(f"create database {FRESH} template {COPY}")
    environment.deadlocks = 0


async def _without_sessions(admin: asyncpg.Connection, *statements: str) -> None:
    """Run statements on the database while nobody can be in it."""
    await admin.execute(f"alter database {DATABASE} allow_connections false")
    try:
        await admin.fetch("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1", DATABASE)
        for statement in statements:
            await admin.execute(statement)
    finally:
        await admin.execute(f"alter database {DATABASE} allow_connections true")


@asynccontextmanager
async def _server(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    """An administrator's connection, outside the database."""
    connection = await asyncpg.connect(environment.fleet.description["postgresql"]["superuser_url"], timeout=5)
    try:
        yield connection
    finally:
        await connection.close()


def _queues(environment: Environment) -> list[str]:
    schedule_ms = environment.fleet.description["retry_schedule_ms"]
    tiers = [name for ttl_ms in schedule_ms for name in topology.retry_queues(ttl_ms)]
    return [name for queue in CONTRACT.queues for name in (queue.name, queue.dead_letters)] + tiers
