"""Query strings, and the limits of the gRPC lists."""

from datetime import date, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import Meta, field

from common.errors import RequestInvalid, require_at_most
from common.http_server import Body, Query
from common.pages import PageQuery, decode_cursor
from common.texts import Reason
from reconciler.domain.runs import Position

# Of one answer of the gRPC service, which has no pages.
CASES_MAX: Final = 500


class RunsQuery(PageQuery, frozen=True):
    """Runs, newest first."""


class CasesQuery(PageQuery, frozen=True):
    """Cases, newest first."""

    status: Annotated[str, Meta(description="OPEN, RESOLVED or ANY.", examples=["OPEN"])] = "OPEN"


class SummaryQuery(Query, frozen=True):
    """Both days are included; UTC."""

    first: Annotated[date, Meta(description="The first day; 29 days before the last unless given.")] | None = field(
        name="from", default=None
    )
    last: Annotated[date, Meta(description="The last day; today unless given.")] | None = field(name="to", default=None)


class OwnerBody(Body, frozen=True):
    """Who works on the case; "" for nobody."""

    owner: Annotated[str, Meta(max_length=128, pattern=r"^[A-Za-z0-9._:@-]*\Z", examples=["usr_1"])]


class NoteBody(Body, frozen=True):
    """A note; it is kept with the case and never changed."""

    note: Annotated[
        str, Meta(min_length=1, max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f]*\S[^\x00-\x08\x0b-\x1f]*\Z")
    ]


class ResolutionBody(Body, frozen=True):
    """Why the difference needs no more work."""

    reason: Reason


class ReportQuery(Query, frozen=True):
    """As which format."""

    format: Literal["json", "csv"] = "json"


class CloseBody(Body, frozen=True):
    """A day in India that is over; yesterday unless given."""

    day: date | None = None


class ClosesQuery(Query, frozen=True):
    """Closes of one day, or the last hundred."""

    day: date | None = None


class StatementQuery(Query, frozen=True):
    """What a CSV does not say itself; MT940 does."""

    account: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9 ./-]*\Z")] = ""
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "INR"


def position(query: PageQuery) -> Position | None:
    """Where the page begins; None for the first. Raises CursorInvalid."""
    return Position(*decode_cursor(query.cursor, datetime, UUID)) if query.cursor is not None else None


def cases_limit(limit: int) -> int:
    """All that one answer holds unless a number is given. Raises LimitExceeded."""
    require_at_most(CASES_MAX, limit=limit)
    return limit or CASES_MAX


def day(text: str) -> date | None:
    """A date as 2026-12-05; None for none. Raises RequestInvalid."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RequestInvalid("the day cannot be read", day="is a date such as 2026-12-05") from None
