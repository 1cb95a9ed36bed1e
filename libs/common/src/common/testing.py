"""The pytest plugin of the fleet: real engines, a fresh database for every test, a broker with the whole topology.

The engines are those of the file that COMMDESK_TEST_STACK names (`.run/test/stack.json` otherwise): a PostgreSQL whose
roles, a RabbitMQ whose vhosts and a Redis whose numbered databases are the tests' own. Which service is tested follows
from the test's path, `services/<name>/…`; a conftest elsewhere overrides `service_name` (and `migrations_package`).
What this module needs is imported late, because pytest loads it also for tests that need nothing of it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    import asyncpg
    from google.protobuf.message import Message
    from redis.asyncio import Redis

    from common.clock import FakeClock
    from common.database import Database

T = TypeVar("T")

LADDER_MS = (100, 200, 300, 400)
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
# So that what a killed run left behind is recognised by its process being gone.
RUN = f"{os.getpid()}_{WORKER}"
TEMPLATES_KEPT = 2
# pg_advisory_lock key: one worker at a time builds templates and sweeps.
_TURN = 0x74657374


@dataclass
class Stack:
    """The engines, and what this session has made in them."""

    superuser_url: str
    management_url: str
    amqp_url: str
    redis_url: str
    # Of database roles, where the file's neighbour secrets.json knows them: a fleet may run on the same engines.
    passwords: dict[str, str] = field(default_factory=dict)
    templates: dict[tuple[str, str | None], str] = field(default_factory=dict)
    databases_made: int = 0

    @classmethod
    def read(cls, start: Path) -> Stack:
        path = _stack_file(start)
        if not path.exists():
            pytest.fail(f"no engines to test against: {path} is missing; run `make test`, which starts them", False)
        neighbour = path.with_name("secrets.json")
        try:
            found = json.loads(path.read_text())
            passwords = json.loads(neighbour.read_text())["database"] if neighbour.exists() else {}
            return cls(
                superuser_url=found["postgresql"]["superuser_url"],
                management_url=found["rabbitmq"]["management_url"],
                amqp_url=found["rabbitmq"]["url"].rpartition("/")[0],
                redis_url=found["redis"]["url"].rpartition("/")[0],
                passwords=passwords,
            )
        except (KeyError, ValueError) as error:
            pytest.fail(f"{path} does not say where the engines are: {error!r}", False)


def _stack_file(start: Path) -> Path:
    named = os.environ.get("COMMDESK_TEST_STACK")
    if named:
        return Path(named)
    root = next((folder for folder in (start, *start.parents) if (folder / "protos/bindings.toml").exists()), start)
    return root / ".run/test/stack.json"


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Stack:
    """Where the engines are. Without them the test fails: it has not shown what it is there to show."""
    return Stack.read(request.config.rootpath)


@pytest.fixture
def service_name(request: pytest.FixtureRequest) -> str:
    """The service under test, as its folder is called."""
    parts = request.path.parts
    if "services" not in parts[:-1]:
        pytest.fail("this test is outside services/<name>/: override the fixture service_name in its conftest", False)
    return parts[parts.index("services") + 1]


@pytest.fixture
def migrations_package(service_name: str) -> str | None:
    """Whose migrations make the schema; None stands for common's tables alone."""
    return service_name.replace("-", "_")


# ── PostgreSQL ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def database_name(stack: Stack, service_name: str, migrations_package: str | None) -> Iterator[str]:
    """A fresh copy of the service's migrated database, gone after the test."""
    schema = service_name.replace("-", "_")
    key = (schema, migrations_package)
    if key not in stack.templates:
        stack.templates[key] = _run(_as_admin(stack, lambda admin: _template(stack, admin, schema, migrations_package)))
    stack.databases_made += 1
    name = f"test_{schema}_{RUN}_{stack.databases_made}"
    _run(_as_admin(stack, lambda admin: _copy(admin, stack.templates[key], name, schema)))
    yield name
    _run(_as_admin(stack, lambda admin: admin.execute(f'drop database "{name}" with (force)')))


@pytest.fixture
def superuser_url(stack: Stack, database_name: str) -> str:
    """The test's database as an administrator sees it."""
    from common.bootstrap import database_url as with_database

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
async def db(database_url: str, service_name: str) -> AsyncIterator[Database]:
    """The service's database. What is announced stays in its outbox: see `published`."""
    from common.database import connect

    async with connect(database_url, service=service_name) as database:
        yield database


async def published(db: Database, key: str | None = None) -> list[tuple[str, Message]]:
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


