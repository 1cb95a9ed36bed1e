"""Locks and writes, in sorted order: throttles (of addresses, of accounts), then merchants or accounts, users, their
sessions.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from common.database import LostRace, Tx
from common.seals import EMAIL, IP, NAME, PHONE, USER_AGENT, Sealer
from identity.domain.revocations import Revocation
from identity.domain.second_factors import ENROLMENT_LIFE
from identity.domain.sessions import Session
from identity.domain.throttles import Throttle
from identity.domain.users import User
from identity.store import queries, rows

_LOCK_MERCHANTS = """
select 1 from merchants where merchant_id = any(cast(:merchant_ids as text[])) order by merchant_id for no key update
"""
_LOCK_USERS = "select 1 from users u where u.user_id = any(cast(:user_ids as uuid[])) order by u.user_id"
_INSERT_USERS = """
insert into users (user_id, merchant_id, email, email_index, name, password_hash, mobile_number, country_code, type,
                   status, is_email_verified, created_at, updated_at)
select user_id, merchant_id, email, email_index, name, password_hash, mobile_number, country_code, type, status,
       is_email_verified, created_at, created_at
from unnest(
    cast(:user_ids as uuid[]), cast(:merchant_ids as text[]), cast(:emails as text[]), cast(:email_indexes as bytea[]),
    cast(:email_keys as text[]), cast(:names as text[]), cast(:hashes as text[]), cast(:numbers as text[]),
    cast(:codes as text[]), cast(:types as text[]), cast(:statuses as text[]), cast(:verified as boolean[]),
    cast(:times as timestamptz[]))
    as c (user_id, merchant_id, email, email_index, email_key, name, password_hash, mobile_number, country_code, type,
          status, is_email_verified, created_at)
where not exists (select from users u where u.merchant_id = c.merchant_id and u.email_key = c.email_key)
on conflict (merchant_id, email_index) do nothing
returning user_id
"""
_SAVE_USERS = """
update users u
set name = c.name, password_hash = c.password_hash, mobile_number = c.mobile_number,
    country_code = c.country_code, status = c.status, is_email_verified = c.is_email_verified,
    is_mobile_number_verified = c.is_mobile_number_verified, version = c.version, updated_at = c.updated_at
from unnest(
    cast(:user_ids as uuid[]), cast(:names as text[]), cast(:hashes as text[]), cast(:numbers as text[]),
    cast(:codes as text[]), cast(:statuses as text[]), cast(:verified as boolean[]),
    cast(:numbers_verified as boolean[]), cast(:versions as int[]), cast(:times as timestamptz[]))
    as c (user_id, name, password_hash, mobile_number, country_code, status, is_email_verified,
          is_mobile_number_verified, version, updated_at)
where u.user_id = c.user_id
"""
_TAKE_ROLES = """
delete from user_roles r where r.user_id = any(cast(:changed as uuid[])) and not exists (
    select from unnest(cast(:user_ids as uuid[]), cast(:roles as text[])) as kept (user_id, role)
    where kept.user_id = r.user_id and kept.role = r.role)
"""
_GRANT_ROLES = """
insert into user_roles (user_id, role, granted_by, granted_at)
select user_id, role, :granted_by, granted_at
from unnest(cast(:user_ids as uuid[]), cast(:roles as text[]), cast(:times as timestamptz[]))
    as row (user_id, role, granted_at)
on conflict do nothing
"""
_INSERT_SESSIONS = """
insert into sessions (session_id, user_id, generation, token_hash, ip, user_agent, created_at, rotated_at,
                      expires_at, authenticated_at, has_second_factor)
select * from unnest(
    cast(:session_ids as uuid[]), cast(:user_ids as uuid[]), cast(:generations as int[]),
    cast(:hashes as bytea[]), cast(:ips as text[]), cast(:agents as text[]), cast(:created as timestamptz[]),
    cast(:rotated as timestamptz[]), cast(:expiries as timestamptz[]), cast(:authenticated as timestamptz[]),
    cast(:factors as boolean[]))
