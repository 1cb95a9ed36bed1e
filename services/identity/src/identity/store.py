"""Tables and queries; the only SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from common.database import Tx
from identity.domain import Access, Device, Profile, Session, Status, Throttle, User

_USERS = """
select u.user_id, u.merchant_id, u.email, u.password_hash, u.name, u.mobile_number, u.country_code, u.type, u.status,
       u.is_email_verified, u.is_mobile_number_verified, u.version, u.created_at, u.updated_at,
       array(select r.role from user_roles r where r.user_id = u.user_id) as roles
from users u
"""
_BY_ID = "where u.user_id = any(cast(:user_ids as uuid[])) order by u.user_id"


async def users(tx: Tx, user_ids: Collection[UUID]) -> dict[UUID, User]:
    """Those that exist, as they are now."""
    return _by_id(await tx.execute(_USERS + _BY_ID, user_ids=list(user_ids)))


async def lock_users(tx: Tx, user_ids: Collection[UUID], *, to_change: bool = True) -> dict[UUID, User]:
    """Those that exist; nobody changes them until *tx* ends. Not *to_change*: others may hold them still as well."""
    strength = "for no key update of u" if to_change else "for share of u"
    await tx.execute(f"select 1 from users u {_BY_ID} {strength}", user_ids=list(user_ids))
    # Roles live in another table: they are read after the lock, or a change that it waited for would be missed.
    return await users(tx, user_ids)


async def users_by_email(tx: Tx, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], User]:
    """By (merchant id, lower-case e-mail address)."""
    rows = await tx.execute(
        _USERS
        + " join unnest(cast(:merchant_ids as text[]), cast(:email_keys as text[])) as wanted (merchant_id, email_key)"
        " on u.merchant_id = wanted.merchant_id and u.email_key = wanted.email_key",
        merchant_ids=[merchant_id for merchant_id, _ in keys],
        email_keys=[email_key for _, email_key in keys],
    )
    return {(user.merchant_id, user.email.lower()): user for user in _by_id(rows).values()}


async def insert_users(tx: Tx, newcomers: Iterable[User], granted_by: str) -> set[UUID]:
    """The ids of those that were inserted; the others' e-mail addresses are taken."""
    ordered = sorted(newcomers, key=lambda user: (user.merchant_id, user.email.lower()))
    rows = await tx.execute(
        """
        insert into users (user_id, merchant_id, email, name, password_hash, mobile_number, country_code, type, status,
                           created_at, updated_at)
        select * from unnest(
            cast(:user_ids as uuid[]), cast(:merchant_ids as text[]), cast(:emails as text[]), cast(:names as text[]),
            cast(:hashes as text[]), cast(:numbers as text[]), cast(:codes as text[]), cast(:types as text[]),
            cast(:statuses as text[]), cast(:times as timestamptz[]), cast(:times as timestamptz[]))
        on conflict (merchant_id, email_key) do nothing
        returning user_id
        """,
        user_ids=[user.user_id for user in ordered],
        merchant_ids=[user.merchant_id for user in ordered],
        emails=[user.email for user in ordered],
        names=[user.profile.name for user in ordered],
        hashes=[user.password_hash for user in ordered],
        numbers=[user.profile.mobile_number for user in ordered],
        codes=[user.profile.country_code for user in ordered],
        types=[user.type for user in ordered],
        statuses=[user.access.status.value for user in ordered],
        times=[user.created_at for user in ordered],
    )
    inserted = {row.user_id for row in rows}
    await _grant(tx, [user for user in ordered if user.user_id in inserted], granted_by)
    return inserted


