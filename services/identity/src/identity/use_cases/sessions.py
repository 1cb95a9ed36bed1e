"""Open sessions, refresh and end them."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from common import context, ids, outbox
from common.batching import Batcher
from common.clock import Clock
from common.context import Context
from common.database import Database, retried
from common.errors import DomainError
from common.redis import best_effort
from common.runtime import Workers
from identity.domain import sessions
from identity.domain.errors import (
    MerchantNotFound,
    MerchantSuspended,
    RefreshTokenInvalid,
    RefreshTokenReused,
    SessionNotFound,
    UserNotFound,
)
from identity.domain.memberships import Seat
from identity.domain.sessions import Device, LogOut, OpenedSession, Rotation, Session, SessionPolicy
from identity.domain.users import User
from identity.issuer import Issuer
from identity.store import commands, memberships, queries
from identity.use_cases.batches import only
from identity.use_cases.revocations import LEEWAY, save_ended
from identity.use_cases.users import user_of_merchant
from identity.wire import events, views

# Best-effort cache in Redis, for support: where a user's latest login came from. Nothing depends on it.
CACHE_SECONDS = 86_400


class Refresh(Struct, frozen=True):
    rotation: Rotation
    origin: Context


class Switch(Struct, frozen=True):
    """*session_id* of the user is to go on for *merchant_id*: an environment of an account, or the user's own."""

    user_id: UUID
    session_id: UUID | None
    merchant_id: str
    origin: Context


class Sessions:
    """Issues the tokens of new and refreshed sessions."""

    def __init__(self, db: Database, redis: Redis, clock: Clock, issuer: Issuer, policy: SessionPolicy) -> None:
        self._db = db
        self._redis = redis
        self.clock = clock
        self._issuer = issuer
        self._policy = policy
        self._refreshes: Batcher[Refresh, tuple[User, Session]] = Batcher(
            partial(refresh_sessions, db, clock, policy), name="refresh"
        )
        self.workers = Workers(batchers=(self._refreshes,))

    def new(self, user: User, *, has_second_factor: bool) -> Session:
        """A session of *user* from the device that the current request came from, not stored yet."""
        origin, session_id = context.current(), ids.new()
        token_hash = self._issuer.refresh_hash(session_id, 1)
        device = Device(origin.ip, origin.user_agent)
        opened = sessions.open_session(session_id, user, token_hash, device, self.clock.now(), self._policy)
        return msgspec.structs.replace(opened, has_second_factor=has_second_factor)

    def stepped_up(self, session: Session, *, has_second_factor: bool) -> Session:
        """*session*, with another refresh token, after its user has proved anew who they are; not stored yet."""
        token_hash = self._issuer.refresh_hash(session.session_id, sessions.next_of_renewal(session))
        now, policy = self.clock.now(), self._policy
        return sessions.step_up(session, token_hash, has_second_factor=has_second_factor, now=now, policy=policy)

    def switched(self, session: Session, merchant_id: str | None) -> Session:
        """*session*, with another refresh token, for another merchant; not stored yet."""
        token_hash = self._issuer.refresh_hash(session.session_id, sessions.next_of_renewal(session))
        return sessions.switch(session, token_hash, merchant_id, self.clock.now(), self._policy)

    async def switch(self, request: Switch) -> OpenedSession:
        """The same session with tokens for another merchant of the user; its refresh token from before is not valid any
        more. Raises MerchantNotFound, MerchantSuspended, SessionNotFound or UserNotFound.
        """
        user, session = only(await switch_sessions(self._db, self, [request]))
        return await self.issue(user, session)

    async def list_seats(self, user_id: UUID) -> list[Seat]:
        """What the user is in which environments of accounts, the oldest membership first."""
        async with self._db.autocommit() as tx:
            return (await memberships.seats(tx, {user_id})).get(user_id, [])

    async def list_open(self, user_id: UUID, merchant_id: str) -> list[Session]:
        """The user's sessions that have not ended, the newest first. Raises UserNotFound."""
        async with self._db.begin() as tx:
            await user_of_merchant(tx, user_id, merchant_id)
            return await queries.sessions_of_user(tx, user_id, self.clock.now())

    async def end(self, request: LogOut) -> None:
        """End one session of the user's own. Raises SessionNotFound or UserNotFound."""
        if await self.log_out(request) == 0:
            raise SessionNotFound("there is no open session of this id")

    async def issue(self, user: User, session: Session) -> OpenedSession:
        """The tokens of a stored session: for its merchant, while the user is a member there, or for the user's own.

        Memberships are read after the user: what is lost in between, the user's version knows.
        """
        seats = tuple(await self.list_seats(user.user_id))
        seat = next((each for each in seats if each.merchant_id == session.merchant_id and each.is_active), None)
        key = _cache_key(user.user_id)
        cached = self._db.sealer.seal_bytes(f"cache:{key}", msgspec.json.encode(views.cached_session(session)))
        await best_effort(self._redis.set(key, cached, ex=CACHE_SECONDS), None)
        return OpenedSession(
            user=user,
            session=session,
            seats=seats,
            seat=seat,
            access_token=self._issuer.access_token(user, session, seat, self.clock.now()),
            refresh_token=self._issuer.refresh_token(session.session_id, session.generation),
            expires_in=self._issuer.life,
        )

    async def refresh(self, refresh_token: str) -> OpenedSession:
        """Raises RefreshTokenInvalid or RefreshTokenReused."""
        rotation = self._issuer.rotation(refresh_token)
        user, session = await self._refreshes.submit(Refresh(rotation, context.current()), key=refresh_token)
        return await self.issue(user, session)

    async def log_out(self, request: LogOut) -> int:
        """How many sessions were ended. Raises UserNotFound."""
        ended = only(await log_out_users(self._db, self.clock, [request]))
        await best_effort(self._redis.delete(_cache_key(request.user_id)), None)
        return ended


