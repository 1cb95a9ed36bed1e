"""With DATABASES=apart: the first PostgreSQL instance, which holds no schema itself, sees those of all the others.

Its tables are foreign ones (postgres_fdw). The checks of the books read over all schemas, and so do the benches; no
service can log in here. What is read of two instances is not one snapshot: it says something once the fleet is quiet.
"""

import asyncio

import asyncpg

from common.database_roles import quoted
from common.database_urls import connect_arguments
from common.services import SCHEMAS
from ops import fleet
from ops.credentials import Credentials
from ops.ports import Layout

# An import of a schema leaves partitions out, and these are looked at.
PARTITIONS = ("outbox_default", "inbox_default")
# Columns as they are, without what only their own instance can compute.
PLAIN = "import_default 'false', import_generated 'false', import_not_null 'false', import_collate 'false'"
ROWS_AT_ONCE = 10_000


def prepare(layout: Layout, credentials: Credentials) -> None:
    """Make the observer's tables anew, as the schemas are now."""
    asyncio.run(_prepare(layout, credentials.words["postgresql_superuser"]))


async def _prepare(layout: Layout, password: str) -> None:
    administrator = await asyncpg.connect(fleet.database_url(layout, "postgres", password, "postgres"))
    try:
        if not await administrator.fetchval(
            "select exists (select from pg_database where datname = $1)", fleet.DATABASE
        ):
            await administrator.execute(f"create database {quoted(fleet.DATABASE)}")
    finally:
        await administrator.close()
    observer = await asyncpg.connect(**connect_arguments(fleet.database_url(layout, "postgres", password)))
    try:
        async with observer.transaction():
            await observer.execute("create extension if not exists postgres_fdw")
            for schema in SCHEMAS:
                await _import(observer, layout, schema, password)
    finally:
        await observer.close()


async def _import(observer: asyncpg.Connection, layout: Layout, schema: str, password: str) -> None:
    server = quoted(f"of_{schema}")
    await observer.execute(
        f"drop schema if exists {quoted(schema)} cascade; drop server if exists {server} cascade;"
        f" create schema {quoted(schema)};"
        f" create server {server} foreign data wrapper postgres_fdw options (host '{layout.host('postgresql')}',"
        f" port '{layout.database_port(schema)}', dbname '{fleet.DATABASE}', fetch_size '{ROWS_AT_ONCE}',"
        " use_remote_estimate 'false');"
        f" create user mapping for postgres server {server} options (user 'postgres', password '{password}');"
        f" import foreign schema {quoted(schema)} from server {server} into {quoted(schema)} options ({PLAIN});"
        f" import foreign schema {quoted(schema)} limit to ({', '.join(PARTITIONS)})"
        f" from server {server} into {quoted(schema)} options ({PLAIN})"
    )
    for definition in await _pure_functions(fleet.schema_url(layout, schema, "postgres", password), schema):
        await observer.execute(definition)


async def _pure_functions(url: str, schema: str) -> list[str]:
    """The definitions of the functions that depend on their arguments alone: they cannot be asked elsewhere."""
    owner = await asyncpg.connect(**connect_arguments(url))
    try:
        rows = await owner.fetch(
            "select pg_get_functiondef(p.oid) from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
            " where n.nspname = $1 and p.provolatile = 'i' and p.prokind = 'f'",
            schema,
        )
    finally:
        await owner.close()
    return [row[0] for row in rows]
