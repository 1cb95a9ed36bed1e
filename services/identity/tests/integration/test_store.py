"""What the database itself refuses, and what the use cases do when they meet."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from common import ids
from common.clock import FakeClock
from common.context import Context
from common.database import Database
from common.testing import published, until
from identity.domain.account_mails import AccountMail
from identity.domain.changes import AccessChange, ProfileChange
from identity.domain.errors import CredentialsInvalid, LoginThrottled, RefreshTokenInvalid, UserInvalid
from identity.domain.sessions import Device, LogOut, Rotation, Session, SessionPolicy, open_session
from identity.domain.users import Access, Status, User
from identity.store import commands, queries
from identity.use_cases import users
from identity.use_cases.access import change_access
from identity.use_cases.account_mails import MailRequest, count_requests
from identity.use_cases.logins import Login, LoginAttempt, LoginPolicy, count_attempts, lock_attempts, open_sessions
from identity.use_cases.password_changes import PasswordChange, change_passwords
from identity.use_cases.profiles import change_profiles
from identity.use_cases.sessions import Refresh, delete_expired, log_out_users, refresh_sessions
from identity.use_cases.sign_ups import SignUp, SignUpCount, SignUpPolicy, count_sign_ups, sign_up_users
from services.identity.tests.conftest import MAILS

Enrol = Callable[..., Awaitable[tuple[User, Session]]]

LIFE = timedelta(days=30)
SESSIONS = SessionPolicy(LIFE, life_max=timedelta(days=90), open_max=10)
POLICY = LoginPolicy(
    "mer_commdesk",
    per_account=5,
    per_address=100,
    per_account_anywhere=10,
    window=timedelta(minutes=15),
    sessions=SESSIONS,
)
HERE = Context(ip="203.0.113.7", request_id="r", traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-00")


@pytest.fixture
def enrol(db: Database, clock: FakeClock, user: Callable[..., User]) -> Enrol:
    async def enrol(**changes: object) -> tuple[User, Session]:
        now = clock.now()
        own = {"user_id": ids.new(), "email": f"{ids.new().hex}@example.com", "created_at": now, "updated_at": now}
        new = user(**own, **changes)
        session = session_of(new, clock)
        [result] = await sign_up_users(db, clock, MAILS, [SignUp(new, HERE)])
        async with db.begin() as tx:
            await commands.insert_sessions(tx, [session])
        assert isinstance(result, User)
        return result, session

    return enrol


def session_of(user: User, clock: FakeClock) -> Session:
    return open_session(ids.new(), user, b"1" * 32, Device("", ""), clock.now(), SESSIONS)


async def stored(db: Database, user: User) -> User:
    [current] = await users.list_users(db, {user.user_id})
    return current


@pytest.mark.parametrize(
    "statement",
    [
        "update users set email = email || 'x', merchant_id = 'mer_absent'",
        "update users set status = 'ASLEEP'",
        "update users set password_hash = 'plain'",
        "update users set type = 'KING'",
        "update users set email_index = null",
        "insert into user_roles select user_id, 'KING', 'me', now() from users",
        "update sessions set revoked_at = now()",
        "update sessions set token_hash = 'short'",
        "delete from users",
    ],
)
async def test_the_schema_refuses_it_too(enrol: Enrol, database_url: str, statement: str) -> None:
    await enrol()
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await connection.execute(statement)
    await connection.close()


async def test_users_come_back_as_they_went_in(db: Database, enrol: Enrol) -> None:
    user, session = await enrol(access=Access(Status.ACTIVE, frozenset({"USER", "PROVIDER"})))
    async with db.begin() as tx:
        assert await queries.users_by_id(tx, {user.user_id}) == {user.user_id: user}
        assert await commands.lock_sessions(tx, {session.session_id}) == {session.session_id: session}


async def test_a_login_that_loses_to_a_new_password_is_refused(db: Database, clock: FakeClock, enrol: Enrol) -> None:
    user, _ = await enrol()
    attempt = LoginAttempt(user.merchant_id, user.email, HERE)
    [verified] = await count_attempts(db, clock, POLICY, [attempt])
    assert isinstance(verified, User)
    change = PasswordChange(user.user_id, user.merchant_id, user.password_hash, "$argon2id$new", None, HERE)
    await change_passwords(db, clock, [change])
    login = Login(attempt, verified, session_of(verified, clock))
    [result] = await open_sessions(db, clock, POLICY, [login])
    assert isinstance(result, CredentialsInvalid)


async def test_an_outdated_hash_is_replaced_at_login(db: Database, clock: FakeClock, enrol: Enrol) -> None:
    user, _ = await enrol()
    attempt = LoginAttempt(user.merchant_id, user.email, HERE)
    logins = [Login(attempt, user, session_of(user, clock), f"$argon2id$new{number}") for number in range(2)]
    results = await open_sessions(db, clock, POLICY, logins)
    assert [isinstance(result, User) and result.user_id for result in results] == [user.user_id] * 2
    assert (await stored(db, user)).password_hash in {"$argon2id$new0", "$argon2id$new1"}


async def test_replicas_count_the_same_attempts(db: Database, clock: FakeClock) -> None:
    """Eight processes with a batch each: five attempts go ahead in all."""
    attempts = [LoginAttempt("mer_commdesk", "asha@example.com", HERE)] * 3
    batches = await asyncio.gather(*(count_attempts(db, clock, POLICY, attempts) for _ in range(8)))
    outcomes = Counter(type(outcome) for batch in batches for outcome in batch)
    assert outcomes == {type(None): 5, LoginThrottled: 19}


async def test_switching_off_and_refreshing_at_once_leaves_no_session(
    db: Database, clock: FakeClock, enrol: Enrol
) -> None:
    for _ in range(5):
        user, session = await enrol()
        rotation = Rotation(session.session_id, 1, b"1" * 32, b"2" * 32, is_genuine=True)
        change = AccessChange(user.user_id, user.merchant_id, None, Status.INACTIVE, None, "operator:test", HERE)
        await asyncio.gather(
            refresh_sessions(db, clock, SESSIONS, [Refresh(rotation, HERE)]),
            change_access(db, clock, [change]),
        )
        async with db.begin() as tx:
            [current] = (await commands.lock_sessions(tx, {session.session_id})).values()
        assert current.revoked_because == "user_inactive"


async def test_a_refresh_of_an_unknown_session_is_refused(db: Database, clock: FakeClock) -> None:
    rotation = Rotation(ids.new(), 1, b"1" * 32, b"2" * 32, is_genuine=True)
    [result] = await refresh_sessions(db, clock, SESSIONS, [Refresh(rotation, HERE)])
    assert type(result) is RefreshTokenInvalid


async def test_a_session_of_another_user_is_not_logged_out(db: Database, clock: FakeClock, enrol: Enrol) -> None:
    (one, _), (_, theirs) = await enrol(), await enrol()
    request = LogOut(one.user_id, one.merchant_id, theirs.session_id, False, HERE)
    assert await log_out_users(db, clock, [request]) == [0]


async def test_what_has_expired_is_deleted(db: Database, clock: FakeClock, enrol: Enrol) -> None:
    _, session = await enrol()
    await count_attempts(db, clock, POLICY, [LoginAttempt("mer_commdesk", "a@example.com", HERE)])
    clock.advance(seconds=LIFE.total_seconds() + 1)
    await delete_expired(db, clock, timedelta(minutes=15))
    async with db.begin() as tx:
        assert await commands.lock_sessions(tx, {session.session_id}) == {}
        assert (await tx.execute("select count(*) from login_throttles")).scalar() == 0


async def test_attempts_are_counted_though_an_old_count_is_deleted_meanwhile(
    db: Database, clock: FakeClock, somebody_waits: Callable[[], Awaitable[bool]]
) -> None:
    attempt = LoginAttempt("mer_commdesk", "asha@example.com", HERE)
    first, last = sorted(attempt.account_keys)
    await count_attempts(db, clock, POLICY, [attempt])
    async with db.begin() as tx:
        await tx.execute("delete from login_throttles where key <> :first", first=first)
    async with db.begin() as tx:
        # It finds the first row there, and waits for whether the last one comes to be; then the first one goes.
        await commands.lock_throttles(tx, {last}, clock.now())
        counting = asyncio.create_task(count_attempts(db, clock, POLICY, [attempt]))
        await until(somebody_waits, 5)
        await tx.execute("delete from login_throttles where key = :first", first=first)
    assert await counting == [None]
    async with db.begin() as tx:
        counted = await lock_attempts(tx, [attempt], clock.now())
    assert {throttle.attempts for throttle in counted.values()} == {1}


@pytest.mark.parametrize("batch", [1, 40])
async def test_what_an_address_is_refused_writes_no_rows_of_accounts(
    db: Database, clock: FakeClock, batch: int
) -> None:
    """However many accounts it names, one at a time or at once: logins, sign-ups, requests for mails."""
    policy, limit = replace(POLICY, per_address=3), 3
    mails = replace(MAILS, per_address=limit)
    names = [f"a{number}@example.com" for number in range(40)]
    for start in range(0, len(names), batch):
        part = names[start : start + batch]
        await count_attempts(db, clock, policy, [LoginAttempt("mer_commdesk", name, HERE) for name in part])
        counts = [SignUpCount(b"c" * 32, name.encode().ljust(32)) for name in part]
        await count_sign_ups(db, clock, SignUpPolicy("mer_commdesk", True, limit, timedelta(hours=1), mails), counts)
        requests = [MailRequest(AccountMail.RESET, "mer_commdesk", name, HERE) for name in part]
        await count_requests(db, clock, mails, requests)
    async with db.begin() as tx:
        rows = (await tx.execute("select count(*) from login_throttles")).scalar()
    # One of the address for each kind; for what it admits, two of each account that logs in and one of each mail.
    assert rows == 3 + limit * (2 + 1 + 1)


async def test_several_changes_of_one_user_in_a_batch(db: Database, clock: FakeClock, enrol: Enrol) -> None:
    user, _ = await enrol()
    changes = [
        ProfileChange(user.user_id, user.merchant_id, name, None, None, Context()) for name in ("One", "", "Two")
    ]
    first, second, third = await change_profiles(db, clock, changes)
    assert isinstance(first, User)
    assert isinstance(third, User)
    assert (first.profile.name, third.profile.name, third.version) == ("One", "Two", 3)
    assert isinstance(second, UserInvalid)
    assert await stored(db, user) == third
    async with db.begin() as tx:
        audited = await tx.execute("select count(*) from outbox where routing_key = 'audit.recorded'")
    assert audited.scalar_one() >= 1


async def test_roles_of_several_users_in_a_batch(db: Database, clock: FakeClock, enrol: Enrol) -> None:
    """Each of two operators decides on a user: the roles of both are stored, with who granted them."""
    (one, _), (other, _) = await enrol(), await enrol()
    changes = [
        AccessChange(user.user_id, user.merchant_id, frozenset({role}), None, None, actor, HERE)
        for user, role, actor in ((one, "FINANCE", "operator:a"), (other, "SUPPORT", "operator:b"))
    ]
    assert [result for result in await change_access(db, clock, changes) if not isinstance(result, User)] == []
    assert (await stored(db, one)).access.roles == {"FINANCE"}
    assert (await stored(db, other)).access.roles == {"SUPPORT"}
    async with db.begin() as tx:
        rows = await tx.execute("select role, granted_by from user_roles order by role")
    assert [(row.role, row.granted_by) for row in rows] == [("FINANCE", "operator:a"), ("SUPPORT", "operator:b")]


async def test_a_timeline_shows_what_happened_and_nothing_personal(
    db: Database, clock: FakeClock, enrol: Enrol
) -> None:
    user, session = await enrol()
    clock.advance(seconds=60)
    await log_out_users(db, clock, [LogOut(user.user_id, user.merchant_id, session.session_id, False, HERE)])
    async with db.begin() as tx:
        timeline = await users.timeline(tx, ids.encode("usr", user.user_id))
        assert await users.timeline(tx, ids.encode("usr", ids.new())) == await users.timeline(tx, "pay_x")
    assert [entry.summary for entry in timeline.entries] == ["signed up", "session opened", "session ended: logged_out"]
    assert user.email not in repr(timeline)
    assert user.profile.name not in repr(timeline)


async def test_a_user_has_so_many_sessions_however_many_log_in_at_once(
    db: Database, clock: FakeClock, enrol: Enrol
) -> None:
    user, first = await enrol()
    for _ in range(3):
        clock.advance(seconds=1)
        batches = [
            [Login(LoginAttempt(user.merchant_id, user.email, HERE), user, session_of(user, clock)) for _ in range(5)]
            for _ in range(2)
        ]
        await asyncio.gather(*(open_sessions(db, clock, POLICY, batch) for batch in batches))
    async with db.begin() as tx:
        left = await queries.sessions_of_user(tx, user.user_id, clock.now())
        [ended] = (await commands.lock_sessions(tx, {first.session_id})).values()
    assert len(left) == SESSIONS.open_max
    assert ended.revoked_because == "too_many"
    # The oldest ended, and that is announced to every service.
    assert {session.created_at for session in left} == {clock.now()}
    assert len(await published(db, "identity.access.revoked")) == 31 - SESSIONS.open_max


async def test_one_account_is_guessed_at_ever_more_slowly_from_any_number_of_addresses(
    db: Database, clock: FakeClock, enrol: Enrol
) -> None:
    """Sixty wrong passwords, each from another address, at once and then one after the other for a day."""
    user, _ = await enrol()

    def attempt(number: int) -> LoginAttempt:
        origin = Context(ip=f"2001:db8:{number:x}::1")
        return LoginAttempt(user.merchant_id, user.email, origin)

    at_once = await count_attempts(db, clock, POLICY, [attempt(number) for number in range(60)])
    assert Counter(type(each) for each in at_once) == {User: POLICY.per_account_anywhere + 1, LoginThrottled: 49}
    allowed = 0
    for number in range(60, 60 + 24 * 60):
        clock.advance(seconds=60)
        [result] = await count_attempts(db, clock, POLICY, [attempt(number)])
        allowed += isinstance(result, User)
    assert allowed <= 106
    # The owner waits a quarter of an hour at most; a successful login starts the count anew.
    clock.advance(seconds=900)
    right = LoginAttempt(user.merchant_id, user.email, HERE)
    [result] = await count_attempts(db, clock, POLICY, [right])
    assert isinstance(result, User)
    [opened] = await open_sessions(db, clock, POLICY, [Login(right, user, session_of(user, clock))])
    assert isinstance(opened, User)
    results = await count_attempts(db, clock, POLICY, [attempt(number) for number in range(5_000, 5_010)])
    assert {type(each) for each in results} == {User}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff", True),
        ("2001:db8:0:0:1::", "2001:db8:0:1::", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
    ],
)
def test_addresses_of_one_ipv6_network_are_one(one: str, other: str, is_same: bool) -> None:
    attempts = [LoginAttempt("mer_commdesk", "asha@example.com", Context(ip=ip)) for ip in (one, other)]
    assert (attempts[0].address_key == attempts[1].address_key) is is_same
    assert (attempts[0].account_key == attempts[1].account_key) is is_same
    assert attempts[0].anywhere_key == attempts[1].anywhere_key