"""
_LOCK_SESSIONS = """
select * from sessions
where session_id = any(cast(:session_ids as uuid[]))
   or user_id = any(cast(:user_ids as uuid[])) and revoked_at is null
order by session_id for no key update
"""
_SAVE_SESSIONS = """
update sessions s
set generation = c.generation, token_hash = c.token_hash, rotated_at = c.rotated_at, expires_at = c.expires_at,
    revoked_at = c.revoked_at, revoked_because = c.revoked_because, retired_hashes = c.retired_hashes,
    authenticated_at = c.authenticated_at, has_second_factor = c.has_second_factor, merchant_id = c.merchant_id
from unnest(
    cast(:session_ids as uuid[]), cast(:generations as int[]), cast(:hashes as bytea[]),
    cast(:rotated as timestamptz[]), cast(:expiries as timestamptz[]), cast(:revoked as timestamptz[]),
    cast(:reasons as text[]), cast(:retired as bytea[]), cast(:authenticated as timestamptz[]),
    cast(:factors as boolean[]), cast(:merchant_ids as text[]))
    as c (session_id, generation, token_hash, rotated_at, expires_at, revoked_at, revoked_because, retired_hashes,
          authenticated_at, has_second_factor, merchant_id)
where s.session_id = c.session_id
"""
_INSERT_REVOCATIONS = """
insert into revocations (revocation_id, user_id, merchant_id, session_id, user_version, reason, revoked_at)
select * from unnest(
    cast(:revocation_ids as uuid[]), cast(:user_ids as uuid[]), cast(:merchant_ids as text[]),
    cast(:session_ids as uuid[]), cast(:versions as int[]), cast(:reasons as text[]), cast(:times as timestamptz[]))
"""
_INSERT_THROTTLES = """
insert into login_throttles (key, attempts, window_ends_at)
select key, 0, :now from unnest(cast(:keys as bytea[])) as row (key) on conflict do nothing
"""
_LOCK_THROTTLES = """
select key, attempts, window_ends_at, blocked_until from login_throttles where key = any(cast(:keys as bytea[]))
order by key for no key update
"""
_SAVE_THROTTLES = """
update login_throttles t
set attempts = c.attempts, window_ends_at = c.window_ends_at, blocked_until = c.blocked_until
from unnest(cast(:keys as bytea[]), cast(:attempts as int[]), cast(:ends as timestamptz[]),
            cast(:blocked as timestamptz[])) as c (key, attempts, window_ends_at, blocked_until)
where t.key = c.key
"""


async def lock_merchants(tx: Tx, merchant_ids: Collection[str]) -> None:
    """Lock the rights of these merchants' users against other changes until *tx* ends."""
    await tx.execute(_LOCK_MERCHANTS, merchant_ids=sorted(merchant_ids))


async def lock_users(tx: Tx, user_ids: Collection[UUID]) -> dict[UUID, User]:
    """Those that exist; nobody else changes them until *tx* ends."""
    return await _locked_users(tx, user_ids, "for no key update of u")


async def share_users(tx: Tx, user_ids: Collection[UUID]) -> dict[UUID, User]:
    """Those that exist; nobody changes them until *tx* ends, others may share the lock."""
    return await _locked_users(tx, user_ids, "for share of u")


async def _locked_users(tx: Tx, user_ids: Collection[UUID], strength: str) -> dict[UUID, User]:
    await tx.execute(f"{_LOCK_USERS} {strength}", user_ids=list(user_ids))
    # Roles live in another table: they are read after the lock, or a change that the lock waited for would be missed.
    return await queries.users_by_id(tx, user_ids)


