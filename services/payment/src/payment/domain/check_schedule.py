"""When the sweep looks at an unresolved payment's order again."""

from datetime import datetime, timedelta

import msgspec

from payment.domain.payments import Payment


class CheckSchedule(msgspec.Struct, frozen=True):
    """The first wait doubles with every check, up to the longest."""

    first_seconds: int
    longest_seconds: int


def next_check(payment: Payment, now: datetime, schedule: CheckSchedule) -> datetime:
    """Twice the wait of the last check, but soon after the order expires: an unpaid order costs a handful of reads."""
    wait = min(schedule.first_seconds << min(payment.checks, 20), schedule.longest_seconds)
    at = now + timedelta(seconds=wait)
    closing = payment.expires_at + timedelta(seconds=5)
    return closing if now < closing < at else at
