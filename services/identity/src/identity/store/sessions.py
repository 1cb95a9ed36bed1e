"""Sessions: families of refresh tokens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from common.database import Tx
from identity.domain import Device, Session


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