async def insert_users(tx: Tx, users: Collection[User], granted_by: str) -> set[UUID]:
    """The ids of those that were inserted; the others' e-mail addresses are taken."""
    sealer = tx.sealer
    indexes = {user.user_id: rows.email_index(sealer, user.email) for user in users}
    ordered = sorted(users, key=lambda user: (user.merchant_id, indexes[user.user_id]))
    inserted_ids = await tx.execute(
        _INSERT_USERS,
        user_ids=[user.user_id for user in ordered],
        merchant_ids=[user.merchant_id for user in ordered],
        emails=[sealer.seal(EMAIL, user.email) for user in ordered],
        email_indexes=[indexes[user.user_id] for user in ordered],
        email_keys=[user.email.lower() for user in ordered],
        names=[sealer.seal(NAME, user.profile.name) for user in ordered],
        hashes=[user.password_hash for user in ordered],
        numbers=[_sealed_number(sealer, user) for user in ordered],
        codes=[user.profile.country_code for user in ordered],
        types=[user.type for user in ordered],
        statuses=[user.access.status.value for user in ordered],
        verified=[user.is_email_verified for user in ordered],
        times=[user.created_at for user in ordered],
    )
    inserted = set(inserted_ids.scalars())
    await _grant_roles(tx, [user for user in ordered if user.user_id in inserted], granted_by)
    return inserted


async def save_users(tx: Tx, users: Sequence[User]) -> None:
    """Write locked users back, without their roles."""
    if not users:
        return
    await tx.execute(
        _SAVE_USERS,
        user_ids=[user.user_id for user in users],
        names=[tx.sealer.seal(NAME, user.profile.name) for user in users],
        hashes=[user.password_hash for user in users],
        numbers=[_sealed_number(tx.sealer, user) for user in users],
        codes=[user.profile.country_code for user in users],
        statuses=[user.access.status.value for user in users],
        verified=[user.is_email_verified for user in users],
        numbers_verified=[user.is_mobile_number_verified for user in users],
        versions=[user.version for user in users],
        times=[user.updated_at for user in users],
    )


async def save_roles(tx: Tx, users: Sequence[User], granted_by: str) -> None:
    """Make the stored roles of locked users those that they have now."""
    if not users:
        return
    pairs = _role_pairs(users)
    await tx.execute(
        _TAKE_ROLES,
        changed=[user.user_id for user in users],
        user_ids=[user_id for user_id, _ in pairs],
        roles=[role for _, role in pairs],
    )
    await _grant_roles(tx, users, granted_by)


async def _grant_roles(tx: Tx, users: Sequence[User], granted_by: str) -> None:
    pairs = _role_pairs(users)
    times = {user.user_id: user.updated_at for user in users}
    await tx.execute(
        _GRANT_ROLES,
        user_ids=[user_id for user_id, _ in pairs],
        roles=[role for _, role in pairs],
        times=[times[user_id] for user_id, _ in pairs],
        granted_by=granted_by,
    )


def _sealed_number(sealer: Sealer, user: User) -> str | None:
    number = user.profile.mobile_number
    return None if number is None else sealer.seal(PHONE, number)


def _role_pairs(users: Iterable[User]) -> list[tuple[UUID, str]]:
    return sorted((user.user_id, role) for user in users for role in user.access.roles)


async def insert_sessions(tx: Tx, sessions: Collection[Session]) -> None:
    if not sessions:
        return
    ordered = sorted(sessions, key=lambda session: session.session_id)
    await tx.execute(
        _INSERT_SESSIONS,
        session_ids=[session.session_id for session in ordered],
        user_ids=[session.user_id for session in ordered],
        generations=[session.generation for session in ordered],
        hashes=[session.token_hash for session in ordered],
        ips=[tx.sealer.seal(IP, session.device.ip) for session in ordered],
        agents=[tx.sealer.seal(USER_AGENT, session.device.user_agent) for session in ordered],
        created=[session.created_at for session in ordered],
        rotated=[session.rotated_at for session in ordered],
        expiries=[session.expires_at for session in ordered],
        authenticated=[session.authenticated_at for session in ordered],
        factors=[session.has_second_factor for session in ordered],
    )


