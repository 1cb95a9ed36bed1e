"""Log in: count the attempt, verify the password, open the session."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import context, outbox, telemetry
from common.batching import Batcher
from common.client_addresses import client_network
from common.clock import Clock
from common.context import Context
from common.database import Database, Tx, retried
from common.errors import DomainError, Overloaded
from common.keys import digest
from common.runtime import Workers
from identity.domain import second_factors, sessions, throttles, users
from identity.domain.concealed import Concealed
from identity.domain.errors import CredentialsInvalid, LoginThrottled, SecondFactorInvalid, UserInactive
from identity.domain.second_factors import SecondFactor
from identity.domain.sessions import OpenedSession, Session, SessionPolicy
from identity.domain.throttles import Throttle
from identity.domain.users import User
from identity.passwords import Passwords
from identity.store import commands, queries
from identity.store import second_factors as factors_store
from identity.use_cases.revocations import save_ended
from identity.use_cases.sessions import Sessions
from identity.wire import events

# One transaction's worth; what comes faster is counted, not written.
FAILURES_WAITING_MAX = 512

# One answer for every reason.
_WRONG = "e-mail address or password are wrong, or the address is not verified"

_failures_not_audited = telemetry.counter(
    "identity_login_failures_not_audited_total", "Failed logins that came too fast for the audit log"
)


class LoginPolicy(Struct, frozen=True):
    """Whose users log in, and how many attempts a window allows: per account and address, and per address.

    After *per_account_anywhere* attempts at one account from any addresses, each makes the next wait longer. Of an IPv6
    address its /64 network counts: a customer has all of it.
    """

    merchant_id: str
    per_account: int
    per_address: int
    per_account_anywhere: int
    window: timedelta
    sessions: SessionPolicy
    # Otherwise signing up and then logging in would tell whether an address was taken.
    requires_verified_email: bool = True


class LoginAttempt(Struct, frozen=True):
    """An attempt to log in whose password is not verified yet."""

    merchant_id: str
    email: str
    origin: Context

    @property
    def account_key(self) -> bytes:
        return throttle_key("account", self.merchant_id, self.email.lower(), client_network(self.origin.ip))

    @property
    def address_key(self) -> bytes:
        return throttle_key("address", client_network(self.origin.ip))

    @property
    def anywhere_key(self) -> bytes:
        return throttle_key("account", self.merchant_id, self.email.lower())

    @property
    def account_keys(self) -> tuple[bytes, bytes]:
        return self.account_key, self.anywhere_key


class Login(Concealed, frozen=True):
    """An attempt whose password was right, of *user* as it was then; *new_hash* replaces an outdated one, *code* is of
    the second factor.
    """

    attempt: LoginAttempt
    user: User
    session: Session
    new_hash: str | None = None
    code: str | None = None


class FailedLogin(Struct, frozen=True):
    """An attempt with a wrong password; *user_id* is None when there is no such account."""

    attempt: LoginAttempt
    user_id: UUID | None


class Logins:
    """Counts attempts and opens sessions; those that come together share a transaction."""

    def __init__(
        self, db: Database, clock: Clock, passwords: Passwords, sessions: Sessions, policy: LoginPolicy
    ) -> None:
        self._passwords = passwords
        self._sessions = sessions
        self._merchant_id = policy.merchant_id
        self._requires_verified_email = policy.requires_verified_email
        self._attempts: Batcher[LoginAttempt, User | None] = Batcher(
            partial(count_attempts, db, clock, policy), name="login-attempt"
        )
        self._logins: Batcher[Login, User] = Batcher(partial(open_sessions, db, clock, policy), name="login")
        self._failures: Batcher[FailedLogin, None] = Batcher(
            partial(record_failures, db, clock), name="login-failure", waiting_max=FAILURES_WAITING_MAX
        )
        self.workers = Workers(batchers=(self._attempts, self._logins, self._failures))

    async def log_in(self, email: str, password: str, code: str | None = None) -> OpenedSession:
        """Raises UserInvalid, LoginThrottled, CredentialsInvalid (whatever of it is wrong), UserInactive,
        SecondFactorRequired or SecondFactorInvalid.
        """
        attempt = LoginAttempt(self._merchant_id, users.checked_email(email), context.current())
        user = await self.count_attempt(attempt)
        password = users.normalised_password(password)
        # Without a user it takes as long: the time does not tell whether the address is known.
        is_right = await self._passwords.verify(user.password_hash if user is not None else None, password)
        # Here, where a wrong password is refused: an address that was signed up with a moment ago takes no longer.
        is_admitted = is_right and user is not None and (user.is_email_verified or not self._requires_verified_email)
        if user is None or not is_admitted:
            self.record_failure(attempt, user)
            raise CredentialsInvalid(_WRONG)
        is_outdated = self._passwords.is_outdated(user.password_hash)
        new_hash = await self._passwords.hash(password) if is_outdated else None
        session = self._sessions.new(user, has_second_factor=code is not None)
        try:
            user = await self._logins.submit(Login(attempt, user, session, new_hash, code))
        except SecondFactorInvalid:
            self.record_failure(attempt, user)
            raise
        return await self._sessions.issue(user, session)

    def record_failure(self, attempt: LoginAttempt, user: User | None) -> None:
        """Write a line for the audit log, soon. A flood of them is cut: the throttles' lines stay."""
        try:
            self._failures.offer(FailedLogin(attempt, user.user_id if user is not None else None))
        except Overloaded:
            _failures_not_audited.of().inc()

    async def count_attempt(self, attempt: LoginAttempt) -> User | None:
        """The user of the account, None when there is none. Raises LoginThrottled."""
        return await self._attempts.submit(attempt)


