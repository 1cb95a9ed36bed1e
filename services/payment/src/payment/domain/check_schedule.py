"""When a payment's order is looked up again: often while it is unresolved, ever more rarely once it is closed."""

from datetime import datetime, timedelta

import msgspec

from payment.domain.payments import Payment
from payment.domain.states import PAID


class CheckSchedule(msgspec.Struct, frozen=True):
    """The first wait doubles with every check, up to the longest."""

    first_seconds: int
    longest_seconds: int


class ClosedCheckSchedule(msgspec.Struct, frozen=True):
    """The waits before the checks of a closed or quarantined payment; the last one repeats until the window is over.

    *window* counts from the order's expiry: for so long the gateway may still take money for it.
    """

    waits_seconds: tuple[int, ...]
    window: timedelta


def next_check(payment: Payment, now: datetime, schedule: CheckSchedule) -> datetime:
    """Twice the wait of the last check, but soon after the order expires: an unpaid order costs a handful of reads."""
    wait = min(schedule.first_seconds << min(payment.checks, 20), schedule.longest_seconds)
    at = now + timedelta(seconds=wait)
    closing = payment.expires_at + timedelta(seconds=5)
    return closing if now < closing < at else at


def next_closed_check(payment: Payment, checks: int, now: datetime, schedule: ClosedCheckSchedule) -> datetime | None:
    """When the order is looked up after *checks* look-ups; None when nothing is left to find out."""
    swept = payment.unresolved and payment.next_check_at is not None
    if swept or payment.status in PAID:
        return None
    if now >= payment.expires_at + schedule.window:
        return None
    return now + timedelta(seconds=schedule.waits_seconds[min(checks, len(schedule.waits_seconds) - 1)])