async def _template(stack: Stack, admin: asyncpg.Connection, schema: str, package: str | None) -> str:
    """The name of a migrated database to copy, built once per state of the migrations and kept between runs."""
    from common import bootstrap, migrations

    await admin.execute("select pg_advisory_lock($1)", _TURN)
    await _sweep(admin)
    prefix = f"template_{schema}_{'own' if package else 'common'}_"
    name = prefix + _fingerprint(package)
    if await admin.fetchval("select exists (select from pg_database where datname = $1)", name):
        return name
    roles = {role: stack.passwords.get(role) or _password(role) for role in (schema, f"{schema}_owner")}
    building = f"test_{schema}_{RUN}_template"
    await bootstrap.database(stack.superuser_url, building, roles)
    await migrations.migrate(package, _role_url(stack, building, f"{schema}_owner"), schema)
    await admin.execute(f'alter database "{building}" rename to "{name}"')
    known = await admin.fetch("select datname from pg_database where datname like $1 order by oid desc", prefix + "%")
    for (old,) in known[TEMPLATES_KEPT:]:
        await admin.execute(f'drop database if exists "{old}"')
    return name


async def _copy(admin: asyncpg.Connection, template: str, name: str, schema: str) -> None:
    await admin.execute(f'create database "{name}" template "{template}"')
    # A copy starts with the rights of any new database.
    await admin.execute(
        f'revoke all on database "{name}" from public; grant connect on database "{name}" to {schema}, {schema}_owner'
    )