@retried
async def count_attempts(
    db: Database, clock: Clock, policy: LoginPolicy, attempts: Sequence[LoginAttempt]
) -> list[User | DomainError | None]:
    """Count each attempt and find its user; LoginThrottled when it has to wait.

    Counted before the password is verified, so that a hundred guesses at once are a hundred.
    """
    now = clock.now()
    async with db.begin() as tx:
        audits: list[AuditRecorded] = []
        stored = await commands.lock_throttles(tx, {attempt.address_key for attempt in attempts}, now)

        def seconds_to_wait(attempt: LoginAttempt, key: bytes, limit: int) -> int:
            before = stored[key]
            stored[key], allowed = throttles.admit(before, limit, policy.window, now)
            if not allowed and before.attempts == limit:
                audits.append(_throttled_audit(attempt, key, now))
            return 0 if allowed else throttles.retry_after_seconds(stored[key], now)

        waits = [seconds_to_wait(attempt, attempt.address_key, policy.per_address) for attempt in attempts]
        # Only of what their address is allowed: what it is refused writes no rows, however many accounts it names.
        admitted = [attempt for attempt, wait in zip(attempts, waits, strict=True) if not wait]
        stored |= await commands.lock_throttles(tx, {key for each in admitted for key in each.account_keys}, now)
        refusals = []
        for attempt, wait_of_address in zip(attempts, waits, strict=True):
            wait = wait_of_address or seconds_to_wait(attempt, attempt.account_key, policy.per_account)
            # What is refused already is no guess, and must not make the account's owner wait.
            if not wait:
                key, free = attempt.anywhere_key, policy.per_account_anywhere
                stored[key], allowed = throttles.admit_account(stored[key], free, now)
                if not allowed:
                    wait = throttles.retry_after_seconds(stored[key], now)
                elif stored[key].attempts == free + 1:
                    audits.append(_throttled_audit(attempt, key, now))
            refusals.append(_throttled(wait) if wait else None)
        await commands.save_throttles(tx, stored.values())
        emails = {(attempt.merchant_id, attempt.email.lower()) for attempt in attempts}
        users_by_email = await queries.users_by_email(tx, emails)
        await outbox.append(tx, audits)
    return [
        refusal or users_by_email.get((attempt.merchant_id, attempt.email.lower()))
        for attempt, refusal in zip(attempts, refusals, strict=True)
    ]