async def save_users(tx: Tx, changed: Sequence[User], *, granted_by: str | None = None) -> None:
    """Write locked users back; their roles too when *granted_by* says who decided on them."""
    if not changed:
        return
    await tx.execute(
        """
        update users u
        set name = c.name, password_hash = c.password_hash, mobile_number = c.mobile_number,
            country_code = c.country_code, status = c.status, is_mobile_number_verified = c.is_mobile_number_verified,
            version = c.version, updated_at = c.updated_at
        from unnest(
            cast(:user_ids as uuid[]), cast(:names as text[]), cast(:hashes as text[]), cast(:numbers as text[]),
            cast(:codes as text[]), cast(:statuses as text[]), cast(:verified as boolean[]), cast(:versions as int[]),
            cast(:times as timestamptz[]))
            as c (user_id, name, password_hash, mobile_number, country_code, status, is_mobile_number_verified,
                  version, updated_at)
        where u.user_id = c.user_id
        """,
        user_ids=[user.user_id for user in changed],
        names=[user.profile.name for user in changed],
        hashes=[user.password_hash for user in changed],
        numbers=[user.profile.mobile_number for user in changed],
        codes=[user.profile.country_code for user in changed],
        statuses=[user.access.status.value for user in changed],
        verified=[user.is_mobile_number_verified for user in changed],
        versions=[user.version for user in changed],
        times=[user.updated_at for user in changed],
    )
    if granted_by is not None:
        kept = _pairs(changed)
        await tx.execute(
            """
            delete from user_roles r where r.user_id = any(cast(:changed as uuid[])) and not exists (
                select from unnest(cast(:user_ids as uuid[]), cast(:roles as text[])) as kept (user_id, role)
                where kept.user_id = r.user_id and kept.role = r.role)
            """,
            changed=[user.user_id for user in changed],
            user_ids=[user_id for user_id, _ in kept],
            roles=[role for _, role in kept],
        )
        await _grant(tx, changed, granted_by)


async def _grant(tx: Tx, receivers: Sequence[User], granted_by: str) -> None:
    pairs = _pairs(receivers)
    times = {user.user_id: user.updated_at for user in receivers}
    await tx.execute(
        """
        insert into user_roles (user_id, role, granted_by, granted_at)
        select user_id, role, :granted_by, granted_at
        from unnest(cast(:user_ids as uuid[]), cast(:roles as text[]), cast(:times as timestamptz[]))
            as row (user_id, role, granted_at)
        on conflict do nothing
        """,
        user_ids=[user_id for user_id, _ in pairs],
        roles=[role for _, role in pairs],
        times=[times[user_id] for user_id, _ in pairs],
        granted_by=granted_by,
    )


async def known_roles(tx: Tx) -> frozenset[str]:
    return frozenset((await tx.execute("select role from roles")).scalars())


# ── Sessions ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def insert_sessions(tx: Tx, opened: Collection[Session]) -> None:
    if not opened:
        return
    ordered = sorted(opened, key=lambda session: session.session_id)
    await tx.execute(
        """
        insert into sessions (session_id, user_id, generation, token_hash, ip, user_agent, created_at, rotated_at,
                              expires_at)
        select * from unnest(
            cast(:session_ids as uuid[]), cast(:user_ids as uuid[]), cast(:generations as int[]),
            cast(:hashes as bytea[]), cast(:ips as text[]), cast(:agents as text[]), cast(:created as timestamptz[]),
            cast(:rotated as timestamptz[]), cast(:expiries as timestamptz[]))
        """,
        session_ids=[session.session_id for session in ordered],
        user_ids=[session.user_id for session in ordered],
        generations=[session.generation for session in ordered],
        hashes=[session.token_hash for session in ordered],
        ips=[session.device.ip for session in ordered],
        agents=[session.device.user_agent for session in ordered],
        created=[session.created_at for session in ordered],
        rotated=[session.rotated_at for session in ordered],
        expiries=[session.expires_at for session in ordered],
    )


async def users_of_sessions(tx: Tx, session_ids: Collection[UUID]) -> set[UUID]:
    """Whose sessions these are, which never changes; users are locked before their sessions."""
    rows = await tx.execute(
        "select user_id from sessions where session_id = any(cast(:session_ids as uuid[]))",
        session_ids=list(session_ids),
    )
    return set(rows.scalars())


async def lock_sessions(
    tx: Tx, session_ids: Collection[UUID] = (), *, of_users: Collection[UUID] = ()
) -> dict[UUID, Session]:
    """The sessions by their ids, and those of whole users that are still good; nobody changes them until *tx* ends."""
    rows = await tx.execute(
        """
        select * from sessions
        where session_id = any(cast(:session_ids as uuid[]))
           or user_id = any(cast(:user_ids as uuid[])) and revoked_at is null
        order by session_id for no key update
        """,
        session_ids=list(session_ids),
        user_ids=list(of_users),
    )
    return {row.session_id: _session(row) for row in rows}


