"""Times that come from outside. PostgreSQL, Python, protobuf and JSON end at different years, and a time near an end
overflows as soon as its offset is applied: so each one is bounded where it is read, and read in UTC from then on.
"""

from datetime import UTC, date, datetime
from typing import Final

from common.errors import InvalidArgument

# The bounds of times that a payment system accepts from outside.
FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
END: Final = datetime(2100, 1, 1, tzinfo=UTC)
# What a list may be filtered by: people write 1970 for "from the beginning".
FILTER_FIRST: Final = datetime(1900, 1, 1, tzinfo=UTC)
FILTER_END: Final = datetime(2200, 1, 1, tzinfo=UTC)

_CHARACTERS_MAX: Final = 40


class TimeOutOfRange(InvalidArgument):
    """A time in an event or a call is none that anything can have happened at."""

    fix = "Correct the clock or the code that wrote the time; times are microseconds since 1970, before 2100."


def parse_time(text: object) -> datetime | None:
    """The moment that *text* says in ISO 8601 with an offset, in UTC.

    None for what is no such text and for years before 2000 or after 2099: a zero time is no time. Never raises.
    """
    if not isinstance(text, str) or len(text) > _CHARACTERS_MAX:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Compared before it is converted: at the ends of the calendar the conversion overflows.
    if moment.tzinfo is None or not FIRST <= moment < END:
        return None
    return moment.astimezone(UTC)


def rfc3339(moment: datetime) -> str:
    """*moment* as the JSON of an API says it: UTC, to the millisecond, with Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_filter(value: datetime | date) -> bool:
    """Whether a list can be filtered by *value*: the years 1900 to 2199. A time without an offset counts as UTC."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return FILTER_FIRST <= moment < FILTER_END
    return FILTER_FIRST.date() <= value < FILTER_END.date()
