"""Which commits count as effects, against a real PostgreSQL: those that changed something, by any caller."""

from uuid import UUID

import asyncpg
import pytest

from common.database import Database, Engine
from tests.faults.crash_points.effects import Counter, watch_database

INTENT = UUID(int=7)
RECORD = "insert into intents (intent_id, kind, payload, attempts, due_at) values (:id, 'test', '', 0, now())"
FINISH = "update intents set done_at = now() where intent_id = :id and done_at is null"


class _Seen(Counter):
    def __init__(self) -> None:
        self.effects: list[str] = []

    def happened(self, what: str) -> None:
        self.effects.append(what)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The effects so far; the driver is itself again after the test."""
    for owner, name in (
        (asyncpg.Connection, "fetch"),
        (asyncpg.Connection, "copy_records_to_table"),
        (Engine, "begin"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    counter = _Seen()
    watch_database(counter)
    return counter.effects


async def test_a_transaction_is_one_effect_if_it_changed_anything(db: Database, seen: list[str]) -> None:
    async with db.begin() as tx:
        await tx.execute(RECORD, id=INTENT)
        await tx.execute(FINISH, id=INTENT)
    async with db.begin() as tx:
        await tx.execute(FINISH, id=INTENT)
    assert seen == ["commit intents"]


async def test_a_statement_that_is_committed_by_itself_is_one_too(db: Database, seen: list[str]) -> None:
    async with db.autocommit() as tx:
        await tx.execute(RECORD, id=INTENT)
        assert (await tx.execute("select kind from intents where intent_id = :id", id=INTENT)).scalar() == "test"
        rows = await tx.execute(FINISH + " returning kind", id=INTENT)
        await tx.execute(FINISH, id=INTENT)
    assert rows.scalars() == ["test"]
    assert seen == ["commit intents", "commit intents"]
    async with db.begin() as tx:
        await tx.execute("select 1")
    assert len(seen) == 2, "what was committed before is no part of a later transaction"
