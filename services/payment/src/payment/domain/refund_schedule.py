"""When a refund is looked up at its gateway, and by when the customer's bank has the money."""

from datetime import date, datetime, timedelta
from typing import Final

from gateways import PaymentMethod
from gateways.refunds import RefundSpeed
from payment.domain.invoices import IST
from payment.domain.refunds import Refund, RefundStatus

FIRST_CHECK: Final = timedelta(minutes=1)
# After a failure or a reversal the order's list is read: a refund of the dashboard that did not fit before may fit now.
_AFTER_END: Final = timedelta(seconds=5)
_LONGEST_WAIT: Final = timedelta(hours=1)
# After a success the bank's reference comes, or the money comes back: looked up this long after it.
_AFTER_SUCCESS: Final[tuple[timedelta, ...]] = tuple(timedelta(days=days) for days in (1, 3, 7, 14, 30))
# Looked up so often without an outcome: about a day.
ALERT_AT_CHECK: Final = 29

# Working days until the customer's bank shows the money, once the gateway has sent it.
_TURNAROUND_DAYS: Final = {
    PaymentMethod.UPI: 3,
    PaymentMethod.WALLET: 2,
    PaymentMethod.NETBANKING: 5,
    PaymentMethod.BANK_TRANSFER: 5,
}
_TURNAROUND_DAYS_OTHERS: Final = 7
_SATURDAY: Final = 5


def first_check_after(refund: Refund, now: datetime) -> datetime | None:
    """When to look the refund up after it has moved just now."""
    if refund.status in (RefundStatus.FAILED, RefundStatus.REVERSED):
        return now + _AFTER_END
    return next_check(refund, now)


def next_check(refund: Refund, now: datetime) -> datetime | None:
    """When to look the refund up again; None when nothing more is expected of it."""
    if refund.status is RefundStatus.PROCESSING:
        doublings: int = 2 ** min(refund.checks, 10)
        return now + min(FIRST_CHECK * doublings, _LONGEST_WAIT)
    if refund.status is RefundStatus.SUCCESS and refund.succeeded_at is not None:
        return next((at for wait in _AFTER_SUCCESS if (at := refund.succeeded_at + wait) > now), None)
    return None


def expected_date(method: str, speed: RefundSpeed, at: datetime) -> date:
    """The day in India by which the bank shows money that the gateway sent at *at*: working days by method."""
    day = at.astimezone(IST).date()
    days = 1 if speed is RefundSpeed.INSTANT else _TURNAROUND_DAYS_OTHERS
    if speed is RefundSpeed.STANDARD and method in set(PaymentMethod):
        days = _TURNAROUND_DAYS.get(PaymentMethod(method), _TURNAROUND_DAYS_OTHERS)
    while days:
        day += timedelta(days=1)
        days -= day.weekday() < _SATURDAY
    return day
