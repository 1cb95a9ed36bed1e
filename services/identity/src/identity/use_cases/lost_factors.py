"""Remove second factors whose device and recovery codes are lost, for an operator."""

from collections.abc import Sequence
from uuid import UUID

from common import outbox
from common.clock import Clock
from common.database import Database, retried
from common.errors import DomainError, require_at_most
from identity.domain.changes import LostFactor
from identity.domain.errors import SecondFactorNotFound, UserNotFound
from identity.domain.users import User
from identity.store import commands, second_factors
from identity.use_cases.revocations import end_sessions
from identity.wire import events

REMOVALS_MAX = 500


@retried
async def remove_lost_factors(db: Database, clock: Clock, lost: Sequence[LostFactor]) -> list[DomainError | None]:
    """Remove each factor, and end its user's sessions: who found the device may have opened one.

    UserNotFound or SecondFactorNotFound for those that are not there. Raises LimitExceeded.
    """
    require_at_most(REMOVALS_MAX, removals=len(lost))
    results: list[DomainError | None] = []
    async with db.begin() as tx:
        users = await commands.lock_users(tx, {each.user_id for each in lost if each.user_id is not None})
        factors = await second_factors.read(tx, users)
        now = clock.now()
        removed: dict[UUID, User] = {}
        audits = []
        for each in lost:
            user = users.get(each.user_id) if each.user_id is not None else None
            if user is None:
                results.append(UserNotFound("there is no such user"))
            elif factors.pop(user.user_id, None) is None:
                results.append(SecondFactorNotFound("there is no second factor"))
            else:
                removed[user.user_id] = user
                after = {"reason": each.reason}
                audits.append(
                    events.user_audit(
                        "user.second_factor_removed", user, each.origin, now, actor=each.actor, after=after
                    )
                )
                results.append(None)
        await second_factors.delete(tx, removed)
        await end_sessions(tx, removed, "second_factor_removed", now)
        await outbox.append(tx, audits)
    return results
