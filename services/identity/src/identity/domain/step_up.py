"""What a session and the access token must have proved before an act of staff that moves money or rights.

Both: the session's row alone would lift every token of the session, also one that was stolen before.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from common.errors import SecondFactorMissing, StepUpRequired
from identity.domain.access import Act
from identity.domain.sessions import SECOND_FACTOR, Session


class StepUpPolicy(Struct, frozen=True):
    """The authentication is at most *age_max* old; with *second_factor_required* the account has a second factor."""

    age_max: timedelta
    second_factor_required: bool


def refusal(
    act: Act, session: Session, has_second_factor: bool, policy: StepUpPolicy, now: datetime
) -> StepUpRequired | SecondFactorMissing | None:
    """Why *session* or the token of *act* is not enough, or None. *has_second_factor*: whether the account has one."""
    if policy.second_factor_required and not has_second_factor:
        return SecondFactorMissing("your account has no second factor")
    if has_second_factor and not (session.has_second_factor and SECOND_FACTOR in act.methods):
        return StepUpRequired("this needs your second factor")
    authenticated_at_seconds = min(act.authenticated_at_seconds, session.authenticated_at.timestamp())
    if now.timestamp() - authenticated_at_seconds > policy.age_max.total_seconds():
        return StepUpRequired("this needs your password again")
    return None
