"""Passes over whole tables, over two that exist for these tests alone."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from loguru import logger

from common import ids, seals, table_passes
from common.database import Database
from common.personal_data import PersonalData, PersonalTable, Retention
from common.seals import EMAIL, Sealer
from common.table_passes import Progress, reseal_next

TABLES = ("first_people", "second_people")
DATA = PersonalData(
    tables=[
        PersonalTable(name=name, key="person_id", sealed={"email": EMAIL}, retention=Retention(timedelta(days=1)))
        for name in TABLES
    ]
)


@pytest.fixture(autouse=True)
async def people(owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    for table in TABLES:
        await owner.execute(f"create table {table} (person_id uuid primary key, email text not null)")
        await owner.execute(f"grant select, insert, update, delete on {table} to payment")
    await owner.close()


async def insert(db: Database, table: str, emails: Sequence[str], person_ids: Sequence[UUID] = ()) -> list[UUID]:
    person_ids = person_ids or [ids.new() for _ in emails]
    async with db.begin() as tx:
        await tx.execute(
            f"insert into {table} select * from unnest(cast(:ids as uuid[]), cast(:emails as text[]))",
            ids=list(person_ids),
            emails=list(emails),
        )
    return list(person_ids)


async def stored(db: Database, table: str) -> list[str]:
    async with db.begin() as tx:
        return list((await tx.execute(f"select email from {table} order by person_id")).scalars())


@contextmanager
def logged() -> Iterator[list[Any]]:
    records: list[Any] = []
    sink = logger.add(lambda message: records.append(message.record), level="ERROR")
    try:
        yield records
    finally:
        logger.remove(sink)


async def test_a_value_that_does_not_open_holds_up_neither_its_table_nor_the_next(db: Database) -> None:
    lost = Sealer({"lost": os.urandom(32)}, b"").seal(EMAIL, "lost@example.com")
    junk = f"s1.junk.{'A' * 80}"
    _, lost_id, junk_id, _ = await insert(db, TABLES[0], ["a@example.com", lost, junk, "b@example.com"])
    await insert(db, TABLES[1], ["c@example.com"])
    with logged() as records:
        await table_passes.reseal_all(db, DATA)
    first = await stored(db, TABLES[0])
    assert first[1:3] == [lost, junk]
    assert [db.sealer.open(EMAIL, each) for each in (first[0], first[3])] == ["a@example.com", "b@example.com"]
    assert [seals.key_of(each) for each in await stored(db, TABLES[1])] == [db.sealer.key_id]
    # What the operator needs to find them, and nothing of what they hold.
    assert [(each["extra"]["row"], each["extra"]["keys"]) for each in records] == [
        (str(lost_id), ["lost"]),
        (str(junk_id), ["junk"]),
    ]
    assert not any(lost in str(each) or junk in str(each) for each in records)
    uses = {(use.table, use.key_id): use.count for use in await table_passes.key_uses(db, DATA)}
    assert uses[TABLES[0], "lost"] == uses[TABLES[0], "junk"] == 1


async def test_the_tables_are_sealed_one_after_the_other(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_passes, "BATCH_ROWS", 2)
    for table in TABLES:
        await insert(db, table, ["a@example.com", "b@example.com"])
    assert await reseal_next(db, DATA) == [Progress(TABLES[0], 2, 2, False), Progress(TABLES[1], 0, 0, False)]
    assert await reseal_next(db, DATA) == [Progress(TABLES[0], 2, 2, True), Progress(TABLES[1], 0, 0, False)]
    assert await reseal_next(db, DATA) == [Progress(TABLES[0], 2, 2, True), Progress(TABLES[1], 2, 2, False)]
    assert await reseal_next(db, DATA) == [Progress(TABLES[0], 2, 2, True), Progress(TABLES[1], 2, 2, True)]
    await table_passes.restart_resealing(db, DATA)
    assert await reseal_next(db, DATA) == [Progress(TABLES[0], 2, 0, False), Progress(TABLES[1], 0, 0, False)]


async def test_a_pass_that_is_completed_locks_nothing(db: Database) -> None:
    """Every replica looks every quarter of a minute."""
    await insert(db, TABLES[0], ["a@example.com"])
    await table_passes.reseal_all(db, DATA)
    async with db.begin() as tx, asyncio.timeout(2):
        await tx.execute("select 1 from table_passes for update")
        assert all(each.completed for each in await reseal_next(db, DATA))


async def test_what_is_older_than_it_is_kept_is_forgotten_batch_by_batch(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_passes, "BATCH_ROWS", 2)
    two_days_ago = [ids.lower_bound(db.clock.now() - timedelta(days=2, seconds=number)) for number in range(5)]
    await insert(db, TABLES[0], ["old@example.com"] * 5, two_days_ago)
    await insert(db, TABLES[0], ["new@example.com"])
    assert await table_passes.forget_old(db, DATA) == {TABLES[0]: 5, TABLES[1]: 0}
    assert await stored(db, TABLES[0]) == ["new@example.com"]
