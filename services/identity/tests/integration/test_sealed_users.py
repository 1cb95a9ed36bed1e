"""Rows of users are sealed, found by a blind index, sealed anew when keys change, shown and erased."""

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from commdesk.common.v1 import personal_data_pb2 as pb
from commdesk.common.v1.events_pb2 import AuditRecorded
from commdesk.common.v1.personal_data_pb2_grpc import PersonalDataServiceStub
from common import ids, personal_data, table_passes
from common.clock import FakeClock
from common.context import Context
from common.database import Database
from common.personal_data import Person
from common.seals import SealBroken, Sealer
from common.testing import Served, published, until
from identity.domain.sessions import Device, SessionPolicy, open_session
from identity.domain.users import User
from identity.store import commands, queries
from identity.store.personal_data import PERSONAL_DATA
from identity.use_cases import users
from identity.use_cases.sign_ups import SignUp, sign_up_users
from services.identity.tests.conftest import MAILS

BuildUser = Callable[..., User]
SomebodyWaits = Callable[[], Awaitable[bool]]

SESSIONS = SessionPolicy(life=timedelta(days=1), life_max=timedelta(days=90), open_max=20)

_PLAIN = """
update users set email = :email, email_key = lower(:email), email_index = null, name = :name, mobile_number = :number
where user_id = :user_id
"""


async def enrol(db: Database, clock: FakeClock, *enrolled: User) -> list[User | None]:
    """Sign up, and open a session of everybody who is new."""
    origin = Context(ip="203.0.113.9", user_agent="Agent/1")
    results = await sign_up_users(db, clock, MAILS, [SignUp(each, origin) for each in enrolled])
    device = Device(origin.ip, origin.user_agent)
    async with db.begin() as tx:
        await commands.insert_sessions(
            tx, [open_session(ids.new(), new, b"1" * 32, device, clock.now(), SESSIONS) for new in results if new]
        )
    return results


async def rows(db: Database, sql: str) -> list[tuple[object, ...]]:
    async with db.begin() as tx:
        return [tuple(row) for row in await tx.execute(sql)]


def other_keys(db: Database, encryption_key: str, **keys: bytes) -> Database:
    """The same database and blind indexes, with *keys* instead, the first of them current."""
    sealer = Sealer(keys, base64.b64decode(encryption_key))
    return Database(db.engine, db.service, sealer=sealer, clock=db.clock)


async def test_nothing_of_a_user_stands_in_plain(db: Database, clock: FakeClock, user: BuildUser) -> None:
    asha = user(user_id=ids.new(), email="Asha@Example.com")
    await enrol(db, clock, asha)
    [row] = await rows(db, "select email, name, mobile_number from users")
    [session] = await rows(db, "select ip, user_agent from sessions")
    assert all(str(value).startswith("s1.t1.") for value in (*row, *session))
    assert (await users.list_users(db, {asha.user_id}))[0] == asha
    async with db.begin() as tx:
        key = ("mer_commdesk", "asha@example.com")
        assert await queries.users_by_email(tx, {key}) == {key: asha}


async def test_rows_from_before_are_found_kept_single_and_sealed(
    db: Database, clock: FakeClock, user: BuildUser
) -> None:
    old = [user(user_id=ids.new(), email=f"Old{number}@example.com") for number in range(7)]
    await enrol(db, clock, *old)
    async with db.begin() as tx:
        for each in old:
            await tx.execute(_PLAIN, user_id=each.user_id, email=each.email, name="Plain", number="9876543210")
        found = await queries.users_by_email(tx, {("mer_commdesk", "old3@example.com")})
        of_any_merchant = await queries.user_of_any_merchant(tx, "OLD3@example.com")
    assert of_any_merchant == found["mer_commdesk", "old3@example.com"]
    assert found["mer_commdesk", "old3@example.com"].profile.name == "Plain"
    [taken] = await enrol(db, clock, user(user_id=ids.new(), email="oLD3@example.com"))
    assert taken is None

    # Somebody signs up with such an address while the rows are sealed: one of them it stays.
    attempts = [enrol(db, clock, user(user_id=ids.new(), email="OLD4@example.com")) for _ in range(5)]
    outcomes = await asyncio.gather(table_passes.reseal_all(db, PERSONAL_DATA), *attempts)
    assert all(outcome is None for [outcome] in outcomes[1:])
    assert await rows(db, "select count(*) from users where email not like 's1.%' or email_key is not null") == [(0,)]
    assert {use.key_id for use in await table_passes.key_uses(db, PERSONAL_DATA)} == {"t1"}
    async with db.begin() as tx:
        again = await queries.users_by_email(tx, {("mer_commdesk", "old3@example.com")})
    assert again["mer_commdesk", "old3@example.com"].email == "Old3@example.com"


