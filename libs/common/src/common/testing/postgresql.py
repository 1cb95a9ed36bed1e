"""A fresh copy of the service's migrated database for every test, and the roles that production has."""

import hashlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import pytest_asyncio

from common.testing.engines import RUN, Stack, is_over, password_of, run

if TYPE_CHECKING:
    import asyncpg
    from google.protobuf.message import Message

    from common.database import Database

T = TypeVar("T")

TEMPLATES_KEPT = 2
# pg_advisory_lock key: one worker at a time builds templates and sweeps.
_TURN = 0x74657374


@pytest.fixture
def database_name(stack: Stack, service_name: str, migrations_package: str | None) -> Iterator[str]:
    """A fresh copy of the service's migrated database, gone after the test."""
    schema = service_name.replace("-", "_")
    key = (schema, migrations_package)
    if key not in stack.templates:
        stack.templates[key] = run(_as_admin(stack, lambda admin: _template(stack, admin, schema, migrations_package)))
    stack.databases_made += 1
    name = f"test_{schema}_{RUN}_{stack.databases_made}"
    run(_as_admin(stack, lambda admin: _copy(admin, stack.templates[key], name, schema)))
    yield name
    run(_as_admin(stack, lambda admin: admin.execute(f'drop database "{name}" with (force)')))


@pytest.fixture
def superuser_url(stack: Stack, database_name: str) -> str:
    """The test's database as an administrator sees it."""
    from common.database_urls import database_url as with_database

    return with_database(stack.superuser_url, database_name)


@pytest.fixture
def owner_url(stack: Stack, database_name: str, service_name: str) -> str:
    """The test's database as the service's migrations see it."""
    return _role_url(stack, database_name, service_name.replace("-", "_") + "_owner")


@pytest.fixture
def database_url(stack: Stack, database_name: str, service_name: str) -> str:
    """The test's database as the service itself sees it: with no more rights than in production."""
    return _role_url(stack, database_name, service_name.replace("-", "_"))


@pytest_asyncio.fixture
async def db(database_url: str, service_name: str, encryption_key: str) -> "AsyncIterator[Database]":
    """The service's database. What is announced stays in its outbox: see `published`."""
    from common.database import connect
    from common.seals import Sealer, read_key, read_keys

    sealer = Sealer(read_keys(f"t1:{encryption_key}"), read_key(encryption_key, "the test's key"))
    async with connect(database_url, service=service_name, sealer=sealer) as database:
        yield database


async def published(db: "Database", key: str | None = None) -> "list[tuple[str, Message]]":
    """What is in the outbox, oldest first: (routing key, event) for every event, or for those of one *key*."""
    from commdesk.common.v1.common_pb2 import Envelope
    from common.topology import message_type

    async with db.begin() as tx:
        rows = (await tx.execute("select routing_key, type, body from outbox order by envelope_id")).all()
    return [
        (row.routing_key, message_type(row.type).FromString(event))
        for row in rows
        if key in (None, row.routing_key)
        for event in Envelope.FromString(row.body).events
    ]


async def _template(stack: Stack, admin: "asyncpg.Connection", schema: str, package: str | None) -> str:
    """The name of a migrated database to copy, built once per state of the migrations and kept between runs."""
    from common import bootstrap, migrations

    await admin.execute("select pg_advisory_lock($1)", _TURN)
    await _sweep(admin)
    prefix = f"template_{schema}_{'own' if package else 'common'}_"
    name = prefix + _fingerprint(package)
    if await admin.fetchval("select exists (select from pg_database where datname = $1)", name):
        return name
    roles = {role: stack.passwords.get(role) or password_of(role) for role in (schema, f"{schema}_owner")}
    building = f"test_{schema}_{RUN}_template"
    await bootstrap.database(stack.superuser_url, building, roles)
    await migrations.migrate(package, _role_url(stack, building, f"{schema}_owner"), schema)
    await admin.execute(f'alter database "{building}" rename to "{name}"')
    kept = await admin.fetch("select datname from pg_database where datname like $1 order by oid desc", prefix + "%")
    for (old,) in kept[TEMPLATES_KEPT:]:
        await admin.execute(f'drop database if exists "{old}"')
    return name


async def _copy(admin: "asyncpg.Connection", template: str, name: str, schema: str) -> None:
    await admin.execute(f'create database "{name}" template "{template}"')
    # A copy starts with the rights of any new database.
    await admin.execute(
        f'revoke all on database "{name}" from public; grant connect on database "{name}" to {schema}, {schema}_owner'
    )


def _fingerprint(package: str | None) -> str:
    from common import bootstrap, database_roles, migrations

    files = [Path(bootstrap.__file__), Path(database_roles.__file__), Path(migrations.__file__)]
    files += sorted(Path(migrations.__file__).with_name("alembic").rglob("*.py"))
    if package is not None:
        files += sorted(migrations.migrations_of(package).glob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    # The daily partitions inside grow old.
    digest.update(str(int(time.time()) // 86_400).encode())
    return digest.hexdigest()[:16]


async def _sweep(admin: "asyncpg.Connection") -> None:
    """Drop the databases of runs that were killed."""
    for (name,) in await admin.fetch("select datname from pg_database where datname ~ '^test_.*_[0-9]+_[a-z]+[0-9]*_'"):
        if is_over(int(name.split("_")[-3])):
            await admin.execute(f'drop database if exists "{name}" with (force)')


async def _as_admin(stack: Stack, work: "Callable[[asyncpg.Connection], Coroutine[Any, Any, T]]") -> T:
    import asyncpg

    admin = await asyncpg.connect(stack.superuser_url)
    try:
        return await work(admin)
    finally:
        await admin.close()


def _role_url(stack: Stack, database: str, role: str) -> str:
    from common.database_urls import database_url as with_role

    return with_role(stack.superuser_url, database, role, stack.passwords.get(role) or password_of(role))