async def lock_sessions(
    tx: Tx, session_ids: Collection[UUID] = (), *, of_users: Collection[UUID] = ()
) -> dict[UUID, Session]:
    """The sessions by their ids, and the open ones of whole users; nobody else changes them until *tx* ends."""
    session_rows = await tx.execute(_LOCK_SESSIONS, session_ids=list(session_ids), user_ids=list(of_users))
    return {row.session_id: rows.session(row, tx.sealer) for row in session_rows}


async def save_sessions(tx: Tx, sessions: Sequence[Session]) -> None:
    if not sessions:
        return
    await tx.execute(
        _SAVE_SESSIONS,
        session_ids=[session.session_id for session in sessions],
        generations=[session.generation for session in sessions],
        hashes=[session.token_hash for session in sessions],
        rotated=[session.rotated_at for session in sessions],
        expiries=[session.expires_at for session in sessions],
        revoked=[session.revoked_at for session in sessions],
        reasons=[session.revoked_because for session in sessions],
        retired=[b"".join(session.retired_hashes) for session in sessions],
        authenticated=[session.authenticated_at for session in sessions],
        factors=[session.has_second_factor for session in sessions],
        merchant_ids=[session.merchant_id for session in sessions],
    )


async def insert_revocations(tx: Tx, revocations: Sequence[Revocation]) -> None:
    if not revocations:
        return
    ordered = sorted(revocations, key=lambda revocation: revocation.revocation_id)
    await tx.execute(
        _INSERT_REVOCATIONS,
        revocation_ids=[revocation.revocation_id for revocation in ordered],
        user_ids=[revocation.user_id for revocation in ordered],
        merchant_ids=[revocation.merchant_id for revocation in ordered],
        session_ids=[revocation.session_id for revocation in ordered],
        versions=[revocation.user_version for revocation in ordered],
        reasons=[revocation.reason for revocation in ordered],
        times=[revocation.revoked_at for revocation in ordered],
    )


async def lock_throttles(tx: Tx, keys: Collection[bytes], now: datetime) -> dict[bytes, Throttle]:
    """One for every key, made when it is missing; nobody else changes them until *tx* ends. Those of network addresses
    are locked first, then, for what they admit, those of accounts.

    Raises LostRace when one that was there has expired and was deleted before it was locked.
    """
    if not keys:
        return {}
    ordered = sorted(set(keys))
    await tx.execute(_INSERT_THROTTLES, keys=ordered, now=now)
    throttles = {row.key: rows.throttle(row) for row in await tx.execute(_LOCK_THROTTLES, keys=ordered)}
    if len(throttles) < len(ordered):
        raise LostRace
    return throttles


async def save_throttles(tx: Tx, throttles: Collection[Throttle]) -> None:
    if not throttles:
        return
    await tx.execute(
        _SAVE_THROTTLES,
        keys=[throttle.key for throttle in throttles],
        attempts=[throttle.attempts for throttle in throttles],
        ends=[throttle.window_ends_at for throttle in throttles],
        blocked=[throttle.blocked_until for throttle in throttles],
    )


async def delete_expired(tx: Tx, now: datetime, *, revocations_before: datetime) -> None:
    """Delete throttles, mailed tokens, enrolments, sessions and revocations whose time is over."""
    await tx.execute("delete from revocations where revoked_at < :before", before=revocations_before)
    await tx.execute("delete from account_tokens where expires_at < :now", now=now)
    await tx.execute(
        "delete from second_factors where confirmed_at is null and created_at < :before", before=now - ENROLMENT_LIFE
    )
    await tx.execute("delete from login_throttles where window_ends_at < :now", now=now)
    await tx.execute("delete from sessions where expires_at < :now", now=now)
