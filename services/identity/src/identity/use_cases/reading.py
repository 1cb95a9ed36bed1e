"""Questions."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from common import ids
from common.database import Database, Tx
from common.delivery import Story
from identity import store, wire
from identity.domain import User, UserNotFound

STORY_SESSIONS_MAX = 50


async def users_by_id(db: Database, user_ids: Collection[UUID]) -> dict[UUID, User]:
    """Those that exist."""
    async with db.begin() as tx:
        return await store.users(tx, user_ids)


async def user_by_email(db: Database, merchant_id: str, email: str) -> User:
    """Raises UserNotFound."""
    key = (merchant_id, email.lower())
    async with db.begin() as tx:
        found = await store.users_by_email(tx, {key})
    if key not in found:
        raise UserNotFound
    return found[key]


async def story(tx: Tx, reference: str) -> Story:
    """What happened to a user's account; nothing for references of other kinds."""
    try:
        user_id = ids.decode("usr", reference)
    except ids.InvalidId:
        return Story()
    user = (await store.users(tx, {user_id})).get(user_id)
    return wire.story(user, await store.recent_sessions(tx, user_id, STORY_SESSIONS_MAX)) if user else Story()
