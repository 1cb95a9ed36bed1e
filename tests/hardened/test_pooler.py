"""common.database behind a PgBouncer in transaction mode: what is mixed keeps apart, and what keeps sessions fails."""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from common import bootstrap, ids, seals
from common.database import Database, connect
from ops import pgbouncer

INTENT = "insert into intents (intent_id, kind, payload, attempts, due_at) values (:id, :kind, '', 0, now())"
COLUMNS = ("intent_id", "kind", "payload", "attempts", "due_at")
# Far more than the sessions behind the pooler.
AT_ONCE = 40


@pytest.fixture
def service_name() -> str:
    """Common's tables of one service are enough."""
    return "payment"


@pytest.fixture
def migrations_package() -> None:
    return None


@pytest.fixture
def pooler_url(database_url: str, free_port_of_pooler: int) -> Iterator[str]:
    """The test's database through a PgBouncer of its own."""
    parts = urlsplit(database_url)
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="commdesk-pooler-") as home:
        process = pgbouncer.prepare(
            home=Path(home),
            port=free_port_of_pooler,
            postgresql_port=parts.port or 0,
            passwords={unquote(parts.username or ""): unquote(parts.password or "")},
        )
        running = subprocess.Popen(process.command, user=process.user, cwd="/", stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while not pgbouncer.answers(free_port_of_pooler):
                assert running.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
            yield parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{free_port_of_pooler}").geturl()
        finally:
            running.terminate()
            running.wait()


@pytest.fixture
def free_port_of_pooler() -> int:
    from common.testing import free_port

    return free_port()


@pytest.fixture
async def pooled(pooler_url: str) -> AsyncIterator[Database]:
    async with connect(
        pooler_url, service="payment", sealer=seals.generated(), pool_size=16, pooler=True, least_rights=True
    ) as database:
        yield database


async def mixed(db: Database, number: int) -> None:
    """A transaction with writes, a read of them and a COPY; statements by themselves between them."""
    first, second, kind = ids.new(), ids.new(), f"kind-{number}"
    async with db.begin() as tx:
        await tx.execute("set local statement_timeout = '20s'")
        await tx.write("intents", INTENT, id=first, kind=kind)
        assert (await tx.execute("select kind from intents where intent_id = :id", id=first)).scalar() == kind
        await tx.copy("intents", COLUMNS, [(second, kind, b"", 0, db.clock.now())])
    async with db.autocommit() as tx:
        count = await tx.execute(
            "select count(*), cast('{\"a\": 1}' as jsonb) from intents where kind = :kind", kind=kind
        )
        assert tuple(count.one()) == (2, {"a": 1})
        await tx.execute("update intents set attempts = attempts + 1 where kind = :kind", kind=kind)
    await db.ping()


async def test_work_is_right_while_sessions_are_shared(pooled: Database, superuser_url: str) -> None:
    for start in range(0, 400, AT_ONCE):
        await asyncio.gather(*(mixed(pooled, number) for number in range(start, start + AT_ONCE)))
    async with pooled.begin() as tx:
        assert tuple((await tx.execute("select count(*), sum(attempts) from intents")).one()) == (800, 800)
    connection = await asyncpg.connect(superuser_url)
    try:
        sessions = await connection.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database() and usename = 'payment'"
        )
    finally:
        await connection.close()
    assert 1 <= sessions <= pgbouncer.SESSIONS_PER_ROLE


async def test_without_the_setting_it_fails(pooler_url: str) -> None:
    """What the setting is for: prepared statements that stay in a session."""
    async with connect(pooler_url, service="payment", sealer=seals.generated(), pool_size=16, pooler=False) as db:
        results = await asyncio.gather(*(mixed(db, number) for number in range(AT_ONCE)), return_exceptions=True)
    assert any(isinstance(result, asyncpg.PostgresError) for result in results)


async def test_bootstrap_refuses_a_pooler() -> None:
    with pytest.raises(ValueError, match="direct URL"):
        await bootstrap.database("postgresql://u:p@ep-cool-a1-pooler.ap-southeast-1.aws.neon.tech/neondb", "x", {})
