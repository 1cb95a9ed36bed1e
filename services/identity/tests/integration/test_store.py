"""What the database itself refuses, and what the use cases do when they meet."""

import asyncio
from collections import Counter
from datetime import timedelta

import asyncpg
import pytest

from common import ids
from common.context import Context
from identity import domain, store, use_cases
from identity.domain import Access, Device, Status

LIFE = timedelta(days=30)
LIMITS = use_cases.Limits(5, 100, timedelta(minutes=15))
HERE = Context(ip="203.0.113.7", request_id="r", traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-00")


@pytest.fixture
def enrol(db, clock, user):
    async def enrol(**changes):
        now = clock.now()
        who = {"user_id": ids.new(), "email": f"{ids.new().hex}@example.com", "created_at": now, "updated_at": now}
        newcomer = user(**who, **changes)
        session = domain.open_session(ids.new(), newcomer, b"1" * 32, Device("", ""), clock.now(), LIFE)
        [result] = await use_cases.sign_up(db, clock, [use_cases.Newcomer(newcomer, session, HERE)])
        return result, session

    return enrol


@pytest.mark.parametrize(
    "statement",
    [
        "update users set email = email || 'x', merchant_id = 'mer_absent'",
        "update users set status = 'ASLEEP'",
        "update users set password_hash = 'plain'",
        "update users set type = 'KING'",
        "update users set mobile_number = 'x'",
        "insert into user_roles select user_id, 'KING', 'me', now() from users",
        "update sessions set revoked_at = now()",
        "update sessions set token_hash = 'short'",
        "delete from users",
    ],
)
async def test_the_schema_says_it_too(enrol, database_url, statement):
    await enrol()
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await connection.execute(statement)
    await connection.close()


async def test_users_come_back_as_they_went_in(db, enrol):
    newcomer, session = await enrol(access=Access(Status.ACTIVE, frozenset({"USER", "PROVIDER"})))
    async with db.begin() as tx:
        assert await store.users(tx, {newcomer.user_id}) == {newcomer.user_id: newcomer}
        assert await store.lock_sessions(tx, {session.session_id}) == {session.session_id: session}


async def test_a_login_that_loses_to_a_new_password_is_refused(db, clock, enrol):
    newcomer, _ = await enrol()
    attempt = use_cases.Attempt(newcomer.merchant_id, newcomer.email, HERE)
    [found] = await use_cases.begin_logins(db, clock, LIMITS, [attempt])
    change = use_cases.PasswordChange(
        newcomer.user_id, newcomer.merchant_id, newcomer.password_hash, "$argon2id$new", None, HERE
    )
    await use_cases.change_passwords(db, clock, [change])
    session = domain.open_session(ids.new(), found, b"1" * 32, Device("", ""), clock.now(), LIFE)
    [result] = await use_cases.open_sessions(db, clock, [use_cases.Login(attempt, found, session)])
    assert isinstance(result, domain.InvalidCredentials)


async def test_an_outdated_hash_is_replaced_at_login(db, clock, enrol):
    newcomer, _ = await enrol()
    attempt = use_cases.Attempt(newcomer.merchant_id, newcomer.email, HERE)
    logins = [
        use_cases.Login(
            attempt,
            newcomer,
            domain.open_session(ids.new(), newcomer, b"1" * 32, Device("", ""), clock.now(), LIFE),
            f"$argon2id$new{number}",
        )
        for number in range(2)
    ]
    results = await use_cases.open_sessions(db, clock, logins)
    assert [result.user_id for result in results] == [newcomer.user_id] * 2
    stored = (await use_cases.users_by_id(db, {newcomer.user_id}))[newcomer.user_id]
    assert stored.password_hash in {"$argon2id$new0", "$argon2id$new1"}


async def test_replicas_count_the_same_attempts(db, clock):
    """Eight processes with a batch each: five attempts go ahead in all."""
    attempts = [use_cases.Attempt("mer_commdesk", "asha@example.com", HERE)] * 3
    batches = await asyncio.gather(*(use_cases.begin_logins(db, clock, LIMITS, attempts) for _ in range(8)))
    outcomes = Counter(type(outcome) for batch in batches for outcome in batch)
    assert outcomes == {type(None): 5, domain.TooManyLogins: 19}


async def test_switching_off_and_refreshing_at_once_leaves_no_session(db, clock, enrol, issuer):
    for _ in range(5):
        newcomer, session = await enrol()
        rotation = domain.Rotation(session.session_id, 1, b"1" * 32, b"2" * 32, is_genuine=True)
        change = use_cases.AccessChange(
            newcomer.user_id, newcomer.merchant_id, None, Status.INACTIVE, "operator:test", HERE
        )
        await asyncio.gather(
            use_cases.refresh_sessions(db, clock, LIFE, [use_cases.Refresh(rotation, HERE)]),
            use_cases.change_access(db, clock, [change]),
        )
        async with db.begin() as tx:
            [left] = (await store.lock_sessions(tx, {session.session_id})).values()
        assert left.revoked_because == "user_inactive"


async def test_a_session_of_somebody_else_is_not_logged_out(db, clock, enrol):
    (one, _), (_, theirs) = await enrol(), await enrol()
    request = use_cases.LogOut(one.user_id, theirs.session_id, False, HERE)
    assert await use_cases.log_out(db, clock, [request]) == [0]


async def test_what_has_expired_is_forgotten(db, clock, enrol):
    _, session = await enrol()
    await use_cases.begin_logins(db, clock, LIMITS, [use_cases.Attempt("mer_commdesk", "a@example.com", HERE)])
    clock.advance(seconds=LIFE.total_seconds() + 1)
    await use_cases.forget(db, clock)
    async with db.begin() as tx:
        assert await store.lock_sessions(tx, {session.session_id}) == {}
        assert (await tx.execute("select count(*) from login_throttles")).scalar() == 0


async def test_several_changes_of_one_user_in_a_batch(db, clock, enrol):
    newcomer, _ = await enrol()
    changes = [
        use_cases.ProfileChange(newcomer.user_id, newcomer.merchant_id, name, None, None) for name in ("One", "", "Two")
    ]
    first, second, third = await use_cases.change_profiles(db, clock, changes)
    assert (first.profile.name, third.profile.name, third.version) == ("One", "Two", 3)
    assert isinstance(second, domain.InvalidUser)
    assert (await use_cases.users_by_id(db, {newcomer.user_id}))[newcomer.user_id] == third


async def test_a_story_tells_what_happened_and_nothing_personal(db, clock, enrol):
    newcomer, session = await enrol()
    clock.advance(seconds=60)
    await use_cases.log_out(db, clock, [use_cases.LogOut(newcomer.user_id, session.session_id, False, HERE)])
    async with db.begin() as tx:
        told = await use_cases.story(tx, ids.encode("usr", newcomer.user_id))
        assert await use_cases.story(tx, ids.encode("usr", ids.new())) == await use_cases.story(tx, "pay_x")
    assert [entry.summary for entry in told.entries] == ["signed up", "session opened", "session ended: logged_out"]
    assert newcomer.email not in repr(told)
    assert newcomer.profile.name not in repr(told)
