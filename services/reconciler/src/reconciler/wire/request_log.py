"""The log of requests on the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct, field

from common import ids
from common.pages import PageQuery, decode_cursor
from common.request_log import Filter, LoggedRequest

_Text = Annotated[str, Meta(max_length=200, pattern=r"^[\x20-\x7e]*\Z")]


class ApiRequestsQuery(PageQuery, frozen=True):
    """Requests by API key, newest first."""

    since: Annotated[datetime, Meta(tz=True, description="Not before this moment.")] | None = field(
        name="from", default=None
    )
    until: Annotated[datetime, Meta(tz=True, description="Before this moment.")] | None = field(name="to", default=None)
    api_key_id: Annotated[_Text, Meta(description="With this key: apk_…")] = ""
    method: Annotated[_Text, Meta(examples=["POST"])] = ""
    path: Annotated[_Text, Meta(description="As docs/reference/api.md writes it.", examples=["/api/v1/payments"])] = ""
    request_id: Annotated[_Text, Meta(description="`requestId` of an answer.")] = ""
    status: Annotated[
        str,
        Meta(description="A status, or a class of them.", examples=["404", "4xx"], pattern=r"^([1-5]([0-9]{2}|xx))?\Z"),
    ] = ""


class ApiRequestView(Struct, frozen=True, rename="camel"):
    """*path* is the route's; *durationMs* from authentication to the answer. *errorCode* null: it went well.

    *bodyHash* is hexadecimal, null without a body.
    """

    time: datetime
    api_key_id: str
    method: str
    path: str
    status: int
    duration_ms: float
    request_id: str
    error_code: str | None
    body_hash: str | None


def filter_of(merchant_id: str, query: ApiRequestsQuery) -> Filter:
    """Raises CursorInvalid."""
    low, high = 0, 999
    if query.status.endswith("xx"):
        low = int(query.status[0]) * 100
        high = low + 99
    elif query.status:
        low = high = int(query.status)
    return Filter(
        merchant_id=merchant_id,
        before=None if query.cursor is None else decode_cursor(query.cursor, UUID)[0],
        since=query.since,
        until=query.until,
        api_key_id=query.api_key_id,
        method=query.method.upper(),
        path=query.path,
        request_id=query.request_id,
        status_min=low,
        status_max=high,
    )


def view(logged: LoggedRequest) -> ApiRequestView:
    return ApiRequestView(
        time=ids.timestamp(logged.request_log_id),
        api_key_id=logged.api_key_id,
        method=logged.method,
        path=logged.path,
        status=logged.status,
        duration_ms=round(logged.duration_micros / 1000, 2),
        request_id=logged.request_id,
        error_code=logged.error_code or None,
        body_hash=None if logged.body_hash is None else logged.body_hash.hex(),
    )
