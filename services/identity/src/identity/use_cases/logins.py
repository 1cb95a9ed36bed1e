"""Log in: count the attempt, verify the password, open the session."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import context, outbox
from common.batching import Batcher
from common.clock import Clock
from common.context import Context
from common.database import Database, retried
from common.errors import DomainError
from common.runtime import Workers
from identity.domain import throttles, users
from identity.domain.concealed import Concealed
from identity.domain.errors import CredentialsInvalid, LoginThrottled, UserInactive
from identity.domain.sessions import OpenedSession, Session
from identity.domain.throttles import Throttle
from identity.domain.users import User
from identity.passwords import Passwords
from identity.store import commands, queries
from identity.use_cases.sessions import Sessions
from identity.wire import events


class LoginPolicy(Struct, frozen=True):
    """Whose users log in, and how many attempts a window allows: per account and address, and per address."""

    merchant_id: str
    per_account: int
    per_address: int
    window: timedelta


class LoginAttempt(Struct, frozen=True):
    """An attempt to log in whose password is not verified yet."""

    merchant_id: str
    email: str
    origin: Context

    @property
    def account_key(self) -> bytes:
        return _key("account", self.merchant_id, self.email.lower(), self.origin.ip)

    @property
    def address_key(self) -> bytes:
        return _key("address", self.origin.ip)


class Login(Concealed, frozen=True):
    """An attempt whose password was right, of *user* as it was then; *new_hash* replaces an outdated one."""

    attempt: LoginAttempt
    user: User
    session: Session
    new_hash: str | None = None


class Logins:
    """Counts attempts and opens sessions; those that come together share a transaction."""

    def __init__(
        self, db: Database, clock: Clock, passwords: Passwords, sessions: Sessions, policy: LoginPolicy
    ) -> None:
        self._passwords = passwords
        self._sessions = sessions
        self._merchant_id = policy.merchant_id
        self._attempts: Batcher[LoginAttempt, User | None] = Batcher(
            partial(count_attempts, db, clock, policy), name="login-attempt"
        )
        self._logins: Batcher[Login, User] = Batcher(partial(open_sessions, db, clock), name="login")
        self.workers = Workers(batchers=(self._attempts, self._logins))

    async def log_in(self, email: str, password: str) -> OpenedSession:
        """Raises UserInvalid, LoginThrottled, CredentialsInvalid (whichever of the two is wrong) or UserInactive."""
        attempt = LoginAttempt(self._merchant_id, users.checked_email(email), context.current())
        user = await self.count_attempt(attempt)
        password = users.normalised_password(password)
        # Without a user it takes as long: the time does not tell whether the address is known.
        is_right = await self._passwords.verify(user.password_hash if user is not None else None, password)
        if user is None or not is_right:
            raise CredentialsInvalid("e-mail address or password are wrong")
        is_outdated = self._passwords.is_outdated(user.password_hash)
        new_hash = await self._passwords.hash(password) if is_outdated else None
        session = self._sessions.new(user)
        user = await self._logins.submit(Login(attempt, user, session, new_hash))
        return await self._sessions.issue(user, session)

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
        keys = {key for attempt in attempts for key in (attempt.account_key, attempt.address_key)}
        stored = await commands.lock_throttles(tx, keys, now)
        refusals, audits = [], []
        for attempt in attempts:
            waits = []
            for key, limit in ((attempt.account_key, policy.per_account), (attempt.address_key, policy.per_address)):
                before = stored.get(key, Throttle(key, 0, now))
                stored[key], allowed = throttles.admit(before, limit, policy.window, now)
                if not allowed:
                    waits.append(throttles.retry_after_seconds(stored[key], now))
                    if before.attempts == limit:
                        audits.append(_throttled_audit(attempt, key, now))
            refusals.append(_throttled(max(waits)) if waits else None)
        await commands.save_throttles(tx, stored.values())
        emails = {(attempt.merchant_id, attempt.email.lower()) for attempt in attempts}
        users_by_email = await queries.users_by_email(tx, emails)
        await outbox.append(tx, audits)
    return [
        refusal or users_by_email.get((attempt.merchant_id, attempt.email.lower()))
        for attempt, refusal in zip(attempts, refusals, strict=True)
    ]


@retried
async def open_sessions(db: Database, clock: Clock, logins: Sequence[Login]) -> list[User | DomainError]:
    """Open the sessions of those whose password was right and still is, and reset their failed attempts."""
    now = clock.now()
    results: list[User | DomainError] = []
    async with db.begin() as tx:
        keys = {key for login in logins for key in (login.attempt.account_key, login.attempt.address_key)}
        stored = await commands.lock_throttles(tx, keys, now)
        user_ids = {login.user.user_id for login in logins}
        lock = commands.lock_users if any(login.new_hash for login in logins) else commands.share_users
        current_users = await lock(tx, user_ids)
        opened: list[Session] = []
        rehashed: dict[UUID, User] = {}
        audits = []
        for login in logins:
            user = current_users.get(login.user.user_id)
            if user is None or (login.user.password_hash != user.password_hash and user.user_id not in rehashed):
                results.append(CredentialsInvalid())
                continue
            _forgive(stored, login.attempt)
            if not user.is_active:
                results.append(UserInactive())
                continue
            if login.new_hash is not None:
                user = replace(user, password_hash=login.new_hash)
                current_users[user.user_id] = rehashed[user.user_id] = user
            opened.append(login.session)
            audits.append(events.user_audit("user.login", user, login.attempt.origin, now))
            results.append(user)
        await commands.save_throttles(tx, stored.values())
        await commands.save_users(tx, list(rehashed.values()))
        await commands.insert_sessions(tx, opened)
        await outbox.append(tx, audits)
    return results


def _forgive(stored: dict[bytes, Throttle], attempt: LoginAttempt) -> None:
    """A success resets the account's attempts, and takes itself off the address's."""
    account, address = stored.get(attempt.account_key), stored.get(attempt.address_key)
    if account is not None:
        stored[account.key] = replace(account, attempts=0)
    if address is not None:
        stored[address.key] = replace(address, attempts=max(0, address.attempts - 1))


def _throttled(seconds: int) -> LoginThrottled:
    error = LoginThrottled("too many attempts to log in")
    error.retry_after_seconds = seconds
    return error


def _throttled_audit(attempt: LoginAttempt, key: bytes, now: datetime) -> AuditRecorded:
    """Once per window: each attempt is in the access log, not in the audit log."""
    return events.login_throttled(attempt.merchant_id, key, attempt.origin, now)


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
