"""What became of a user's paid payments, counted by the day: refunds and disputes come weeks after the payment."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from fraud.domain.subjects import Dimension, key_of
from fraud.domain.velocity import seconds_of

DAY_SECONDS: Final = 86_400
# The longest window of a rule; days are kept a little longer.
WINDOW_DAYS_MAX: Final = 365
KEEP_DAYS: Final = WINDOW_DAYS_MAX + 35


class Outcome(StrEnum):
    """What happened to a paid payment."""

    # Money went back because it was asked for.
    REFUNDED = "REFUNDED"
    # The customer asked the bank for the money.
    DISPUTED = "DISPUTED"
    DISPUTE_WON = "DISPUTE_WON"
    DISPUTE_LOST = "DISPUTE_LOST"


class PaymentOutcome(Struct, frozen=True):
    outcome: Outcome
    merchant_id: str
    user_id: str
    at: datetime


class History(Struct):
    """What happened to one user's payments. Mutable: sums accumulate in it."""

    refunded: int = 0
    disputed: int = 0
    disputes_won: int = 0
    disputes_lost: int = 0

    def add(self, other: "History") -> None:
        self.refunded += other.refunded
        self.disputed += other.disputed
        self.disputes_won += other.disputes_won
        self.disputes_lost += other.disputes_lost


def day_of(moment: datetime) -> int:
    """The day since 1970 (UTC) that *moment* lies in."""
    return seconds_of(moment) // DAY_SECONDS


def first_day(now: datetime, window_seconds: int) -> int:
    """The first day of a window of whole days that today ends."""
    return day_of(now) - window_seconds // DAY_SECONDS + 1


def history_key(merchant_id: str, user_id: str) -> UUID:
    """The key of the user's counters; the same as of their velocity."""
    return key_of(Dimension.USER, merchant_id, user_id)


def tally(outcomes: Iterable[PaymentOutcome], now: datetime) -> dict[tuple[UUID, int], History]:
    """What *outcomes* add to each (key, day); older ones than any window are left out, one of the future is today's."""
    today = day_of(now)
    total: dict[tuple[UUID, int], History] = {}
    for each in outcomes:
        day = min(day_of(each.at), today)
        if each.user_id and day > today - KEEP_DAYS:
            total.setdefault((history_key(each.merchant_id, each.user_id), day), History()).add(_counted(each.outcome))
    return total


def within(days: Mapping[int, History], first: int) -> History:
    """What happened on *first* and since."""
    total = History()
    for day, history in days.items():
        if day >= first:
            total.add(history)
    return total


def _counted(outcome: Outcome) -> History:
    return History(
        refunded=int(outcome is Outcome.REFUNDED),
        disputed=int(outcome is Outcome.DISPUTED),
        disputes_won=int(outcome is Outcome.DISPUTE_WON),
        disputes_lost=int(outcome is Outcome.DISPUTE_LOST),
    )