@retried
async def open_sessions(
    db: Database, clock: Clock, policy: LoginPolicy, logins: Sequence[Login]
) -> list[User | DomainError]:
    """Open the sessions of those whose password was right and still is, and reset their failed attempts."""
    now = clock.now()
    results: list[User | DomainError] = []
    async with db.begin() as tx:
        stored = await lock_attempts(tx, [login.attempt for login in logins], now)
        # No other login opens a session of these users meanwhile, so that their number stays within its bound.
        current_users = await commands.lock_users(tx, {login.user.user_id for login in logins})
        factors = await factors_store.read(tx, current_users)
        used: dict[UUID, SecondFactor] = {}
        opened: list[Session] = []
        rehashed: dict[UUID, User] = {}
        audits = []
        for login in logins:
            user = current_users.get(login.user.user_id)
            if user is None or (login.user.password_hash != user.password_hash and user.user_id not in rehashed):
                results.append(CredentialsInvalid(_WRONG))
                continue
            if not user.is_active:
                forgive(stored, login.attempt)
                results.append(UserInactive())
                continue
            # Before the attempts are forgiven: codes are guessed at no faster than passwords.
            factor = second_factors.checked(factors.get(user.user_id), login.code, now)
            if isinstance(factor, DomainError):
                results.append(factor)
                continue
            if factor is not None:
                factors[user.user_id] = used[user.user_id] = factor
            forgive(stored, login.attempt)
            if login.new_hash is not None:
                user = replace(user, password_hash=login.new_hash)
                current_users[user.user_id] = rehashed[user.user_id] = user
            opened.append(login.session)
            audits.append(events.user_audit("user.login", user, login.attempt.origin, now))
            results.append(user)
        await commands.save_throttles(tx, stored.values())
        await commands.save_users(tx, list(rehashed.values()))
        await factors_store.save(tx, list(used.values()))
        await commands.insert_sessions(tx, opened)
        await _end_supernumerary(tx, {session.user_id for session in opened}, current_users, policy.sessions, now)
        await outbox.append(tx, audits)
    return results


async def lock_attempts(tx: Tx, attempts: Sequence[LoginAttempt], now: datetime) -> dict[bytes, Throttle]:
    """The throttles of admitted attempts, by their keys, in the order in which `count_attempts` locks them."""
    of_addresses = await commands.lock_throttles(tx, {attempt.address_key for attempt in attempts}, now)
    of_accounts = {key for attempt in attempts for key in attempt.account_keys}
    return of_addresses | await commands.lock_throttles(tx, of_accounts, now)


async def _end_supernumerary(
    tx: Tx, user_ids: Collection[UUID], users: Mapping[UUID, User], policy: SessionPolicy, now: datetime
) -> None:
    """End the oldest sessions of users who have more than they may."""
    by_user: dict[UUID, list[Session]] = {}
    for session in (await commands.lock_sessions(tx, of_users=user_ids)).values():
        if session.expires_at > now:
            by_user.setdefault(session.user_id, []).append(session)
    ended = [
        sessions.revoke(session, "too_many", now)
        for of_user in by_user.values()
        for session in sessions.supernumerary(of_user, policy.open_max)
    ]
    await save_ended(tx, ended, users, now)


async def record_failures(db: Database, clock: Clock, failures: Sequence[FailedLogin]) -> list[None]:
    """A line for the audit log about each."""
    now = clock.now()
    async with db.begin() as tx:
        await outbox.append(
            tx,
            [
                events.login_failed(
                    failure.attempt.merchant_id,
                    failure.user_id,
                    failure.attempt.anywhere_key,
                    failure.attempt.origin,
                    now,
                )
                for failure in failures
            ],
        )
    return [None] * len(failures)


def forgive(stored: dict[bytes, Throttle], attempt: LoginAttempt) -> None:
    """A success resets the account's attempts, and takes itself off the address's."""
    for key in (attempt.account_key, attempt.anywhere_key):
        stored[key] = replace(stored[key], attempts=0, blocked_until=None)
    address = stored[attempt.address_key]
    stored[address.key] = replace(address, attempts=max(0, address.attempts - 1))


def _throttled(seconds: int) -> LoginThrottled:
    error = LoginThrottled("too many attempts to log in")
    error.retry_after_seconds = seconds
    return error


def _throttled_audit(attempt: LoginAttempt, key: bytes, now: datetime) -> AuditRecorded:
    """Once per window: each attempt is in the access log, not in the audit log."""
    return events.login_throttled(attempt.merchant_id, key, attempt.origin, now)


def throttle_key(*parts: str) -> bytes:
    """What is counted under, as a hash: the table says nothing of whom it is about."""
    return digest(*parts)
