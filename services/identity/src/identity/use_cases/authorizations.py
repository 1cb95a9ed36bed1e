"""Answer whether a user may do now what they are about to do: an act of staff that moves money or rights."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from common.clock import Clock
from common.database import Database, Tx
from common.errors import DomainError, require_at_most
from identity.domain import access, step_up
from identity.domain import api_keys as key_rules
from identity.domain.access import Act
from identity.domain.api_keys import ApiKey
from identity.domain.memberships import Seat
from identity.domain.sessions import Session
from identity.domain.step_up import StepUpPolicy
from identity.domain.users import User
from identity.store import api_keys, memberships, queries, second_factors

ACTS_MAX = 500


class Rights(Struct, frozen=True):
    """What the database says of those who act: where a transaction has locked them, until it ends."""

    users: Mapping[UUID, User]
    sessions: Mapping[UUID, Session]
    with_second_factor: Collection[UUID]
    # Of those who act for another merchant than their own.
    seats: Mapping[UUID, Sequence[Seat]]
    keys: Mapping[UUID, ApiKey]

    def granted(self, act: Act) -> frozenset[str]:
        """The permissions of who acts, for the act's merchant."""
        user = self.users.get(act.user_id) if act.user_id is not None else None
        return frozenset() if user is None else access.granted(act.merchant_id, user, self.seats.get(user.user_id, ()))

    def is_administrator(self, act: Act) -> bool:
        """Whether who acts is an administrator of the platform, for the platform's own merchant."""
        user = self.users.get(act.user_id) if act.user_id is not None else None
        return access.is_administrator(user, act.merchant_id)

    def refusal(self, act: Act, policy: StepUpPolicy, now: datetime) -> DomainError | None:
        """Why it may not be done, or None."""
        if act.api_key_id is not None:
            return key_rules.act_refusal(act.merchant_id, act.permission, self.keys.get(act.api_key_id), now)
        user = self.users.get(act.user_id) if act.user_id is not None else None
        session = self.sessions.get(act.session_id) if act.session_id is not None else None
        refusal = access.refusal(act, user, session, self.seats.get(user.user_id, ()) if user is not None else ())
        if refusal is None and session is not None:
            return step_up.refusal(act, session, session.user_id in self.with_second_factor, policy, now)
        return refusal


async def authorize_acts(
    db: Database, clock: Clock, policy: StepUpPolicy, acts: Sequence[Act]
) -> list[DomainError | None]:
    """For each act, in order, why it may not be done, or None: RightsOutdated, SecondFactorMissing or StepUpRequired.

    Raises LimitExceeded.
    """
    require_at_most(ACTS_MAX, acts=len(acts))
    async with db.begin() as tx:
        now = clock.now()
        rights = await read_rights(tx, acts, now)
    return [rights.refusal(act, policy, now) for act in acts]


async def read_rights(tx: Tx, acts: Sequence[Act], now: datetime) -> Rights:
    """Of everybody who acts."""
    key_ids = {act.api_key_id for act in acts if act.api_key_id is not None}
    user_ids = {act.user_id for act in acts if act.user_id is not None}
    users = await queries.users_by_id(tx, user_ids)
    session_ids = {act.session_id for act in acts if act.session_id is not None}
    sessions = await queries.open_sessions(tx, session_ids, now)
    factors = await second_factors.read(tx, user_ids)
    keys = await api_keys.by_id(tx, key_ids) if key_ids else {}
    members = {user_id for act in acts if (user_id := _member(act, users)) is not None}
    seats = await memberships.seats(tx, members) if members else {}
    has_factor = {user_id for user_id, factor in factors.items() if factor.is_confirmed}
    return Rights(users, sessions, has_factor, seats, keys)


def _member(act: Act, users: Mapping[UUID, User]) -> UUID | None:
    user = users.get(act.user_id) if act.user_id is not None else None
    return user.user_id if user is not None and user.merchant_id != act.merchant_id else None


async def require_act(db: Database, clock: Clock, policy: StepUpPolicy, act: Act) -> None:
    """For acts within identity. Raises RightsOutdated, SecondFactorMissing or StepUpRequired."""
    [refusal] = await authorize_acts(db, clock, policy, [act])
    if refusal is not None:
        raise refusal
