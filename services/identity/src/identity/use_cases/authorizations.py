"""Answer whether a user may do now what they are about to do: an act of staff that moves money or rights."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from common.clock import Clock
from common.database import Database
from common.errors import DomainError, require_at_most
from identity.domain import access, step_up
from identity.domain import api_keys as key_rules
from identity.domain.access import Act
from identity.domain.step_up import StepUpPolicy
from identity.domain.users import User
from identity.store import api_keys, memberships, queries, second_factors

ACTS_MAX = 500


async def authorize_acts(
    db: Database, clock: Clock, policy: StepUpPolicy, acts: Sequence[Act]
) -> list[DomainError | None]:
    """For each act, in order, why it may not be done, or None: RightsOutdated, SecondFactorMissing or StepUpRequired.

    Raises LimitExceeded.
    """
    require_at_most(ACTS_MAX, acts=len(acts))
    key_ids = {act.api_key_id for act in acts if act.api_key_id is not None}
    user_ids = {act.user_id for act in acts if act.user_id is not None}
    async with db.begin() as tx:
        now = clock.now()
        users = await queries.users_by_id(tx, user_ids)
        session_ids = {act.session_id for act in acts if act.session_id is not None}
        sessions = await queries.open_sessions(tx, session_ids, now)
        factors = await second_factors.read(tx, user_ids)
        keys = await api_keys.by_id(tx, key_ids) if key_ids else {}
        # Of those who act for another merchant than their own.
        members = {user_id for act in acts if (user_id := _member(act, users)) is not None}
        seats = await memberships.seats(tx, members) if members else {}
    has_factor = {user_id for user_id, factor in factors.items() if factor.is_confirmed}
    refusals: list[DomainError | None] = []
    for act in acts:
        if act.api_key_id is not None:
            key = keys.get(act.api_key_id)
            refusals.append(key_rules.act_refusal(act.merchant_id, act.permission, key, now))
            continue
        user = users.get(act.user_id) if act.user_id is not None else None
        session = sessions.get(act.session_id) if act.session_id is not None else None
        of_user = seats.get(user.user_id, []) if user is not None else []
        refusal: DomainError | None = access.refusal(act, user, session, of_user)
        if refusal is None and session is not None:
            refusal = step_up.refusal(act, session, session.user_id in has_factor, policy, now)
        refusals.append(refusal)
    return refusals


def _member(act: Act, users: Mapping[UUID, User]) -> UUID | None:
    user = users.get(act.user_id) if act.user_id is not None else None
    return user.user_id if user is not None and user.merchant_id != act.merchant_id else None


async def require_act(db: Database, clock: Clock, policy: StepUpPolicy, act: Act) -> None:
    """For acts within identity. Raises RightsOutdated, SecondFactorMissing or StepUpRequired."""
    [refusal] = await authorize_acts(db, clock, policy, [act])
    if refusal is not None:
        raise refusal
