"""Listed values are sealed, found, shown and erased; the addresses and devices of old decisions are cleared."""

import os
from collections.abc import Callable
from datetime import timedelta

import asyncpg
import pytest

from common import personal_data
from common.clock import FakeClock
from common.database import Database, connect
from common.personal_data import Person
from common.seals import Sealer
from common.table_passes import reseal_next
from fraud.domain.rules import Decision
from fraud.domain.scores import Score
from fraud.domain.subjects import Subject
from fraud.in_flight import InFlightRequests
from fraud.store import commands
from fraud.store.personal_data import PERSONAL_DATA
from fraud.store.subject_lists import LISTED
from fraud.use_cases import fraud_events, scores, subject_lists

BuildSubject = Callable[..., Subject]
ENTRIES = {"USER": "usr_1", "IP": "2001:db8:1:2::9", "DEVICE": "dev-7c1"}


async def insert_entries(db: Database) -> None:
    async with db.begin() as tx:
        for dimension, value in ENTRIES.items():
            await tx.execute(
                "insert into subject_lists (verdict, dimension, merchant_id, value, reason, actor)"
                " values ('BLOCK', :dimension, 'mer_1', :value, 'test', 'operator:test')",
                dimension=dimension,
                value=value,
            )


async def listed(db: Database, one: Subject, clock: FakeClock) -> bool:
    [score] = await scores.score_subjects(db, [], InFlightRequests(timedelta(seconds=1)), clock, [one])
    return score.decision is Decision.BLOCK


async def assert_all_are_listed(db: Database, subject: BuildSubject, clock: FakeClock) -> None:
    assert await listed(db, subject("usr_1", ip="9.9.9.9"), clock)
    assert await listed(db, subject("usr_2", ip="2001:db8:1:2:a:b:c:d"), clock)
    assert await listed(db, subject("usr_2", ip="9.9.9.9", device_id="dev-7c1"), clock)
    assert not await listed(db, subject("usr_2", ip="2001:db8:1:3::9", device_id="dev"), clock)


async def test_an_entry_is_sealed_and_counts_from_then_on(
    db: Database, subject: BuildSubject, clock: FakeClock
) -> None:
    await insert_entries(db)
    assert not await listed(db, subject("usr_1"), clock)
    await subject_lists.seal_entries(db)
    await assert_all_are_listed(db, subject, clock)
    async with db.begin() as tx:
        rows = (
            await tx.execute("select dimension, value, user_id, cast(l as text) as whole from subject_lists l")
        ).all()
    for row in rows:
        assert row.value.startswith("s1.")
        assert tx.sealer.open(LISTED, row.value) == ENTRIES[row.dimension]
        assert row.user_id == ("usr_1" if row.dimension == "USER" else "")
        assert row.dimension == "USER" or ENTRIES[row.dimension] not in row.whole


async def test_rows_of_before_are_sealed_by_whichever_job_comes_first(
    db: Database, subject: BuildSubject, clock: FakeClock
) -> None:
    await insert_entries(db)
    while not all(each.completed for each in await reseal_next(db, PERSONAL_DATA)):
        pass
    await subject_lists.seal_entries(db)
    await assert_all_are_listed(db, subject, clock)


async def test_a_rotated_key_changes_no_entry(database_url: str, subject: BuildSubject, clock: FakeClock) -> None:
    old, new, index_key = {"old": os.urandom(32)}, {"new": os.urandom(32)}, os.urandom(32)
    async with connect(database_url, service="fraud", sealer=Sealer(old, index_key)) as db:
        await insert_entries(db)
        await subject_lists.seal_entries(db)
    async with connect(database_url, service="fraud", sealer=Sealer(new | old, index_key)) as db:
        while not all(each.completed for each in await reseal_next(db, PERSONAL_DATA)):
            pass
        await assert_all_are_listed(db, subject, clock)
    async with connect(database_url, service="fraud", sealer=Sealer(new, index_key)) as db, db.begin() as tx:
        values = (await tx.execute("select value from subject_lists")).scalars()
        assert sorted(db.sealer.open(LISTED, value) for value in values) == sorted(ENTRIES.values())


async def test_a_person_is_shown_and_forgotten(db: Database, subject: BuildSubject, clock: FakeClock) -> None:
    await insert_entries(db)
    await subject_lists.seal_entries(db)
    async with db.begin() as tx:
        exported = await personal_data.export(tx, PERSONAL_DATA, Person(user_id="usr_1"))
        [entry] = exported["subject_lists"]
        assert (entry["value"], entry["verdict"], entry["reason"]) == ("usr_1", "BLOCK", "test")
        assert await personal_data.erase(tx, PERSONAL_DATA, Person(user_id="usr_2")) == {"subject_lists": 0}
        assert await personal_data.erase(tx, PERSONAL_DATA, Person(user_id="usr_1")) == {"subject_lists": 1}
    assert not await listed(db, subject("usr_1", ip="9.9.9.9"), clock)
    assert await listed(db, subject("usr_2", ip="2001:db8:1:2::1"), clock)


async def decide(db: Database, subject: BuildSubject, number: int) -> None:
    async with db.begin() as tx:
        blocked = [
            Score(subject(device_id="dev"), 1000, Decision.BLOCK, ("user_creates_1m_flood",)) for _ in range(number)
        ]
        await commands.insert_decisions(tx, blocked, db.clock.now())


async def test_addresses_and_devices_of_old_decisions_are_cleared(
    db: Database, subject: BuildSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fraud_events, "BATCH_ROWS", 2)
    await decide(db, subject, 5)
    count = "select count(*) from fraud_events where ip_index is not null and device_index is not null"
    await fraud_events.clear_origins(db, timedelta(days=1))
    async with db.begin() as tx:
        assert (await tx.execute(count)).scalar_one() == 5
    await fraud_events.clear_origins(db, timedelta(days=-1))
    async with db.begin() as tx:
        rows = (await tx.execute("select * from fraud_events")).all()
    assert {(row.ip_index, row.device_index, row.user_id, row.score) for row in rows} == {(None, None, "usr_1", 1000)}


@pytest.mark.parametrize(
    "statement",
    [
        "update fraud_events set score = 0",
        "update fraud_events set ip_index = null, score = 0",
        "update fraud_events set ip_index = sha256('x')",
        "update fraud_events set device_index = null, user_id = ''",
        "delete from fraud_events",
        "truncate fraud_events cascade",
    ],
)
async def test_a_decision_stays_as_it_is(
    db: Database, subject: BuildSubject, database_url: str, owner_url: str, statement: str
) -> None:
    await decide(db, subject, 1)
    for url in (database_url, owner_url):
        connection = await asyncpg.connect(url)
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        finally:
            await connection.close()
