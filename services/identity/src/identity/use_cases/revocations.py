"""Announce accesses that have ended, and list them for services that missed it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from common import outbox
from common.clock import Clock
from common.database import Database, Tx
from common.errors import require_at_most
from identity.domain import revocations, sessions
from identity.domain.revocations import Revocation, RevocationPage
from identity.domain.sessions import Session
from identity.domain.users import User
from identity.store import commands, queries
from identity.wire import events

PAGE_MAX = 1_000
# A token that has just expired is accepted for a moment, and clocks differ.
LEEWAY = timedelta(seconds=60)


async def announce(tx: Tx, revoked: Sequence[Revocation]) -> None:
    """Store them for ListRevocations, and announce them to every replica."""
    await commands.insert_revocations(tx, revoked)
    await outbox.append(tx, [events.access_revoked(each) for each in revoked])


async def save_ended(tx: Tx, ended: Iterable[Session], users: Mapping[UUID, User], now: datetime) -> None:
    """Store sessions that have ended now; every service refuses their access tokens from then on."""
    ended = list(ended)
    await commands.save_sessions(tx, ended)
    await announce(tx, [revocations.of_session(session, users[session.user_id].merchant_id, now) for session in ended])


async def end_sessions(
    tx: Tx, users: Mapping[UUID, User], because: str, now: datetime, *, keep: Collection[UUID] = ()
) -> None:
    """Revoke the sessions of locked users, but for those of *keep*."""
    if not users:
        return
    stored = await commands.lock_sessions(tx, of_users=users.keys())
    ended = [sessions.revoke(session, because, now) for session in stored.values() if session.session_id not in keep]
    await save_ended(tx, ended, users, now)


async def list_revocations(
    db: Database, clock: Clock, token_life: timedelta, since: datetime, after_id: UUID | None, limit: int
) -> RevocationPage:
    """Those of *since* and later of whose tokens any may still be valid, by id. Raises LimitExceeded."""
    require_at_most(PAGE_MAX, limit=limit)
    now = clock.now()
    async with db.autocommit() as tx:
        since = max(since, now - token_life - LEEWAY)
        revoked = await queries.revocations(tx, since, after_id, limit or PAGE_MAX)
    return RevocationPage(revoked, now, token_life)
