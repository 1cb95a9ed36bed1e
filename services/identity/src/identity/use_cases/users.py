"""Users as they are, for other services and for operators."""

from collections.abc import Collection
from uuid import UUID

from common import ids
from common.database import Database, Tx
from common.delivery import Timeline
from common.errors import require_at_most
from identity.domain.errors import UserNotFound
from identity.domain.users import User
from identity.store import queries
from identity.wire import views

USERS_MAX = 500
TIMELINE_SESSIONS_MAX = 50


async def list_users(db: Database, user_ids: Collection[UUID]) -> list[User]:
    """Those that exist. Raises LimitExceeded."""
    require_at_most(USERS_MAX, user_ids=len(user_ids))
    async with db.begin() as tx:
        return list((await queries.users_by_id(tx, user_ids)).values())


async def user_of_merchant(tx: Tx, user_id: UUID, merchant_id: str) -> User:
    """Raises UserNotFound, also for a user of another merchant."""
    user = (await queries.users_by_id(tx, {user_id})).get(user_id)
    if user is None or user.merchant_id != merchant_id:
        raise UserNotFound("there is no profile of this user here")
    return user


async def timeline(tx: Tx, reference: str) -> Timeline:
    """What happened to a user's account; nothing for references of other kinds."""
    try:
        user_id = ids.decode("usr", reference)
    except ids.IdInvalid:
        return Timeline()
    user = (await queries.users_by_id(tx, {user_id})).get(user_id)
    if user is None:
        return Timeline()
    return views.timeline(user, await queries.recent_sessions(tx, user_id, TIMELINE_SESSIONS_MAX))
