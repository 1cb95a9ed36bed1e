"""Sign-up, and what changes about a user afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import outbox
from common.clock import Clock
from common.context import Context
from common.database import Database, Tx, retried
from common.errors import DomainError
from identity import domain, store, wire
from identity.domain import Access, Profile, Session, Status, User

SELF = "self"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody who signs up; *session* is opened along with it, *granted_by* says whose word the roles are."""

    user: User
    session: Session | None
    origin: Context
    granted_by: str = SELF


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What is None stays."""

    user_id: UUID
    merchant_id: str
    name: str | None
    mobile_number: str | None
    country_code: str | None


@dataclass(frozen=True, slots=True)
class PasswordChange:
    """*verified_hash* is the hash that the current password was verified against; *keep* the session that asked."""

    user_id: UUID
    merchant_id: str
    verified_hash: str = field(repr=False)
    password_hash: str = field(repr=False)
    keep: UUID | None
    origin: Context


@dataclass(frozen=True, slots=True)
class AccessChange:
    """An administrator's word: what is None stays. *add_roles* come on top of what *roles* says."""

    user_id: UUID
    merchant_id: str
    roles: frozenset[str] | None
    status: Status | None
    actor: str
    origin: Context
    add_roles: frozenset[str] = frozenset()


@retried
async def sign_up(db: Database, clock: Clock, newcomers: Sequence[Newcomer]) -> list[User | DomainError]:
    """The users who are new; the others' e-mail addresses are taken, also by somebody else of the same batch."""
    async with db.begin() as tx:
        inserted: set[UUID] = set()
        for granted_by in sorted({newcomer.granted_by for newcomer in newcomers}):
            group = [newcomer.user for newcomer in newcomers if newcomer.granted_by == granted_by]
            inserted |= await store.insert_users(tx, group, granted_by)
        welcome = [newcomer for newcomer in newcomers if newcomer.user.user_id in inserted]
        await store.insert_sessions(tx, [newcomer.session for newcomer in welcome if newcomer.session])
        now = clock.now()
        await outbox.append(
            tx,
            [
                wire.user_audit(
                    "user.signup",
                    newcomer.user,
                    newcomer.origin,
                    now,
                    actor="" if newcomer.granted_by == SELF else newcomer.granted_by,
                    after=wire.access_state(newcomer.user),
                )
                for newcomer in welcome
            ],
        )
    return [
        newcomer.user if newcomer.user.user_id in inserted else domain.EmailTaken("the e-mail address is taken")
        for newcomer in newcomers
    ]


@retried
async def change_profiles(db: Database, clock: Clock, changes: Sequence[ProfileChange]) -> list[User | DomainError]:
    """Take over what users say about themselves; another phone number has to be verified again."""
    results: list[User | DomainError] = []
    async with db.begin() as tx:
        found = await store.lock_users(tx, {change.user_id for change in changes})
        changed: dict[UUID, User] = {}
        for change in changes:
            user = found.get(change.user_id)
            if user is None or user.merchant_id != change.merchant_id:
                results.append(domain.UserNotFound())
                continue
            before = user.profile
            profile = Profile(
                before.name if change.name is None else change.name,
                before.mobile_number if change.mobile_number is None else change.mobile_number,
                before.country_code if change.country_code is None else change.country_code,
            )
            try:
                domain.check_profile(profile)
            except DomainError as error:
                results.append(error)
                continue
            user = replace(
                _touched(user, clock),
                profile=profile,
                is_mobile_number_verified=user.is_mobile_number_verified and profile.phone == before.phone,
            )
            found[user.user_id] = changed[user.user_id] = user
            results.append(user)
        await store.save_users(tx, list(changed.values()))
    return results


@retried
async def change_passwords(db: Database, clock: Clock, changes: Sequence[PasswordChange]) -> list[User | DomainError]:
    """Set a new password and end every other session of the user."""
    results: list[User | DomainError] = []
    async with db.begin() as tx:
        found = await store.lock_users(tx, {change.user_id for change in changes})
        changed: dict[UUID, User] = {}
        events, keep = [], set()
        for change in changes:
            user = found.get(change.user_id)
            if user is None or user.merchant_id != change.merchant_id:
                results.append(domain.UserNotFound())
            elif user.password_hash != change.verified_hash:
                # Somebody changed it while the current password was being verified.
                results.append(domain.PasswordWrong())
            else:
                user = replace(_touched(user, clock), password_hash=change.password_hash)
                found[user.user_id] = changed[user.user_id] = user
                keep |= {change.keep} - {None}
                events.append(wire.user_audit("user.password_changed", user, change.origin, clock.now()))
                results.append(user)
        await store.save_users(tx, list(changed.values()))
        await end_sessions(tx, clock, set(changed), "password_changed", keep={each for each in keep if each})
        await outbox.append(tx, events)
    return results


@retried
async def change_access(db: Database, clock: Clock, changes: Sequence[AccessChange]) -> list[User | DomainError]:
    """Grant and take roles, switch accounts on and off; who is switched off has no session any more."""
    results: list[User | DomainError] = []
    async with db.begin() as tx:
        known = await store.known_roles(tx)
        found = await store.lock_users(tx, {change.user_id for change in changes})
        changed: dict[UUID, tuple[User, str]] = {}
        events = []
        for change in changes:
            user = found.get(change.user_id)
            if user is None or user.merchant_id != change.merchant_id:
                results.append(domain.UserNotFound())
                continue
            roles = (user.access.roles if change.roles is None else change.roles) | change.add_roles
            if not roles <= known or not roles:
                results.append(domain.RoleUnknown("a user has at least one role, and only known ones"))
                continue
            access = Access(change.status or user.access.status, roles)
            if access != user.access:
                before, user = user, replace(_touched(user, clock), access=access)
                found[user.user_id] = user
                changed[user.user_id] = (user, change.actor)
                events.append(_access_audit(before, user, change, clock))
            results.append(user)
        for actor in sorted({actor for _, actor in changed.values()}):
            await store.save_users(tx, [user for user, by in changed.values() if by == actor], granted_by=actor)
        gone = {user_id for user_id, (user, _) in changed.items() if not user.is_active}
        await end_sessions(tx, clock, gone, "user_inactive")
        await outbox.append(tx, events)
    return results


async def end_sessions(
    tx: Tx, clock: Clock, user_ids: set[UUID], because: str, *, keep: set[UUID] | None = None
) -> list[Session]:
    """Revoke the sessions of locked users; returns those that it ended."""
    if not user_ids:
        return []
    sessions = await store.lock_sessions(tx, of_users=user_ids)
    ended = [
        domain.revoke(session, because, clock.now())
        for session in sessions.values()
        if session.session_id not in (keep or ())
    ]
    await store.save_sessions(tx, ended)
    return ended


def _touched(user: User, clock: Clock) -> User:
    return replace(user, version=user.version + 1, updated_at=clock.now())


def _access_audit(before: User, after: User, change: AccessChange, clock: Clock) -> AuditRecorded:
    action = "user.roles_changed" if before.access.roles != after.access.roles else "user.status_changed"
    return wire.user_audit(
        action,
        after,
        change.origin,
        clock.now(),
        actor=change.actor,
        before=wire.access_state(before),
        after=wire.access_state(after),
    )
