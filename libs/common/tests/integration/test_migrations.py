import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from common import ids, migrations

DAY = timedelta(days=1)

TWO_TABLES = """
from alembic import op
revision = "{package}_0001"
down_revision = None


def upgrade():
    op.execute('''
        create table journals (journal_id uuid primary key, note text not null default ':not_a_parameter');
        insert into journals values (gen_random_uuid());
        create table drafts (draft_id bigint generated always as identity primary key);
        select make_append_only('journals');
    ''')
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A service with one migration, importable."""
    name = f"service_{uuid4().hex[:8]}"
    (tmp_path / name / "migrations").mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "migrations" / "0001_journals.py").write_text(TWO_TABLES.format(package=name))
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.fixture
async def owner(owner_url):
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def service(database_url):
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_several_migrates_at_once_apply_everything_once(owner_url, package):
    assert await migrations.pending(package, owner_url, "payment") == [f"{package}_0001"]
    applied = await asyncio.gather(*(migrations.migrate(package, owner_url, "payment") for _ in range(3)))
    assert sorted(applied) == [[], [], [f"{package}_0001"]]
    assert await migrations.pending(package, owner_url, "payment") == []


async def test_a_failing_migration_leaves_nothing_behind(owner_url, owner, package, tmp_path):
    broken = tmp_path / package / "migrations" / "0002_broken.py"
    broken.write_text(
        TWO_TABLES.format(package=package)
        .replace("_0001", "_0002")
        .replace("down_revision = None", f"down_revision = '{package}_0001'")
        .replace("create table journals", "create table broken (a int); create table journals")
    )
    with pytest.raises(Exception, match="already exists"):
        await migrations.migrate(package, owner_url, "payment")
    assert await owner.fetchval("select to_regclass('journals')") is None
    assert await migrations.pending(package, owner_url, "payment") == [f"{package}_0001", f"{package}_0002"]


async def test_a_newer_schema_than_the_code_knows_is_no_obstacle(owner_url, owner, package):
    await owner.execute("insert into alembic_version values ('payment_9999')")
    assert await migrations.pending(package, owner_url, "payment") == [f"{package}_0001"]


