"""The daily close: what of a day's payments agrees on all sides, what is explained, and what is open."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from msgspec import Struct

from common.errors import InvalidArgument


class DayNotOver(InvalidArgument):
    """The day has not ended in India, where days are counted."""

    fix = "Close a day that is over; without a day, yesterday is closed."


class CloseFigures(Struct, frozen=True):
    """One currency of one day in India; minor units. matched + explained + open = total, to the paisa.

    Matched: settled, and no side says otherwise. Explained: not due yet, or a person has decided about it. Open: a case
    is open, or the time by which it had to be settled is over.
    """

    currency: str
    payments: int
    total_minor: int
    matched_minor: int
    explained_minor: int
    open_minor: int
    # Of cases that are about no payment of ours, opened until now and not before the day: orphans, settlements, books.
    other_cases: int
    other_minor: int
    # Settlements that reached the bank on the day, and what of their net a line of the bank's statement confirms.
    settlements: int
    settled_net_minor: int
    banked_minor: int


class Close(Struct, frozen=True):
    close_id: UUID
    day: date
    closed_at: datetime
    closed_by: str
    currencies: Sequence[CloseFigures]


def closable(day: date | None, today: date) -> date:
    """*day*, yesterday unless given. Raises DayNotOver."""
    chosen = date.fromordinal(today.toordinal() - 1) if day is None else day
    if chosen >= today:
        raise DayNotOver("the day is not over", day=f"is before {today.isoformat()}")
    return chosen
