"""Writes of a transaction: they travel together, in the order that a reader would expect, or not at all."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from common import ids, seals
from common.database import Connection, Database, RoleTooPowerful, Tx, connect

INTENT = "insert into intents (intent_id, kind, payload, attempts, due_at) values (:id, :kind, '', 0, now())"
KIND = "update intents set kind = :kind where intent_id = :id"
KINDS = "select kind from intents where intent_id = any(cast(:ids as uuid[])) order by intent_id"
KEY = """
insert into idempotency_keys (merchant_id, user_id, route, key, fingerprint, subject, state, expires_at)
values ('mer_a', 'usr_a', 'route', :key, '', :id, 'STARTED', now())
"""
KEYS = "select count(*) from idempotency_keys where merchant_id = 'mer_a'"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many writes each round trip carried."""
    counted: list[int] = []
    write = Connection.write

    async def counting(self: Connection, statements: Any) -> None:
        counted.append(len(statements))
        await write(self, statements)

    monkeypatch.setattr(Connection, "write", counting)
    return counted


async def kinds(tx: Tx, *intent_ids: UUID) -> list[str]:
    return (await tx.execute(KINDS, ids=list(intent_ids))).scalars()


async def test_neighbours_travel_in_one_round_trip(db: Database, sent: list[int]) -> None:
    intent_id = ids.new()
    async with db.begin() as tx:
        await tx.write("intents", INTENT, id=intent_id, kind="new")
        await tx.write("idempotency_keys", KEY, key="together", id=intent_id)
    assert sent == [2]
    async with db.begin() as tx:
        assert await kinds(tx, intent_id) == ["new"]
        assert (await tx.execute(KEYS)).scalar() == 1


async def test_a_write_without_a_transaction_is_sent_too(db: Database) -> None:
    intent_id = ids.new()
    async with db.autocommit() as tx:
        await tx.write("intents", INTENT, id=intent_id, kind="new")
    async with db.begin() as tx:
        assert await kinds(tx, intent_id) == ["new"]


async def test_a_statement_sees_the_writes_before_it(db: Database, sent: list[int]) -> None:
    intent_id = ids.new()
    async with db.begin() as tx:
        await tx.write("intents", INTENT, id=intent_id, kind="new")
        assert await kinds(tx, intent_id) == ["new"]
    assert sent == [1]


async def test_two_writes_to_one_table_see_each_other(db: Database) -> None:
    intent_id = ids.new()
    async with db.begin() as tx:
        await tx.write("intents", INTENT, id=intent_id, kind="new")
        await tx.write("intents", KIND, id=intent_id, kind="newer")
        await tx.write("intents", KIND, id=intent_id, kind="newest")
    async with db.begin() as tx:
        assert await kinds(tx, intent_id) == ["newest"]


async def test_one_write_that_fails_takes_all_of_them_along_and_nothing_is_announced(db: Database) -> None:
    intent_id, announced = ids.new(), []
    db.on_commit = announced.append
    with pytest.raises(asyncpg.UniqueViolationError):
        async with db.begin() as tx:
            await tx.execute(KEY, key="twice", id=intent_id)
            await tx.write("intents", INTENT, id=intent_id, kind="new")
            await tx.write("idempotency_keys", KEY, key="twice", id=intent_id)
            tx.outgoing.append("an envelope")
    assert announced == []
    async with db.begin() as tx:
        assert await kinds(tx, intent_id) == []
        assert (await tx.execute(KEYS)).scalar() == 0


@pytest.mark.parametrize(("table", "sql"), [("intents", "select 1"), ("intents", KEY), ("idempotency_keys", INTENT)])
async def test_only_what_writes_to_the_table_that_is_said_may_wait(db: Database, table: str, sql: str) -> None:
    async with db.begin() as tx:
        with pytest.raises(AssertionError, match=table):
            await tx.write(table, sql)


async def test_a_role_that_gets_past_its_grants_is_refused(
    superuser_url: str, owner_url: str, database_url: str, service_name: str
) -> None:
    """A superuser and the schema's owner; the service's own role works."""
    for too_powerful in (superuser_url, owner_url):
        async with connect(too_powerful, service=service_name, sealer=seals.generated(), least_rights=True) as db:
            with pytest.raises(RoleTooPowerful):
                async with db.begin() as tx:
                    await tx.execute("select 1")
    async with (
        connect(database_url, service=service_name, sealer=seals.generated(), least_rights=True) as db,
        db.begin() as tx,
    ):
        assert len(await tx.execute("select 1 as one")) == 1
