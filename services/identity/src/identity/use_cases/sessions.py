"""Logging in, staying logged in, logging out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import outbox
from common.clock import Clock
from common.context import Context
from common.database import Database, retried
from common.errors import DomainError
from identity import domain, store, wire
from identity.domain import Rotation, Session, Throttle, TooManyLogins, User


@dataclass(frozen=True, slots=True)
class Limits:
    """Attempts within one window: for one account from one address, and from one address for any account."""

    per_account: int
    per_address: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody wants to log in; the password is not looked at yet."""

    merchant_id: str
    email: str
    origin: Context

    @property
    def account_key(self) -> bytes:
        return _key("account", self.merchant_id, self.email.lower(), self.origin.ip)

    @property
    def address_key(self) -> bytes:
        return _key("address", self.origin.ip)


@dataclass(frozen=True, slots=True)
class Login:
    """An attempt whose password was right, of *user* as it was then; *rehashed* replaces an outdated hash."""

    attempt: Attempt
    user: User
    session: Session
    rehashed: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Refresh:
    rotation: Rotation
    origin: Context


@dataclass(frozen=True, slots=True)
class LogOut:
    """End *session_id*, or every session of the user."""

    user_id: UUID
    session_id: UUID | None
    everywhere: bool
    origin: Context


@retried
async def begin_logins(
    db: Database, clock: Clock, limits: Limits, attempts: Sequence[Attempt]
) -> list[User | DomainError | None]:
    """Count each attempt and find its user; TooManyLogins when it has to wait.

    Counted before the password is verified, so that a hundred guesses at once are a hundred.
    """
    now = clock.now()
    async with db.begin() as tx:
        keys = {key for attempt in attempts for key in (attempt.account_key, attempt.address_key)}
        throttles = await store.lock_throttles(tx, keys, now)
        refusals, events = [], []
        for attempt in attempts:
            waits = []
            for key, limit in ((attempt.account_key, limits.per_account), (attempt.address_key, limits.per_address)):
                before = throttles.get(key, Throttle(key, 0, now))
                throttles[key], allowed = domain.admit(before, limit, limits.window, now)
                if not allowed:
                    waits.append(domain.waiting_time(throttles[key], now))
                    if before.attempts == limit:
                        events.append(_refused(attempt, key, now))
            refusals.append(_too_many(max(waits)) if waits else None)
        await store.save_throttles(tx, throttles.values())
        found = await store.users_by_email(tx, {(attempt.merchant_id, attempt.email.lower()) for attempt in attempts})
        await outbox.append(tx, events)
    return [
        refusal or found.get((attempt.merchant_id, attempt.email.lower()))
        for attempt, refusal in zip(attempts, refusals, strict=True)
    ]


@retried
async def open_sessions(db: Database, clock: Clock, logins: Sequence[Login]) -> list[User | DomainError]:
    """Open the sessions of those whose password was right and still is, and forget their failed attempts."""
    now = clock.now()
    results: list[User | DomainError] = []
    async with db.begin() as tx:
        keys = {key for login in logins for key in (login.attempt.account_key, login.attempt.address_key)}
        throttles = await store.lock_throttles(tx, keys, now)
        found = await store.lock_users(
            tx, {login.user.user_id for login in logins}, to_change=any(login.rehashed for login in logins)
        )
        opened, rehashed, events = [], {}, []
        for login in logins:
            user = found.get(login.user.user_id)
            if user is None or (login.user.password_hash != user.password_hash and user.user_id not in rehashed):
                results.append(domain.InvalidCredentials())
                continue
            account, address = throttles.get(login.attempt.account_key), throttles.get(login.attempt.address_key)
            if account is not None:
                throttles[account.key] = replace(account, attempts=0)
            if address is not None:
                throttles[address.key] = replace(address, attempts=max(0, address.attempts - 1))
            if not user.is_active:
                results.append(domain.UserInactive())
                continue
            if login.rehashed is not None:
                user = found[user.user_id] = rehashed[user.user_id] = replace(user, password_hash=login.rehashed)
            opened.append(login.session)
            events.append(wire.user_audit("user.login", user, login.attempt.origin, now))
            results.append(user)
        await store.save_throttles(tx, throttles.values())
        await store.save_users(tx, list(rehashed.values()))
        await store.insert_sessions(tx, opened)
        await outbox.append(tx, events)
    return results


@retried
async def refresh_sessions(
    db: Database, clock: Clock, life: timedelta, refreshes: Sequence[Refresh]
) -> list[tuple[User, Session] | DomainError]:
    """Move each session on by one token, or say why not. A token that is shown again ends its session."""
    now = clock.now()
    results: list[tuple[User, Session] | DomainError] = []
    async with db.begin() as tx:
        session_ids = {refresh.rotation.session_id for refresh in refreshes}
        users = await store.lock_users(tx, await store.users_of_sessions(tx, session_ids), to_change=False)
        sessions = await store.lock_sessions(tx, session_ids)
        changed, events = {}, []
        for refresh in refreshes:
            before = sessions.get(refresh.rotation.session_id)
            after, refusal = domain.rotate(before, refresh.rotation, now, life)
            if after is None:
                results.append(refusal or domain.RefreshTokenInvalid())
                continue
            user = users[after.user_id]
            if after != before:
                sessions[after.session_id] = changed[after.session_id] = after
            if isinstance(refusal, domain.RefreshTokenReused):
                events.append(wire.user_audit("user.refresh_token_reused", user, refresh.origin, now, actor="unknown"))
            results.append(refusal or (user, after))
        await store.save_sessions(tx, list(changed.values()))
        await outbox.append(tx, events)
    return results


@retried
async def log_out(db: Database, clock: Clock, requests: Sequence[LogOut]) -> list[int]:
    """End sessions; how many each request ended. One that has ended already, or is another user's, is no error."""
    now = clock.now()
    counts, changed, events = [], {}, []
    async with db.begin() as tx:
        users = await store.lock_users(tx, {request.user_id for request in requests}, to_change=False)
        sessions = await store.lock_sessions(
            tx,
            {request.session_id for request in requests if request.session_id},
            of_users={request.user_id for request in requests if request.everywhere},
        )
        for request in requests:
            ended = [
                domain.revoke(session, "logged_out", now)
                for session in sessions.values()
                if session.user_id == request.user_id
                and session.revoked_at is None
                and (request.everywhere or session.session_id == request.session_id)
            ]
            for session in ended:
                sessions[session.session_id] = changed[session.session_id] = session
            counts.append(len(ended))
            if ended:
                user = users[request.user_id]
                after: dict[str, object] = {"sessions": len(ended)}
                events.append(wire.user_audit("user.logout", user, request.origin, now, after=after))
        await store.save_sessions(tx, list(changed.values()))
        await outbox.append(tx, events)
    return counts


async def forget(db: Database, clock: Clock) -> None:
    """Housekeeping: what has expired may go."""
    async with db.begin() as tx:
        await store.forget(tx, clock.now())


def _too_many(seconds: int) -> TooManyLogins:
    error = TooManyLogins("too many attempts to log in")
    error.retry_after_seconds = seconds
    return error


def _refused(attempt: Attempt, key: bytes, now: datetime) -> AuditRecorded:
    """Once per window: who exactly tried what is in the access log, not in the book."""
    return wire.audit(
        "user.login_throttled",
        attempt.merchant_id,
        ("login_throttle", key.hex()),
        attempt.origin,
        now,
        actor="unknown",
    )


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
