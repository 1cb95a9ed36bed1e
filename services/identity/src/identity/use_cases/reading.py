"""Questions."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from common.database import Database
from identity import store
from identity.domain import User, UserNotFound


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