async def test_append_only_binds_the_service_and_the_owner(owner_url, owner, service, package):
    await migrations.migrate(package, owner_url, "payment")
    await service.execute("insert into journals values (gen_random_uuid())")
    for change in ("update journals set note = ''", "delete from journals", "truncate journals"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await service.execute(change)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await owner.execute(change)
    assert await service.fetchval("select count(*) from journals") == 2
    # Running it again must not give the rights back.
    await migrations.migrate(package, owner_url, "payment")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await service.execute("delete from journals")
    await service.execute("insert into drafts default values")
    await service.execute("delete from drafts")


async def test_append_only_partitions_can_still_be_dropped(owner):
    await owner.execute(
        "create table entries (entry_id uuid) partition by range (entry_id);"
        "create table entries_all partition of entries default;"
        "select make_append_only('entries');"
        "insert into entries values (gen_random_uuid())"
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await owner.execute("delete from entries_all")
    await owner.execute("drop table entries_all")


def envelope_at(moment: datetime) -> UUID:
    """A UUIDv7 as it would have been made at *moment*."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=(milliseconds << 80) | (ids.new().int & ((1 << 80) - 1)))


async def put(connection, moment: datetime, *, published: bool = False) -> UUID:
    envelope_id = envelope_at(moment)
    await connection.execute(
        "insert into outbox (envelope_id, exchange, routing_key, mandatory, type, body, published_at)"
        " values ($1, 'e', 'k', true, 't', '', $2)",
        envelope_id,
        moment if published else None,
    )
    return envelope_id


async def partition_of(connection, envelope_id: UUID) -> str:
    return await connection.fetchval(
        "select cast(tableoid as regclass)::text from outbox where envelope_id = $1", envelope_id
    )


def day(moment: datetime) -> str:
    return f"outbox_{moment:%Y%m%d}"


@pytest.mark.parametrize("ahead", range(-1, 4))
async def test_an_envelope_lies_in_the_partition_of_its_day(service, ahead):
    moment = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + ahead * DAY
    for instant in (moment, moment + DAY - timedelta(milliseconds=1)):
        assert await partition_of(service, await put(service, instant)) == day(instant)


async def test_what_fell_into_the_default_partition_is_moved_when_its_day_is_made(owner, service):
    now = datetime.now(UTC)
    await owner.execute(f"drop table {day(now)}")
    today, ancient = await put(service, now), await put(service, now - 400 * DAY)
    assert await partition_of(service, today) == "outbox_default"
    assert await service.fetchval("select ensure_partitions()") == 1
    assert await partition_of(service, today) == day(now)
    assert await partition_of(service, ancient) == "outbox_default"


async def test_partitions_are_made_while_others_write(owner, database_url):
    now = datetime.now(UTC)
    await owner.execute(f"drop table {day(now)}, {day(now + DAY)}")
    writer, *makers = [await asyncpg.connect(database_url) for _ in range(4)]
    written = []

    async def write() -> None:
        for _ in range(200):
            written.append(await put(writer, now))

    await asyncio.gather(write(), *(maker.fetchval("select ensure_partitions()") for maker in makers))
    places = {await partition_of(writer, envelope_id) for envelope_id in written}
    assert places == {day(now)}
    for connection in (writer, *makers):
        await connection.close()


async def old_partition(owner, parent: str, moment: datetime) -> str:
    await owner.execute("select create_partition($1, $2)", parent, moment.date())
    return f"{parent}_{moment:%Y%m%d}"


async def dropped(service) -> dict[str, tuple[bool, str | None]]:
    rows = await service.fetch("select * from drop_partitions(interval '3 days', interval '7 days')")
    return {row["name"]: (row["dropped"], row["reason"]) for row in rows}


async def test_old_partitions_are_dropped_whole(owner, service):
    now = datetime.now(UTC)
    outbox = await old_partition(owner, "outbox", now - 5 * DAY)
    young = await old_partition(owner, "inbox", now - 5 * DAY)
    inbox = await old_partition(owner, "inbox", now - 9 * DAY)
    await put(service, now - 5 * DAY, published=True)
    assert await dropped(service) == {outbox: (True, None), inbox: (True, None)}
    assert await owner.fetchval("select to_regclass($1)", outbox) is None
    assert await owner.fetchval("select to_regclass($1)", young) == young


async def test_an_unpublished_envelope_keeps_its_partition(owner, service):
    moment = datetime.now(UTC) - 5 * DAY
    name = await old_partition(owner, "outbox", moment)
    await put(service, moment)
    assert await dropped(service) == {name: (False, "it holds envelopes that are not published")}


async def test_the_inbox_outlives_the_oldest_dead_letter(owner, service):
    moment = datetime.now(UTC) - 9 * DAY
    name = await old_partition(owner, "inbox", moment)
    await service.execute(
        "insert into dead_letters (dead_letter_id, source_id, queue, type, event, producer, error_code, error_class,"
        " attempts, first_failed_at, dead_at) values ($1, $1, 'q', 't', '', 'p', 'c', 'k', 5, $2, $2)",
        ids.new(),
        moment,
    )
    assert await dropped(service) == {name: (False, "an open dead letter is as old")}
    await service.execute(
        "update dead_letters set status = 'DISCARDED', closed_at = now(), actor = 'operator', reason = 'obsolete'"
    )
    assert await dropped(service) == {name: (True, None)}


async def test_a_busy_table_keeps_its_partition_until_next_time(owner, service, database_url):
    name = await old_partition(owner, "outbox", datetime.now(UTC) - 5 * DAY)
    reader = await asyncpg.connect(database_url)
    async with reader.transaction():
        await reader.execute("select * from outbox")
        assert await dropped(service) == {name: (False, "the table is busy")}
    assert await dropped(service) == {name: (True, None)}
    await reader.close()


async def test_an_inbox_must_outlive_its_outbox(service):
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await service.execute("select * from drop_partitions(interval '5 days', interval '9 days')")
