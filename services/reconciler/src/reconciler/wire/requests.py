"""Query strings, and the limits of the gRPC lists."""

from datetime import date, datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta, field

from common.errors import require_at_most
from common.http_server import Query
from common.pages import PageQuery, decode_cursor
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


def position(query: PageQuery) -> Position | None:
    """Where the page begins; None for the first. Raises CursorInvalid."""
    return Position(*decode_cursor(query.cursor, datetime, UUID)) if query.cursor is not None else None


def cases_limit(limit: int) -> int:
    """All that one answer holds unless a number is given. Raises LimitExceeded."""
    require_at_most(CASES_MAX, limit=limit)
    return limit or CASES_MAX
