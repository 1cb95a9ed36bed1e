"""What merchants see of their webhooks."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from common import ids, pages
from common.pages import Page
from common.times import rfc3339
from notifier.domain.webhook_deliveries import Attempt, Delivery
from notifier.domain.webhook_endpoints import Endpoint
from notifier.domain.webhook_events import WebhookEvent


class EndpointView(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An endpoint. Its secret is shown when it is made and when it is rotated, and never again."""

    id: str
    url: str
    description: str
    events: list[str]
    # The names; values are not shown.
    headers: list[str]
    status: str
    created_at: str
    disabled_reason: str = ""
    failing_since: str = ""
    # Until when secrets that were replaced sign, too.
    old_secrets_end_at: list[str] = []
    secret: str = ""


class AttemptView(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One attempt: what the server answered, or why there is no answer."""

    number: int
    at: str
    trigger: str
    duration_ms: int
    # 0 where nothing was answered.
    status_code: int = 0
    error: str = ""
    response: str = ""


class WebhookView(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One event on its way to one endpoint."""

    id: str
    endpoint_id: str
    event_id: str
    event: str
    object_id: str
    status: str
    attempts: int
    created_at: str
    next_retry_at: str = ""
    finished_at: str = ""


class WebhookDetailView(WebhookView, frozen=True):
    """The same with its attempts, the first one first."""

    log: list[AttemptView] = []


class EventView(Struct, frozen=True, rename="camel"):
    """An event with the very bytes that webhooks have, as JSON."""

    id: str
    event: str
    object_id: str
    at: str
    payload: msgspec.Raw


class ResentView(Struct, frozen=True, rename="camel"):
    """How many deliveries are sent again."""

    resent: int


def endpoint_view(endpoint: Endpoint, *, with_secret: bool = False) -> EndpointView:
    return EndpointView(
        id=ids.encode("wep", endpoint.id),
        url=endpoint.url,
        description=endpoint.description,
        events=list(endpoint.events),
        headers=sorted(endpoint.headers),
        status=endpoint.status,
        created_at=rfc3339(endpoint.created_at),
        disabled_reason=endpoint.disabled_reason or "",
        failing_since=_moment(endpoint.failing_since),
        old_secrets_end_at=[rfc3339(each.ends_at) for each in endpoint.secrets if each.ends_at],
        secret=endpoint.secrets[0].value if with_secret else "",
    )


def webhook_view(delivery: Delivery) -> WebhookView:
    return WebhookView(
        id=ids.encode("dlv", delivery.id),
        endpoint_id=ids.encode("wep", delivery.endpoint_id),
        event_id=ids.encode("evt", delivery.event_id),
        event=delivery.type,
        object_id=delivery.object_id,
        status=delivery.status,
        attempts=delivery.attempts,
        created_at=rfc3339(delivery.created_at),
        next_retry_at=_moment(delivery.next_retry_at),
        finished_at=_moment(delivery.finished_at),
    )


def webhook_detail(delivery: Delivery, attempts: Sequence[Attempt]) -> WebhookDetailView:
    log = [
        AttemptView(
            number=each.number,
            at=rfc3339(each.at),
            trigger=each.trigger,
            duration_ms=each.answer.ms,
            status_code=each.answer.status,
            error=each.answer.error or "",
            response=each.answer.text,
        )
        for each in attempts
    ]
    return WebhookDetailView(**msgspec.structs.asdict(webhook_view(delivery)), log=log)


def webhooks_page(deliveries: Sequence[Delivery], limit: int) -> Page[WebhookView]:
    return pages.page(deliveries, limit, webhook_view, lambda last: pages.encode_cursor(last.id))


def events_page(events: Sequence[WebhookEvent], limit: int) -> Page[EventView]:
    return pages.page(events, limit, _event_view, lambda last: pages.encode_cursor(last.id))


def _event_view(event: WebhookEvent) -> EventView:
    return EventView(
        ids.encode("evt", event.id), event.type, event.object_id, rfc3339(event.at), msgspec.Raw(event.body)
    )


def _moment(at: datetime | None) -> str:
    return rfc3339(at) if at else ""
