"""Answer other services whether a user may do now what they are about to do."""

from collections.abc import Sequence

from common.clock import Clock
from common.database import Database
from common.errors import RightsOutdated, require_at_most
from identity.domain import access
from identity.domain.access import Act
from identity.store import queries

ACTS_MAX = 500


async def authorize_acts(db: Database, clock: Clock, acts: Sequence[Act]) -> list[RightsOutdated | None]:
    """For each act, in order, why it may not be done, or None. Raises LimitExceeded."""
    require_at_most(ACTS_MAX, acts=len(acts))
    async with db.begin() as tx:
        users = await queries.users_by_id(tx, {act.user_id for act in acts if act.user_id is not None})
        session_ids = {act.session_id for act in acts if act.session_id is not None}
        owners = await queries.open_sessions(tx, session_ids, clock.now())
    return [
        access.refusal(
            act,
            users.get(act.user_id) if act.user_id is not None else None,
            owners.get(act.session_id) if act.session_id is not None else None,
        )
        for act in acts
    ]