def _fingerprint(package: str | None) -> str:
    from common import bootstrap, migrations

    files = [Path(bootstrap.__file__), Path(migrations.__file__)]
    files += sorted(Path(migrations.__file__).with_name("alembic").rglob("*.py"))
    if package is not None:
        files += sorted(migrations.migrations_of(package).glob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    # The daily partitions inside grow old.
    digest.update(str(int(time.time()) // 86_400).encode())
    return digest.hexdigest()[:16]


async def _sweep(admin: asyncpg.Connection) -> None:
    """Drop the databases of runs that were killed."""
    for (name,) in await admin.fetch("select datname from pg_database where datname ~ '^test_.*_[0-9]+_[a-z]+[0-9]*_'"):
        if _is_over(int(name.split("_")[-3])):
            await admin.execute(f'drop database if exists "{name}" with (force)')


async def _as_admin(stack: Stack, work: Callable[[asyncpg.Connection], Coroutine[Any, Any, T]]) -> T:
    import asyncpg

    admin = await asyncpg.connect(stack.superuser_url)
    try:
        return await work(admin)
    finally:
        await admin.close()


def _role_url(stack: Stack, database: str, role: str) -> str:
    from common.bootstrap import database_url as with_role

    return with_role(stack.superuser_url, database, role, stack.passwords.get(role) or _password(role))


def _password(name: str) -> str:
    """The same in every run, because the roles outlive it; these engines listen on this machine only."""
    return f"of-{name}-in-tests"


# ── RabbitMQ ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def retry_ladder_ms() -> Sequence[int]:
    return LADDER_MS


@pytest.fixture(scope="session")
def vhost(stack: Stack, retry_ladder_ms: Sequence[int]) -> Iterator[str]:
    """A vhost of this worker's own with the whole topology."""
    name = f"test_{RUN}"
    _run(_make_vhost(stack, name, retry_ladder_ms))
    yield name
    _run(_drop_vhost(stack, name))


@pytest.fixture
def broker_admin_url(stack: Stack, vhost: str, service_name: str, retry_ladder_ms: Sequence[int]) -> str:
    """The broker as the migrate step sees it, for tests that speak in another service's name. Queues are empty."""
    url = f"{stack.amqp_url}/{vhost}"
    _run(_purge(url, service_name, retry_ladder_ms))
    return url


@pytest.fixture
def broker_url(stack: Stack, vhost: str, service_name: str, broker_admin_url: str) -> str:
    """The broker as the service sees it: with the rights that the contract gives it. Its queues are empty."""
    user = f"test-{service_name}"
    _run(_grant(stack, vhost, user, service_name))
    scheme, _, address = stack.amqp_url.partition("://")
    return f"{scheme}://{user}:{_password(user)}@{address.rpartition('@')[2]}/{vhost}"


async def _make_vhost(stack: Stack, name: str, ladder_ms: Sequence[int]) -> None:
    import aio_pika

    from common import topology
    from common.bootstrap import management

    async with management(stack.management_url) as api:
        for known in await (await api.get("/api/vhosts")).json():
            parts = known["name"].split("_")
            if parts[0] == "test" and len(parts) == 3 and _is_over(int(parts[1])):
                await api.delete(f"/api/vhosts/{known['name']}")
        await api.put(f"/api/vhosts/{name}", json={})
        user = (await (await api.get("/api/whoami")).json())["name"]
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await api.put(f"/api/permissions/{name}/{user}", json=everything)
    async with await aio_pika.connect(f"{stack.amqp_url}/{name}") as connection:
        await topology.declare(await connection.channel(), ladder_ms)


async def _drop_vhost(stack: Stack, name: str) -> None:
    from common.bootstrap import management

    async with management(stack.management_url) as api:
        await api.delete(f"/api/vhosts/{name}")


async def _grant(stack: Stack, vhost: str, user: str, service: str) -> None:
    from common.bootstrap import management, rights

    async with management(stack.management_url) as api:
        await api.put(f"/api/users/{user}", json={"password": _password(user), "tags": ""})
        await api.put(f"/api/permissions/{vhost}/{user}", json=rights(service))


async def _purge(url: str, service: str, ladder_ms: Sequence[int]) -> None:
    import aio_pika

    from common import topology

    queues = [name for queue in topology.CONTRACT.queues_of(service) for name in (queue.name, queue.dead_letters)]
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for name in [*(topology.rung(ttl_ms) for ttl_ms in ladder_ms), *queues]:
            await (await channel.get_queue(name, ensure=False)).purge()


# ── Redis ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def redis_database(stack: Stack) -> Iterator[str]:
    """The URL of a numbered database that nobody else uses meanwhile; number 0 keeps who has which."""
    import redis

    register = redis.Redis.from_url(f"{stack.redis_url}/0")
    for number in range(1, 16):
        lease = f"commdesk:test:database:{number}"
        holder = register.get(lease)
        if isinstance(holder, bytes) and _is_over(int(holder)):
            register.delete(lease)
        if register.set(lease, os.getpid(), nx=True, ex=7200):
            yield f"{stack.redis_url}/{number}"
            register.delete(lease)
            register.close()
            return
    pytest.fail("all numbered databases of the tests' Redis are taken", False)


@pytest.fixture
def redis_url(redis_database: str) -> str:
    """A Redis database, empty."""
    import redis

    with redis.Redis.from_url(redis_database) as client:
        client.flushdb()
    return redis_database


@pytest_asyncio.fixture(name="redis")
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    """A client as the services have it, over an empty database."""
    from common import redis

    client = redis.connect(redis_url)
    yield client
    await client.aclose()


# ── Everything else ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def clock() -> FakeClock:
    from common.clock import FakeClock

    return FakeClock()


@pytest.fixture(scope="session")
def service_keys() -> dict[str, str]:
    """A private key (base64 of the raw 32 bytes) for every name in the contract."""
    from common.topology import CONTRACT

    names = {queue.owner for queue in CONTRACT.queues} | {
        name for callers in CONTRACT.calls.values() for name in callers
    }
    names |= {producer for event in CONTRACT.events.values() for producer in event.producers} - {"*"}
    return {name: base64.b64encode(os.urandom(32)).decode() for name in sorted(names | {"identity", "operator"})}


@pytest.fixture
def settings_env(
    monkeypatch: pytest.MonkeyPatch,
    service_name: str,
    service_keys: dict[str, str],
    database_url: str,
    owner_url: str,
    broker_url: str,
    broker_admin_url: str,
    redis_url: str,
    retry_ladder_ms: Sequence[int],
) -> dict[str, str]:
    """The environment that the service's Settings read, set and returned; a test adds what is its service's own."""
    environment = {
        "ENVIRONMENT": "test",
        "HTTP_PORT": str(free_port()),
        "GRPC_PORT": str(free_port()),
        "DATABASE_URL": database_url,
        "DATABASE_MIGRATION_URL": owner_url,
        "RABBITMQ_URL": broker_url,
        "RABBITMQ_MIGRATION_URL": broker_admin_url,
        "REDIS_URL": redis_url,
        "SERVICE_PRIVATE_KEY": service_keys[service_name],
        "SERVICE_PUBLIC_KEYS": json.dumps({name: public_key(key) for name, key in service_keys.items()}),
        "JWT_SECRET": secrets.token_hex(32),
        "RETRY_LADDER_MS": ",".join(str(ttl_ms) for ttl_ms in retry_ladder_ms),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


def public_key(private_key: str) -> str:
    """The public half of an Ed25519 key, both as base64 of their raw bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private_key))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _is_over(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Await *work* from a synchronous fixture, in a loop of its own that outlives no fixture."""
    with asyncio.Runner() as runner:
        return runner.run(work)