@retried
async def refresh_sessions(
    db: Database, clock: Clock, policy: SessionPolicy, refreshes: Sequence[Refresh]
) -> list[tuple[User, Session] | DomainError]:
    """Move each session on by one token, or say why not. A token that is used again ends its session."""
    now = clock.now()
    results: list[tuple[User, Session] | DomainError] = []
    async with db.begin() as tx:
        session_ids = {refresh.rotation.session_id for refresh in refreshes}
        users = await commands.share_users(tx, await queries.users_of_sessions(tx, session_ids))
        stored = await commands.lock_sessions(tx, session_ids)
        changed: dict[UUID, Session] = {}
        audits = []
        for refresh in refreshes:
            before = stored.get(refresh.rotation.session_id)
            if before is None:
                results.append(RefreshTokenInvalid())
                continue
            after, refusal = sessions.rotate(before, refresh.rotation, now, policy)
            user = users[after.user_id]
            if after != before:
                stored[after.session_id] = changed[after.session_id] = after
            if isinstance(refusal, RefreshTokenReused):
                audits.append(
                    events.user_audit("user.refresh_token_reused", user, refresh.origin, now, actor="unknown")
                )
            results.append(refusal or (user, after))
        ended = {session_id: session for session_id, session in changed.items() if session.revoked_at is not None}
        await commands.save_sessions(tx, [session for session in changed.values() if session.session_id not in ended])
        await save_ended(tx, ended.values(), users, now)
        await outbox.append(tx, audits)
    return results


@retried
async def switch_sessions(
    db: Database, open_sessions: Sessions, switches: Sequence[Switch]
) -> list[tuple[User, Session] | DomainError]:
    """Each session for another merchant. MerchantNotFound, also where the user is no member, MerchantSuspended,
    SessionNotFound or UserNotFound for one that is not.
    """
    results: list[tuple[User, Session] | DomainError] = []
    async with db.begin() as tx:
        now = open_sessions.clock.now()
        users = await commands.share_users(tx, {each.user_id for each in switches})
        stored = await commands.lock_sessions(tx, {each.session_id for each in switches if each.session_id})
        seats = await memberships.seats(tx, users)
        changed: dict[UUID, Session] = {}
        audits = []
        for each in switches:
            user = users.get(each.user_id)
            session = stored.get(each.session_id) if each.session_id is not None else None
            if user is None or not user.is_active:
                results.append(UserNotFound("there is no profile of this user here"))
                continue
            if session is None or session.user_id != user.user_id or not session.is_open(now):
                results.append(SessionNotFound("the session has ended"))
                continue
            is_own = each.merchant_id == user.merchant_id
            seat = next((one for one in seats.get(user.user_id, ()) if one.merchant_id == each.merchant_id), None)
            if seat is None and not is_own:
                results.append(MerchantNotFound("there is no such merchant"))
                continue
            if seat is not None and not seat.is_active:
                results.append(MerchantSuspended("the merchant is suspended"))
                continue
            session = open_sessions.switched(session, None if is_own else each.merchant_id)
            stored[session.session_id] = changed[session.session_id] = session
            after = {"merchantId": each.merchant_id}
            audits.append(events.user_audit("user.merchant_switched", user, each.origin, now, after=after))
            results.append((user, session))
        await commands.save_sessions(tx, list(changed.values()))
        await outbox.append(tx, audits)
    return results


@retried
async def log_out_users(db: Database, clock: Clock, requests: Sequence[LogOut]) -> list[int | DomainError]:
    """How many sessions each request ended. One that has ended already, or is another user's, is none."""
    now = clock.now()
    counts: list[int | DomainError] = []
    changed: dict[UUID, Session] = {}
    audits = []
    async with db.begin() as tx:
        users = await commands.share_users(tx, {request.user_id for request in requests})
        stored = await commands.lock_sessions(
            tx,
            {request.session_id for request in requests if request.session_id},
            of_users={request.user_id for request in requests if request.everywhere},
        )
        for request in requests:
            user = users.get(request.user_id)
            if user is None or user.merchant_id != request.merchant_id:
                counts.append(UserNotFound())
                continue
            ended = [
                sessions.revoke(session, "logged_out", now)
                for session in stored.values()
                if session.user_id == request.user_id
                and session.revoked_at is None
                and (request.everywhere or session.session_id == request.session_id)
            ]
            for session in ended:
                stored[session.session_id] = changed[session.session_id] = session
            counts.append(len(ended))
            if ended:
                after = {"sessions": len(ended)}
                audits.append(events.user_audit("user.logout", user, request.origin, now, after=after))
        await save_ended(tx, changed.values(), users, now)
        await outbox.append(tx, audits)
    return counts


async def delete_expired(db: Database, clock: Clock, token_life: timedelta) -> None:
    """Housekeeping: delete the sessions and throttles that have expired, and revocations of tokens that have."""
    now = clock.now()
    async with db.begin() as tx:
        await commands.delete_expired(tx, now, revocations_before=now - token_life - 2 * LEEWAY)


def _cache_key(user_id: UUID) -> str:
    return f"session:{ids.encode('usr', user_id)}"
