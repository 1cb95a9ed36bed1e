"""The log of requests by API key: of the caller's merchant, from all services together."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from common import pages
from common.grpc_client import CalleeUnavailable
from common.http_server import Call, Route
from common.pages import CursorInvalid, Page
from reconciler.gateways.delivery import DeliveryPeer
from reconciler.use_cases.request_log import list_requests
from reconciler.wire import request_log as wire
from reconciler.wire.request_log import ApiRequestsQuery, ApiRequestView

Peers = Mapping[str, DeliveryPeer | None]


def routes(peers: Peers) -> list[Route[Any]]:
    return [
        Route(
            "GET",
            "/api/v1/logs/requests",
            partial(list_api_requests, peers),
            query=ApiRequestsQuery,
            answer=Page[ApiRequestView],
            permission="request_log.read",
            errors=[CursorInvalid, CalleeUnavailable],
        ),
    ]


async def list_api_requests(peers: Peers, call: Call[None, ApiRequestsQuery]) -> Page[ApiRequestView]:
    """What the merchant's servers sent with its API keys in the last 30 days, the newest first, some seconds late.

    Bodies are not kept. Two requests with the same `bodyHash` had the same body, secrets and personal data apart.
    """
    query = call.query
    wanted = wire.filter_of(call.caller.merchant_id, query)
    logged = await list_requests(peers, wanted, query.limit + 1)
    return pages.page(logged, query.limit, wire.view, lambda each: pages.encode_cursor(each.request_log_id))
