"""Velocity: how much happened to a key within a window, counted by the minute."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from common.events import EPOCH
from common.money import Money
from fraud.domain.subjects import Dimension, Subject, attempt_keys, keys_of

MINUTE: Final = 60
# The longest window that a rule may have; counters are kept for longer.
WINDOW_SECONDS_MAX: Final = 86_400
# Amounts are summed in one currency, so that a threshold in minor units means something.
VELOCITY_CURRENCY: Final = "INR"


class Metric(StrEnum):
    CREATED = "CREATED"
    FAILED = "FAILED"
    # One attempt failed; its payment may have failed, or may be paid with the next card.
    ATTEMPT_FAILED = "ATTEMPT_FAILED"
    SUCCEEDED = "SUCCEEDED"
    # Cancelled, or expired without an attempt that ended.
    ABANDONED = "ABANDONED"
    # Minor units of VELOCITY_CURRENCY over the payments created.
    AMOUNT = "AMOUNT"
    # 1 when this user was never seen with this address or device, but with others.
    NEW_SOURCE = "NEW_SOURCE"
    # Refunds and disputes of the user's payments, counted by the day (fraud.domain.history).
    REFUNDED = "REFUNDED"
    DISPUTED = "DISPUTED"
    DISPUTE_WON = "DISPUTE_WON"
    DISPUTE_LOST = "DISPUTE_LOST"


# Those that are counted by the day.
HISTORY_METRICS: Final = frozenset({Metric.REFUNDED, Metric.DISPUTED, Metric.DISPUTE_WON, Metric.DISPUTE_LOST})


class Counts(Struct):
    """What happened to one key; *amount* in minor units. Mutable: sums accumulate in it."""

    created: int = 0
    failed: int = 0
    attempts_failed: int = 0
    succeeded: int = 0
    abandoned: int = 0
    amount: int = 0

    def add(self, other: "Counts") -> None:
        self.created += other.created
        self.failed += other.failed
        self.attempts_failed += other.attempts_failed
        self.succeeded += other.succeeded
        self.abandoned += other.abandoned
        self.amount += other.amount


class PaymentActivity(Struct, frozen=True):
    """Something that happened to a payment: what the counters are fed with."""

    metric: Metric
    payment_id: UUID
    merchant_id: str
    user_id: str
    ip: str
    device_id: str
    amount: Money
    at: datetime


def subject_of(activity: PaymentActivity) -> Subject:
    """Who made the payment that something happened to."""
    return Subject(
        activity.payment_id,
        activity.merchant_id,
        activity.user_id,
        activity.ip,
        activity.device_id,
        activity.amount,
        request_key="",
    )


def minute_of(moment: datetime) -> int:
    """The minute since 1970 that *moment* lies in."""
    return seconds_of(moment) // MINUTE


def seconds_of(moment: datetime) -> int:
    since = moment - EPOCH
    return since.days * 86_400 + since.seconds


def window_counts(buckets: Mapping[int, Counts], now: datetime, window_seconds: int) -> Counts:
    """What happened in the window that ends now.

    The minute that the window begins in counts by the share of it that lies inside, rounded down.
    """
    start = seconds_of(now) - window_seconds
    first, share = start // MINUTE, MINUTE - start % MINUTE
    total = Counts()
    for minute, counts in buckets.items():
        if minute > first:
            total.add(counts)
        elif minute == first:
            total.add(
                Counts(
                    counts.created * share // MINUTE,
                    counts.failed * share // MINUTE,
                    counts.attempts_failed * share // MINUTE,
                    counts.succeeded * share // MINUTE,
                    counts.abandoned * share // MINUTE,
                    counts.amount * share // MINUTE,
                )
            )
    return total


def counted_amount(amount: Money) -> int:
    """The minor units of *amount* that velocity sums up."""
    return amount.minor if amount.currency == VELOCITY_CURRENCY else 0


def tally(activities: Iterable[PaymentActivity], now: datetime) -> dict[tuple[UUID, int], Counts]:
    """What *activities* add to each (key, minute).

    Older ones than any window are left out; one with a time in the future counts as now.
    """
    latest = minute_of(now)
    oldest = latest - WINDOW_SECONDS_MAX // MINUTE
    total: dict[tuple[UUID, int], Counts] = {}
    for activity in activities:
        minute = min(minute_of(activity.at), latest)
        if minute < oldest:
            continue
        change = _counts(activity)
        for key in _keys(activity).values():
            total.setdefault((key, minute), Counts()).add(change)
    return total


def _keys(activity: PaymentActivity) -> Mapping[Dimension, UUID]:
    if activity.metric is Metric.ATTEMPT_FAILED:
        return attempt_keys(subject_of(activity))
    amount = activity.amount if activity.metric is Metric.CREATED else None
    return keys_of(activity.merchant_id, activity.user_id, activity.ip, activity.device_id, amount)


def _counts(activity: PaymentActivity) -> Counts:
    return Counts(
        created=int(activity.metric is Metric.CREATED),
        failed=int(activity.metric is Metric.FAILED),
        attempts_failed=int(activity.metric is Metric.ATTEMPT_FAILED),
        succeeded=int(activity.metric is Metric.SUCCEEDED),
        abandoned=int(activity.metric is Metric.ABANDONED),
        amount=counted_amount(activity.amount) if activity.metric is Metric.CREATED else 0,
    )
