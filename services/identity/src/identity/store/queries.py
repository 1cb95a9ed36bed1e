"""Reads without locks."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from common.api_keys import Environment
from common.database import Tx
from identity.domain.revocations import Revocation
from identity.domain.sessions import Session
from identity.domain.users import User
from identity.store import rows

_USERS = """
select u.user_id, u.merchant_id, u.email, u.password_hash, u.name, u.mobile_number, u.country_code, u.type, u.status,
       u.is_email_verified, u.is_mobile_number_verified, u.version, u.created_at, u.updated_at,
       array(select r.role from user_roles r where r.user_id = u.user_id) as roles
from users u
"""
_USERS_BY_ID = _USERS + "where u.user_id = any(cast(:user_ids as uuid[])) order by u.user_id"
# email_key finds users whose row is not sealed yet.
_USERS_BY_EMAIL = (
    _USERS
    + """
where u.user_id in (
    select i.user_id
    from unnest(cast(:merchant_ids as text[]), cast(:email_indexes as bytea[])) as address (merchant_id, email_index)
    join users i on i.merchant_id = address.merchant_id and i.email_index = address.email_index
    union all
    select k.user_id
    from unnest(cast(:merchant_ids as text[]), cast(:email_keys as text[])) as address (merchant_id, email_key)
    join users k on k.merchant_id = address.merchant_id and k.email_key = address.email_key
)
"""
)
_ACTIVE_ADMINISTRATORS = """
select u.merchant_id, u.user_id from users u join user_roles r on r.user_id = u.user_id
where r.role = 'ADMIN' and u.status = 'ACTIVE' and u.merchant_id = any(cast(:merchant_ids as text[]))
"""
_USERS_OF_ADDRESS = _USERS + "where u.email_index = :email_index or u.email_key = :email_key order by u.user_id limit 1"
_REVOCATIONS = """
select * from revocations where revoked_at >= :since and revocation_id > :after_id order by revocation_id limit :limit
"""
_OPEN_SESSIONS = """
select * from sessions
where session_id = any(cast(:session_ids as uuid[])) and revoked_at is null and expires_at > :now
"""
_USERS_OF_SESSIONS = "select user_id from sessions where session_id = any(cast(:session_ids as uuid[]))"
_SESSIONS_OF_USER = """
select * from sessions where user_id = :user_id and revoked_at is null and expires_at > :now
order by created_at desc, session_id desc
"""
_MERCHANTS = "select merchant_id, environment from merchants where merchant_id = any(cast(:merchant_ids as text[]))"
_RECENT_SESSIONS = "select * from sessions where user_id = :user_id order by session_id desc limit :limit"


async def users_by_id(tx: Tx, user_ids: Collection[UUID]) -> dict[UUID, User]:
    """Those that exist, as they are now."""
    user_rows = await tx.execute(_USERS_BY_ID, user_ids=list(user_ids))
    return {row.user_id: rows.user(row, tx.sealer) for row in user_rows}


async def users_by_email(tx: Tx, addresses: Collection[tuple[str, str]]) -> dict[tuple[str, str], User]:
    """By (merchant id, lower-case e-mail address)."""
    user_rows = await tx.execute(
        _USERS_BY_EMAIL,
        merchant_ids=[merchant_id for merchant_id, _ in addresses],
        email_indexes=[rows.email_index(tx.sealer, email_key) for _, email_key in addresses],
        email_keys=[email_key for _, email_key in addresses],
    )
    users = [rows.user(row, tx.sealer) for row in user_rows]
    return {(user.merchant_id, user.email.lower()): user for user in users}


async def active_administrators(tx: Tx, merchant_ids: Collection[str]) -> dict[str, set[UUID]]:
    """By merchant; one without any is left out."""
    administrators: dict[str, set[UUID]] = {}
    for row in await tx.execute(_ACTIVE_ADMINISTRATORS, merchant_ids=list(merchant_ids)):
        administrators.setdefault(row.merchant_id, set()).add(row.user_id)
    return administrators


async def user_of_any_merchant(tx: Tx, email: str) -> User | None:
    """The oldest user with this address, without regard to case; None when there is none."""
    email_index = rows.email_index(tx.sealer, email)
    user_rows = await tx.execute(_USERS_OF_ADDRESS, email_index=email_index, email_key=email.lower())
    return rows.user(user_rows[0], tx.sealer) if user_rows else None


async def revocations(tx: Tx, since: datetime, after_id: UUID | None, limit: int) -> list[Revocation]:
    """Those of *since* and later with higher ids than *after_id*, by id."""
    found = await tx.execute(_REVOCATIONS, since=since, after_id=after_id or UUID(int=0), limit=limit)
    return [rows.revocation(row) for row in found]


async def open_sessions(tx: Tx, session_ids: Collection[UUID], now: datetime) -> dict[UUID, Session]:
    """Those that are neither ended nor expired."""
    open_rows = await tx.execute(_OPEN_SESSIONS, session_ids=list(session_ids), now=now)
    return {row.session_id: rows.session(row, tx.sealer) for row in open_rows}


async def users_of_sessions(tx: Tx, session_ids: Collection[UUID]) -> set[UUID]:
    """Whose sessions these are, which never changes; users are locked before their sessions."""
    return set((await tx.execute(_USERS_OF_SESSIONS, session_ids=list(session_ids))).scalars())


async def recent_sessions(tx: Tx, user_id: UUID, limit: int) -> list[Session]:
    """The newest ones, oldest first."""
    newest_first = await tx.execute(_RECENT_SESSIONS, user_id=user_id, limit=limit)
    return [rows.session(row, tx.sealer) for row in newest_first][::-1]


async def sessions_of_user(tx: Tx, user_id: UUID, now: datetime) -> list[Session]:
    """The user's sessions that are neither ended nor expired, the newest first."""
    open_rows = await tx.execute(_SESSIONS_OF_USER, user_id=user_id, now=now)
    return [rows.session(row, tx.sealer) for row in open_rows]


async def environments(tx: Tx, merchant_ids: Collection[str]) -> dict[str, Environment]:
    """Which environment each merchant is; none for those that do not exist."""
    found = await tx.execute(_MERCHANTS, merchant_ids=list(merchant_ids))
    return {row.merchant_id: row.environment for row in found}


async def role_names(tx: Tx) -> frozenset[str]:
    return frozenset((await tx.execute("select role from roles")).scalars())
