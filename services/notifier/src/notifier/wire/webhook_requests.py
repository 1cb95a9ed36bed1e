"""What merchants send about their webhooks."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from common import ids
from common.http_server import Body
from common.pages import PageQuery, decode_cursor
from notifier.domain.webhook_deliveries import DeliveryFilter
from notifier.domain.webhook_endpoints import (
    HEADERS_MAX,
    OVERLAP_MAX,
    URL_CHARACTERS_MAX,
)
from notifier.use_cases.webhook_endpoints import EndpointForm

_EVENTS_MAX = 32
_Url = Annotated[
    str,
    Meta(min_length=1, max_length=URL_CHARACTERS_MAX, description="Where to POST; https, a public host.",
         examples=["https://shop.example/webhooks"]),
]  # fmt: skip
_Description = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f]*\Z", examples=["Orders"])]
_Events = Annotated[
    list[Annotated[str, Meta(max_length=64)]],
    Meta(max_length=_EVENTS_MAX, description="Names or patterns; none stands for all.", examples=[["payment.*"]]),
]
_Headers = Annotated[
    dict[str, str], Meta(max_length=HEADERS_MAX, description="Sent with each webhook.", examples=[{"X-Shop": "1"}])
]


class EndpointBody(Body, frozen=True):
    """A new endpoint."""

    url: _Url
    description: _Description = ""
    events: _Events = field(default_factory=list)
    headers: _Headers = field(default_factory=dict)


class EndpointChangeBody(Body, frozen=True):
    """What is to change of an endpoint; the rest stays."""

    url: _Url | UnsetType = UNSET
    description: _Description | UnsetType = UNSET
    events: _Events | UnsetType = UNSET
    headers: _Headers | UnsetType = UNSET
    enabled: Annotated[bool, Meta(description="false keeps webhooks back, true sends them again.")] | UnsetType = UNSET


class RotationBody(Body, frozen=True):
    """How long the present secret signs beside the new one."""

    overlap_hours: Annotated[
        int,
        Meta(ge=0, le=int(OVERLAP_MAX.total_seconds()) // 3_600, description="In hours.", examples=[24]),
    ] = 24


Status = Annotated[
    Literal["PENDING", "SUCCESS", "FAILED", "CANCELLED", ""], Meta(description="Only those.", examples=["FAILED"])
]
EventType = Annotated[str, Meta(max_length=64, description="Only this event.", examples=["payment.success"])]
EndpointId = Annotated[str, Meta(max_length=64, description="Only to this endpoint (wep_…).")]
_Moment = Annotated[datetime, Meta(tz=True)]


class WebhooksQuery(PageQuery, frozen=True):
    """Deliveries, newest first."""

    endpoint_id: EndpointId = ""
    status: Status = ""
    event: EventType = ""
    object_id: Annotated[str, Meta(max_length=64, description="Only about this payment (pay_…).")] = ""
    since: _Moment | None = None
    until: _Moment | None = None


class ResendBody(Body, frozen=True):
    """Which failed deliveries to send again."""

    since: _Moment
    until: _Moment | None = None
    endpoint_id: EndpointId = ""
    event: EventType = ""


class EventsQuery(PageQuery, frozen=True):
    """Events, oldest first."""

    event: EventType = ""


def endpoint_form(body: EndpointBody | EndpointChangeBody) -> EndpointForm:
    return EndpointForm(
        url=body.url,
        description=body.description,
        events=body.events,
        headers=body.headers,
        enabled=body.enabled if isinstance(body, EndpointChangeBody) else UNSET,
    )


def overlap(body: RotationBody) -> timedelta:
    return timedelta(hours=body.overlap_hours)


def deliveries_filter(query: WebhooksQuery, merchant_id: str) -> DeliveryFilter:
    """Raises IdInvalid or CursorInvalid."""
    return DeliveryFilter(
        merchant_id=merchant_id,
        endpoint_id=_endpoint(query.endpoint_id),
        status=query.status,
        type=query.event,
        object_id=query.object_id,
        since=query.since,
        until=query.until,
        before=decode_cursor(query.cursor, UUID)[0] if query.cursor else None,
        limit=query.limit + 1,
    )


def resend_filter(body: ResendBody, merchant_id: str) -> DeliveryFilter:
    """Raises IdInvalid."""
    return DeliveryFilter(
        merchant_id=merchant_id,
        endpoint_id=_endpoint(body.endpoint_id),
        type=body.event,
        since=body.since,
        until=body.until,
        limit=0,
    )


def events_after(query: EventsQuery) -> UUID | None:
    """Raises CursorInvalid."""
    return decode_cursor(query.cursor, UUID)[0] if query.cursor else None


def endpoint_id(path: Mapping[str, str]) -> UUID:
    return ids.decode("wep", path["endpointId"])


def webhook_id(path: Mapping[str, str]) -> UUID:
    return ids.decode("dlv", path["webhookId"])


def _endpoint(text: str) -> UUID | None:
    return ids.decode("wep", text) if text else None
