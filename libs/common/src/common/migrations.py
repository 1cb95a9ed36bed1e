"""Brings one service's schema up to date: common's delivery tables first, then the service's own migrations.

A service's migrations are Alembic files in `<package>/migrations` whose `upgrade()` is `op.execute("…plain SQL…")`;
one call may hold many statements. They go forward only, all in one transaction.
"""

import importlib.util
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from loguru import logger
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from common.database import sqlstate
from common.database_urls import connect_arguments

# A statement that cannot get its lock gives up instead of queueing everybody else behind it; the whole is tried again.
LOCK_TIMEOUT = "5s"
LOCK_NOT_AVAILABLE = "55P03"
ATTEMPTS_MAX = 5
# Another migrate of the same schema may take this long.
TURN_TIMEOUT = "120s"

_COMMON = Path(__file__).with_name("alembic")

# Rights of the service's role, which has the schema's name. Partitions get none: they are reached through their
# parent. An append-only table is known by the trigger that `make_append_only` gave it.
_GRANT = """
do $$
declare
    name text;
    append_only boolean;
    role text := current_schema();
begin
    for name, append_only in
        select c.relname, exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'append_only')
        from pg_class c
        where c.relnamespace = cast(quote_ident(current_schema()) as regnamespace)
          and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition and c.relname <> 'alembic_version'
    loop
        execute format('grant select, insert on %I to %I', name, role);
        execute format('%s update, delete on %I %s %I', case when append_only then 'revoke' else 'grant' end, name,
            case when append_only then 'from' else 'to' end, role);
    end loop;
    execute format('grant select on alembic_version to %I', role);
    execute format('grant usage, select on all sequences in schema %I to %I', role, role);
end
$$
"""

# Statistics for the planner, which otherwise guesses until autovacuum comes by. Table by table: a plain ANALYZE warns
# about every table that is somebody else's. Not of empty ones: of a table that was never analysed the planner thinks
# that it has some pages, of one analysed as empty that it will stay so, and its plans are kept.
_ANALYZE = """
do $$
declare
    name text;
    filled boolean;
begin
    for name in
        select relname from pg_class
        where relnamespace = cast(quote_ident(current_schema()) as regnamespace)
          and relkind in ('r', 'p') and not relispartition
    loop
        execute format('select exists (select from %I)', name) into filled;
        if filled then
            execute format('analyze %I', name);
        end if;
    end loop;
end
$$
"""


async def migrate(package: str | None, migration_url: str, schema: str) -> list[str]:
    """Apply what is missing in *schema*, give its role its rights, make partitions; returns what was applied.

    *migration_url* is the owner's, direct (not through a pooler). *package* None stands for common's tables alone.
    Safe to run several times and several at once. Raises what Postgres says when a migration fails; nothing of it
    stays then.
    """
    async with _owner(migration_url) as engine:
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS_MAX),
            wait=wait_random_exponential(max=5),
            retry=retry_if_exception(_lost_a_lock),
            reraise=True,
        ):
            with attempt:
                applied = await _migrate_once(engine, package, schema)
        # After the commit, because it takes its time.
        async with engine.begin() as connection:
            await connection.execute(text(_ANALYZE))
    return applied


async def pending(package: str | None, migration_url: str, schema: str) -> list[str]:
    """The revisions that `migrate` would apply, in order. Changes nothing."""
    async with _owner(migration_url) as engine, engine.connect() as connection:
        return await connection.run_sync(_pending, package, schema)


async def _migrate_once(engine: AsyncEngine, package: str | None, schema: str) -> list[str]:
    async with engine.begin() as connection:
        await _take_turn(connection, schema)
        applied = await connection.run_sync(_upgrade, package, schema)
        await connection.execute(text(_GRANT))
        ensure = text("select ensure_partitions() + ensure_api_request_partitions()")
        astray = (await connection.execute(ensure)).scalar_one()
    if astray:
        logger.warning("{} rows lie in the default partitions of {}", astray, schema)
    return applied


async def _take_turn(connection: AsyncConnection, schema: str) -> None:
    """Wait for other migrates of this schema; what follows is theirs to see, or ours to do."""
    settings = "select set_config('lock_timeout', :value, true)"
    await connection.execute(text(settings), {"value": TURN_TIMEOUT})
    await connection.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"{schema}.migrations"}
    )
    await connection.execute(text(settings), {"value": LOCK_TIMEOUT})
    # Functions pin this path (`set search_path from current`): pg_temp last, so that nobody's temporary table or
    # function stands in front of ours.
    await connection.execute(
        text("select set_config('search_path', quote_ident(:schema) || ', pg_temp', true)"), {"schema": schema}
    )


def _upgrade(connection: Connection, package: str | None, schema: str) -> list[str]:
    missing = _pending(connection, package, schema)
    if missing:
        config = _config(package)
        config.attributes |= {"connection": connection, "schema": schema}
        command.upgrade(config, "common@head")
        command.upgrade(config, "heads")
    return missing


def _pending(connection: Connection, package: str | None, schema: str) -> list[str]:
    script = ScriptDirectory.from_config(_config(package))
    context = MigrationContext.configure(connection, opts={"version_table_schema": schema})
    every = {revision.revision: revision for revision in script.walk_revisions()}
    applied = set()
    # A revision that is not known here belongs to a newer release, which is compatible (migrations only add).
    stack = [revision for revision in context.get_current_heads() if revision in every]
    while stack:
        revision = stack.pop()
        applied.add(revision)
        stack.extend(every[revision]._all_down_revisions)
    return [revision for revision in reversed(every) if revision not in applied]


def _config(package: str | None) -> Config:
    locations = [_COMMON / "versions"]
    if package is not None:
        locations.append(migrations_of(package))
    config = Config()
    config.set_main_option("script_location", str(_COMMON))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(str(path) for path in locations))
    return config


def migrations_of(package: str) -> Path:
    """The folder of a service's migrations. Raises ModuleNotFoundError when the package is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the package {package} is not installed", name=package)
    return Path(spec.origin).with_name("migrations")


def _lost_a_lock(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and sqlstate(error) == LOCK_NOT_AVAILABLE


@asynccontextmanager
async def _owner(migration_url: str) -> AsyncIterator[AsyncEngine]:
    # A schema that changes underneath makes cached statements useless.
    options: dict[str, Any] = {"timeout": 10, "statement_cache_size": 0, **connect_arguments(migration_url)}
    options |= {"server_settings": {"application_name": "migrate"}, "prepared_statement_cache_size": 0}
    # asyncpg itself reads the URL (dsn): SQLAlchemy takes a URL's parameters for Python arguments.
    engine = create_async_engine("postgresql+asyncpg://", poolclass=NullPool, connect_args=options)
    try:
        yield engine
    finally:
        await engine.dispose()
