"""Profiles: what users enter about themselves."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import ids, outbox
from common.batching import Batcher
from common.clock import Clock
from common.context import Context
from common.database import Database, retried
from common.errors import DomainError
from common.redis import best_effort
from common.runtime import Workers
from identity.domain import users
from identity.domain.changes import ProfileChange
from identity.domain.errors import UserInvalid, UserNotFound
from identity.domain.users import Profile, User
from identity.store import commands, queries
from identity.wire import events, views

# Best-effort cache in Redis of what is shown of a user; the table is authoritative.
CACHE_SECONDS = 3_600


class Profiles:
    """Reads and changes profiles; changes that come together share a transaction."""

    def __init__(self, db: Database, redis: Redis, clock: Clock) -> None:
        self._db = db
        self._redis = redis
        self._changes: Batcher[ProfileChange, User] = Batcher(partial(change_profiles, db, clock), name="profile")
        self.workers = Workers(batchers=(self._changes,))

    async def read(self, user_id: UUID, merchant_id: str) -> views.UserView:
        """Raises UserNotFound."""
        key = _cache_key(user_id)
        sealed = await best_effort(self._redis.get(key), None)
        cached = self._db.sealer.open_cached(f"cache:{key}", sealed) if isinstance(sealed, bytes) else None
        view = views.cached_user(cached) if cached is not None else None
        if view is None:
            async with self._db.begin() as tx:
                user = (await queries.users_by_id(tx, {user_id})).get(user_id)
            if user is None:
                raise UserNotFound("there is no profile of this user here")
            view = views.user(user)
            # Never over what a change has just written: only where there is nothing.
            await best_effort(self._redis.set(key, self._sealed(key, view), ex=CACHE_SECONDS, nx=True), None)
        if view.merchant_id != merchant_id:
            raise UserNotFound("there is no profile of this user here")
        return view

    async def change(self, change: ProfileChange) -> User:
        """Raises UserInvalid or UserNotFound."""
        user = await self._changes.submit(change)
        await self.remember(user)
        return user

    async def remember(self, user: User) -> None:
        """Keep a changed user in the cache."""
        key = _cache_key(user.user_id)
        await best_effort(self._redis.set(key, self._sealed(key, views.user(user)), ex=CACHE_SECONDS), None)

    def _sealed(self, key: str, view: views.UserView) -> bytes:
        return self._db.sealer.seal_bytes(f"cache:{key}", msgspec.json.encode(view))


@retried
async def change_profiles(db: Database, clock: Clock, changes: Sequence[ProfileChange]) -> list[User | DomainError]:
    """Apply what users enter about themselves; another phone number has to be verified again."""
    results: list[User | DomainError] = []
    audits: list[AuditRecorded] = []
    now = clock.now()
    async with db.begin() as tx:
        current_users = await commands.lock_users(tx, {change.user_id for change in changes})
        changed: dict[UUID, User] = {}
        for change in changes:
            user = current_users.get(change.user_id)
            if user is None or user.merchant_id != change.merchant_id:
                results.append(UserNotFound())
                continue
            before = user.profile
            profile = Profile(
                name=before.name if change.name is None else change.name,
                mobile_number=before.mobile_number if change.mobile_number is None else change.mobile_number,
                country_code=before.country_code if change.country_code is None else change.country_code,
            )
            try:
                profile = users.checked_profile(profile)
            except UserInvalid as error:
                results.append(error)
                continue
            user = replace(
                users.touched(user, now),
                profile=profile,
                is_mobile_number_verified=user.is_mobile_number_verified and profile.phone == before.phone,
            )
            current_users[user.user_id] = changed[user.user_id] = user
            results.append(user)
            audits.append(_changed(before, user, change.origin, now))
        await commands.save_users(tx, list(changed.values()))
        await outbox.append(tx, audits)
    return results


def _changed(before: Profile, user: User, origin: Context, now: datetime) -> AuditRecorded:
    """Which fields are others now: their values are personal data, which the audit log does not hold."""
    fields = [name for name in before.__struct_fields__ if getattr(before, name) != getattr(user.profile, name)]
    return events.user_audit("user.profile_changed", user, origin, now, after={"changed": fields})


def _cache_key(user_id: UUID) -> str:
    return f"user:{ids.encode('usr', user_id)}"
