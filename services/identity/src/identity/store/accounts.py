"""Users and their roles."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from common.database import Tx
from identity.domain import Access, Profile, Status, User

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