async def recent_sessions(tx: Tx, user_id: UUID, limit: int) -> list[Session]:
    """The youngest ones, oldest first."""
    rows = await tx.execute(
        "select * from sessions where user_id = :user_id order by session_id desc limit :rows",
        user_id=user_id,
        rows=limit,
    )
    return [_session(row) for row in rows][::-1]


async def save_sessions(tx: Tx, changed: Sequence[Session]) -> None:
    if not changed:
        return
    await tx.execute(
        """
        update sessions s
        set generation = c.generation, token_hash = c.token_hash, rotated_at = c.rotated_at, expires_at = c.expires_at,
            revoked_at = c.revoked_at, revoked_because = c.revoked_because
        from unnest(
            cast(:session_ids as uuid[]), cast(:generations as int[]), cast(:hashes as bytea[]),
            cast(:rotated as timestamptz[]), cast(:expiries as timestamptz[]), cast(:revoked as timestamptz[]),
            cast(:reasons as text[]))
            as c (session_id, generation, token_hash, rotated_at, expires_at, revoked_at, revoked_because)
        where s.session_id = c.session_id
        """,
        session_ids=[session.session_id for session in changed],
        generations=[session.generation for session in changed],
        hashes=[session.token_hash for session in changed],
        rotated=[session.rotated_at for session in changed],
        expiries=[session.expires_at for session in changed],
        revoked=[session.revoked_at for session in changed],
        reasons=[session.revoked_because for session in changed],
    )


# ── Throttles ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def lock_throttles(tx: Tx, keys: Collection[bytes], now: datetime) -> dict[bytes, Throttle]:
    """One for every key, made when it is missing; nobody changes them until *tx* ends."""
    ordered = sorted(set(keys))
    await tx.execute(
        """
        insert into login_throttles (key, attempts, window_ends_at)
        select key, 0, :now from unnest(cast(:keys as bytea[])) as row (key) on conflict do nothing
        """,
        keys=ordered,
        now=now,
    )
    rows = await tx.execute(
        """
        select key, attempts, window_ends_at from login_throttles where key = any(cast(:keys as bytea[]))
        order by key for no key update
        """,
        keys=ordered,
    )
    return {row.key: Throttle(row.key, row.attempts, row.window_ends_at) for row in rows}


async def save_throttles(tx: Tx, changed: Collection[Throttle]) -> None:
    if not changed:
        return
    await tx.execute(
        """
        update login_throttles t set attempts = c.attempts, window_ends_at = c.window_ends_at
        from unnest(cast(:keys as bytea[]), cast(:attempts as int[]), cast(:ends as timestamptz[]))
            as c (key, attempts, window_ends_at)
        where t.key = c.key
        """,
        keys=[throttle.key for throttle in changed],
        attempts=[throttle.attempts for throttle in changed],
        ends=[throttle.window_ends_at for throttle in changed],
    )


async def forget(tx: Tx, now: datetime) -> None:
    """Delete throttles and sessions whose time is over."""
    await tx.execute("delete from login_throttles where window_ends_at < :now", now=now)
    await tx.execute("delete from sessions where expires_at < :now", now=now)


def _pairs(receivers: Iterable[User]) -> list[tuple[UUID, str]]:
    return sorted((user.user_id, role) for user in receivers for role in user.access.roles)


def _by_id(rows: Iterable[Any]) -> dict[UUID, User]:
    return {row.user_id: _user(row) for row in rows}


def _user(row: Any) -> User:
    return User(
        row.user_id,
        row.merchant_id,
        row.email,
        row.password_hash,
        Profile(row.name, row.mobile_number, row.country_code),
        row.type,
        Access(Status(row.status), frozenset(row.roles)),
        row.is_email_verified,
        row.is_mobile_number_verified,
        row.version,
        row.created_at,
        row.updated_at,
    )


def _session(row: Any) -> Session:
    return Session(
        row.session_id,
        row.user_id,
        row.generation,
        bytes(row.token_hash),
        Device(row.ip, row.user_agent),
        row.created_at,
        row.rotated_at,
        row.expires_at,
        row.revoked_at,
        row.revoked_because,
    )
