"""HTTP endpoints: merchants' webhook endpoints, what was delivered to them, and the events themselves."""

from functools import partial
from typing import Any

from common import ids
from common.authorization import ACT_ERRORS
from common.http_server import Call, Empty, Route
from common.pages import CursorInvalid, Page
from notifier.domain.webhook_deliveries import WebhookNotFound, WebhookPending
from notifier.domain.webhook_endpoints import (
    WebhookEndpointDisabled,
    WebhookEndpointInvalid,
    WebhookEndpointNotFound,
    WebhookEndpointsTooMany,
)
from notifier.use_cases.webhook_endpoints import MANAGE, WebhookEndpoints
from notifier.wire import webhook_events, webhook_requests, webhook_views
from notifier.wire.webhook_requests import (
    EndpointBody,
    EndpointChangeBody,
    EventsQuery,
    ResendBody,
    RotationBody,
    WebhooksQuery,
)
from notifier.wire.webhook_views import EndpointView, EventView, ResentView, WebhookDetailView, WebhookView

ENDPOINTS = "/api/v1/webhook-endpoints"
ENDPOINT = f"{ENDPOINTS}/{{endpointId}}"
WEBHOOKS = "/api/v1/webhooks"
READ = "webhooks.read"
_ENDPOINT_ERRORS = (ids.IdInvalid, WebhookEndpointNotFound)
_PAGE_ERRORS = (CursorInvalid, ids.IdInvalid)


def routes(endpoints: WebhookEndpoints) -> list[Route[Any]]:
    return [
        Route("GET", ENDPOINTS, partial(list_webhook_endpoints, endpoints), answer=Page[EndpointView],
              permission=READ),
        Route("POST", ENDPOINTS, partial(create_webhook_endpoint, endpoints), body=EndpointBody, answer=EndpointView,
              status=201, permission=MANAGE, errors=[WebhookEndpointInvalid, WebhookEndpointsTooMany, *ACT_ERRORS]),
        Route("GET", ENDPOINT, partial(read_webhook_endpoint, endpoints), answer=EndpointView, permission=READ,
              errors=_ENDPOINT_ERRORS),
        Route("PATCH", ENDPOINT, partial(change_webhook_endpoint, endpoints), body=EndpointChangeBody,
              answer=EndpointView, permission=MANAGE, errors=[*_ENDPOINT_ERRORS, WebhookEndpointInvalid, *ACT_ERRORS]),
        Route("DELETE", ENDPOINT, partial(delete_webhook_endpoint, endpoints), answer=Empty, permission=MANAGE,
              errors=[*_ENDPOINT_ERRORS, *ACT_ERRORS]),
        Route("POST", f"{ENDPOINT}/rotate", partial(rotate_endpoint_secret, endpoints), body=RotationBody,
              answer=EndpointView, permission=MANAGE, errors=[*_ENDPOINT_ERRORS, *ACT_ERRORS]),
        Route("POST", f"{ENDPOINT}/test", partial(send_test_webhook, endpoints), answer=Empty, status=202,
              permission=MANAGE, errors=[*_ENDPOINT_ERRORS, WebhookEndpointDisabled, *ACT_ERRORS]),
        Route("GET", WEBHOOKS, partial(list_webhooks, endpoints), query=WebhooksQuery, answer=Page[WebhookView],
              permission=READ, errors=_PAGE_ERRORS),
        Route("POST", f"{WEBHOOKS}/resend", partial(resend_webhooks, endpoints), body=ResendBody, answer=ResentView,
              status=202, permission=MANAGE, errors=[ids.IdInvalid, *ACT_ERRORS]),
        Route("GET", f"{WEBHOOKS}/{{webhookId}}", partial(read_webhook, endpoints), answer=WebhookDetailView,
              permission=READ, errors=[ids.IdInvalid, WebhookNotFound]),
        Route("POST", f"{WEBHOOKS}/{{webhookId}}/retry", partial(retry_webhook, endpoints), answer=WebhookView,
              status=202, permission=MANAGE,
              errors=[ids.IdInvalid, WebhookNotFound, WebhookPending, WebhookEndpointDisabled, *ACT_ERRORS]),
        Route("GET", "/api/v1/events", partial(list_events, endpoints), query=EventsQuery, answer=Page[EventView],
              permission=READ, errors=[CursorInvalid]),
    ]  # fmt: skip