async def test_keys_rotate_while_users_come_and_go(
    db: Database, clock: FakeClock, user: BuildUser, encryption_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_passes, "BATCH_ROWS", 3)
    monkeypatch.setattr(table_passes, "PAUSE_SECONDS", 0.001)
    before = [user(user_id=ids.new(), email=f"member{number}@example.com") for number in range(10)]
    await enrol(db, clock, *before)
    old_key, new_key = base64.b64decode(encryption_key), os.urandom(32)
    rotating = other_keys(db, encryption_key, new=new_key, t1=old_key)

    # Half way it stops; then two replicas go on at once, and a user signs up with the new key.
    for _ in range(2):
        await table_passes.reseal_next(rotating, PERSONAL_DATA)
    assert 0 < len(await rows(db, "select 1 from users where email like 's1.t1.%'")) < 10
    late = user(user_id=ids.new(), email="late@example.com")
    await asyncio.gather(
        table_passes.reseal_all(rotating, PERSONAL_DATA),
        table_passes.reseal_all(rotating, PERSONAL_DATA),
        enrol(rotating, clock, late),
    )
    uses = await table_passes.key_uses(rotating, PERSONAL_DATA)
    assert {use.key_id for use in uses if use.table in ("users", "sessions")} == {"new"}

    # The old key may go, and opens nothing by itself.
    without_old = other_keys(db, encryption_key, new=new_key)
    everybody = {each.user_id for each in (*before, late)}
    assert {each.email for each in await users.list_users(without_old, everybody)} == {
        each.email for each in (*before, late)
    }
    async with without_old.begin() as tx:
        assert len(await queries.users_by_email(tx, {("mer_commdesk", each.email) for each in before})) == 10
    with pytest.raises(SealBroken, match="new"):
        await users.list_users(db, everybody)


async def test_a_key_that_is_still_needed_is_named(db: Database, clock: FakeClock, user: BuildUser) -> None:
    await enrol(db, clock, user(user_id=ids.new()))
    uses = await table_passes.key_uses(db, PERSONAL_DATA)
    assert {(use.table, use.column) for use in uses} >= {("users", "email"), ("sessions", "ip"), ("outbox", "body")}
    async with db.begin() as tx:
        await tx.execute("update users set name = 'Asha'")
    assert [use.count for use in await table_passes.key_uses(db, PERSONAL_DATA) if not use.key_id] == [1]


async def test_a_person_is_shown_and_erased_once_and_for_all(
    identity: Served, db: Database, clock: FakeClock, user: BuildUser
) -> None:
    asha, ravi = user(user_id=ids.new()), user(user_id=ids.new(), email="ravi@example.com")
    await enrol(db, clock, asha, ravi)
    stub = PersonalDataServiceStub(identity.channel())  # type: ignore[no-untyped-call]
    resolved = await stub.ResolvePerson(pb.ResolvePersonRequest(person=pb.Person(email="ASHA@example.com")), timeout=5)
    assert resolved.person.user_id == ids.encode("usr", asha.user_id)
    answer = await stub.ExportPerson(pb.ExportPersonRequest(person=resolved.person), timeout=5)
    exported = json.loads(answer.records_json)
    assert exported["users"][0]["email"] == "asha@example.com"
    assert exported["sessions"][0]["ip"] == "203.0.113.9"
    assert "ravi" not in answer.records_json.decode()

    erasure = pb.ErasePersonRequest(person=resolved.person, actor="operator:test", reason="asked to")
    for _ in range(2):
        await stub.ErasePerson(erasure, timeout=5)
    [gone] = await users.list_users(db, {asha.user_id})
    assert (gone.email, gone.profile.name, gone.profile.mobile_number, gone.is_active) == ("", "-", None, False)
    assert (await users.list_users(db, {ravi.user_id})) == [ravi]
    assert await rows(db, "select count(*) from sessions") == [(1,)]
    assert await rows(db, "select count(*) from account_tokens") == [(1,)]
    audits = [event for _, event in await published(db, "audit.recorded") if isinstance(event, AuditRecorded)]
    assert ("person.erased", "operator:test") in [(event.action, event.actor_id) for event in audits]
    # What stands in place of a name and an address is not data that somebody forgot to seal.
    assert all(use.key_id for use in await table_passes.key_uses(db, PERSONAL_DATA))
    # The address is free again, and a later rotation brings nothing back.
    [other] = await enrol(db, clock, user(user_id=ids.new()))
    assert isinstance(other, User)
    await table_passes.restart_resealing(db, PERSONAL_DATA)
    await table_passes.reseal_all(db, PERSONAL_DATA)
    assert (await users.list_users(db, {asha.user_id}))[0].email == ""


async def test_an_erasure_waits_for_a_log_out_before_it_locks_sessions(
    db: Database, clock: FakeClock, user: BuildUser, somebody_waits: SomebodyWaits
) -> None:
    asha = user(user_id=ids.new())
    await enrol(db, clock, asha)
    person = Person(user_id=ids.encode("usr", asha.user_id))

    async def erasure() -> dict[str, int]:
        async with db.begin() as tx:
            return await personal_data.erase(tx, PERSONAL_DATA, person)

    async with db.begin() as tx:
        await commands.share_users(tx, {asha.user_id})
        erasing = asyncio.create_task(erasure())
        await until(somebody_waits, 5)
        assert len(await commands.lock_sessions(tx, of_users={asha.user_id})) == 1
    assert await erasing == {
        "users": 1, "sessions": 1, "account_tokens": 1, "second_factors": 0, "memberships": 0, "invitations": 0,
    }  # fmt: skip
