"""Billing analytics: events, a merchant's days, and what they add up to."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from common.errors import InvalidArgument

DAYS_DEFAULT: Final = 30
DAYS_MAX: Final = 366


class BillingFiguresInvalid(InvalidArgument):
    """An analytics event has a negative amount or duration."""

    fix = "Correct the announcing service; then discard the dead letter."


class PeriodInvalid(InvalidArgument):
    """The period ends before it begins, or is too long."""

    fix = f"Ask for at most {DAYS_MAX} days, the first before the last."


class BillingKind(StrEnum):
    PAYMENT_CREATED = "payment.created"
    PAYMENT_SUCCEEDED = "payment.success"
    PAYMENT_FAILED = "payment.failed"
    REFUND_CREATED = "refund.created"
    WEBHOOK_FAILED = "webhook.failure"


class BillingEvent(Struct, frozen=True, kw_only=True):
    """Figures of one event; what a kind does not have is empty or zero. Amounts are minor units."""

    event_id: UUID
    kind: BillingKind
    occurred_at: datetime
    gateway: str
    merchant_id: str = ""
    payment_id: str = ""
    amount_minor: int = 0
    currency: str = ""
    method: str = ""
    pack_id: str = ""
    reason: str = ""
    duration_micros: int = 0
    # A success of a payment that was counted as failed before.
    is_late: bool = False

    def __post_init__(self) -> None:
        if self.amount_minor < 0 or self.duration_micros < 0:
            raise BillingFiguresInvalid("an amount or a duration is below zero")


class Figures(Struct, frozen=True):
    """Payments and their sums in minor units of one currency; the duration is that of the successes together."""

    created: int = 0
    succeeded: int = 0
    failed: int = 0
    created_minor: int = 0
    succeeded_minor: int = 0
    failed_minor: int = 0
    duration_micros: int = 0
    # Of the successes, those of payments that had failed before.
    late: int = 0
    # Refunds that were asked for, whatever became of them.
    refunds: int = 0
    refunds_minor: int = 0

    @property
    def success_rate_basis_points(self) -> int | None:
        """Of the payments that came to an end, each counted once; None when none did."""
        # The failure of a late one may lie before the period.
        ended = max(self.succeeded, self.succeeded + self.failed - self.late)
        return self.succeeded * 10_000 // ended if ended else None

    @property
    def average_duration_micros(self) -> int | None:
        return self.duration_micros // self.succeeded if self.succeeded else None


class BillingDay(Struct, frozen=True):
    """A merchant's day (UTC) in one currency."""

    day: date
    currency: str
    figures: Figures


class Period(Struct, frozen=True):
    """Days in UTC; both ends are included."""

    first: date
    last: date


class BillingSummary(Struct, frozen=True):
    """*totals* by currency; *webhook_failures* only for who may know them."""

    period: Period
    totals: dict[str, Figures]
    days: Sequence[BillingDay]
    webhook_failures: int | None = None


def parse_period(first: date | None, last: date | None, today: date) -> Period:
    """The period of a request: the last 30 days when nothing is said. Raises PeriodInvalid."""
    last = last or today
    first = first or last - timedelta(days=DAYS_DEFAULT - 1)
    if not timedelta(0) <= last - first < timedelta(days=DAYS_MAX):
        raise PeriodInvalid(f"the period has 1 to {DAYS_MAX} days")
    return Period(first, last)


def summarise(period: Period, days: Sequence[BillingDay], webhook_failures: int | None) -> BillingSummary:
    currencies = sorted({day.currency for day in days})
    totals = {currency: add_up(day.figures for day in days if day.currency == currency) for currency in currencies}
    return BillingSummary(period, totals, days, webhook_failures)


def add_up(figures: Iterable[Figures]) -> Figures:
    terms = list(figures)
    return Figures(**{name: sum(getattr(term, name) for term in terms) for name in Figures.__struct_fields__})