async def list_webhook_endpoints(endpoints: WebhookEndpoints, call: Call) -> Page[EndpointView]:
    """The merchant's webhook endpoints, oldest first."""
    found = await endpoints.list_endpoints(call.caller.merchant_id)
    return Page([webhook_views.endpoint_view(each) for each in found])


async def create_webhook_endpoint(endpoints: WebhookEndpoints, call: Call[EndpointBody]) -> EndpointView:
    """Have events sent to a server of the merchant's. The answer has the secret that verifies them, this once."""
    endpoint = await endpoints.create(call.caller, webhook_requests.endpoint_form(call.body))
    return webhook_views.endpoint_view(endpoint, with_secret=True)


async def read_webhook_endpoint(endpoints: WebhookEndpoints, call: Call) -> EndpointView:
    """One webhook endpoint."""
    endpoint = await endpoints.read(call.caller.merchant_id, webhook_requests.endpoint_id(call.path))
    return webhook_views.endpoint_view(endpoint)


async def change_webhook_endpoint(endpoints: WebhookEndpoints, call: Call[EndpointChangeBody]) -> EndpointView:
    """Change an endpoint's address, events or headers; keep webhooks back or send them again."""
    form = webhook_requests.endpoint_form(call.body)
    return webhook_views.endpoint_view(
        await endpoints.change(call.caller, webhook_requests.endpoint_id(call.path), form)
    )


async def delete_webhook_endpoint(endpoints: WebhookEndpoints, call: Call) -> Empty:
    """Delete an endpoint; what was still to be sent is cancelled."""
    await endpoints.delete(call.caller, webhook_requests.endpoint_id(call.path))
    return Empty()


async def rotate_endpoint_secret(endpoints: WebhookEndpoints, call: Call[RotationBody]) -> EndpointView:
    """Replace an endpoint's secret. Webhooks carry both signatures until the overlap is over."""
    endpoint = await endpoints.rotate(
        call.caller, webhook_requests.endpoint_id(call.path), webhook_requests.overlap(call.body)
    )
    return webhook_views.endpoint_view(endpoint, with_secret=True)


async def send_test_webhook(endpoints: WebhookEndpoints, call: Call) -> Empty:
    """Send the event webhook.test to an endpoint."""
    make = partial(webhook_events.test_event, call.caller.merchant_id)
    await endpoints.send_test(call.caller, webhook_requests.endpoint_id(call.path), make)
    return Empty()


async def list_webhooks(endpoints: WebhookEndpoints, call: Call[None, WebhooksQuery]) -> Page[WebhookView]:
    """What was sent to the merchant's endpoints, newest first."""
    wanted = webhook_requests.deliveries_filter(call.query, call.caller.merchant_id)
    return webhook_views.webhooks_page(await endpoints.list_deliveries(wanted), call.query.limit)


async def read_webhook(endpoints: WebhookEndpoints, call: Call) -> WebhookDetailView:
    """One webhook with its attempts."""
    return webhook_views.webhook_detail(
        *await endpoints.read_delivery(call.caller.merchant_id, webhook_requests.webhook_id(call.path))
    )


async def retry_webhook(endpoints: WebhookEndpoints, call: Call) -> WebhookView:
    """Send a webhook once more, the same bytes under the same id."""
    return webhook_views.webhook_view(await endpoints.retry(call.caller, webhook_requests.webhook_id(call.path)))


async def resend_webhooks(endpoints: WebhookEndpoints, call: Call[ResendBody]) -> ResentView:
    """Send webhooks of a window again that failed for good, at most 500 at once."""
    wanted = webhook_requests.resend_filter(call.body, call.caller.merchant_id)
    return ResentView(await endpoints.resend(call.caller, wanted))


async def list_events(endpoints: WebhookEndpoints, call: Call[None, EventsQuery]) -> Page[EventView]:
    """The events of the last thirty days that webhooks tell of, oldest first."""
    after = webhook_requests.events_after(call.query)
    found = await endpoints.list_events(call.caller.merchant_id, call.query.event, after, call.query.limit + 1)
    return webhook_views.events_page(found, call.query.limit)
