"""What a session must have proved before an act of staff that moves money or rights."""

from datetime import datetime, timedelta

from msgspec import Struct

from common.errors import SecondFactorMissing, StepUpRequired
from identity.domain.sessions import Session


class StepUpPolicy(Struct, frozen=True):
    """The authentication is at most *age_max* old; with *second_factor_required* the account has a second factor."""

    age_max: timedelta
    second_factor_required: bool


def refusal(
    session: Session, has_second_factor: bool, policy: StepUpPolicy, now: datetime
) -> StepUpRequired | SecondFactorMissing | None:
    """Why *session* does not suffice, or None. *has_second_factor*: whether the account has one."""
    if policy.second_factor_required and not has_second_factor:
        return SecondFactorMissing("your account has no second factor")
    if has_second_factor and not session.has_second_factor:
        return StepUpRequired("this needs your second factor")
    if now - session.authenticated_at > policy.age_max:
        return StepUpRequired("this needs your password again")
    return None
