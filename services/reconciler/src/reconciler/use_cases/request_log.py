"""The log of a merchant's requests by API key, collected from all services: each keeps its own."""

import asyncio
import heapq
from collections.abc import Mapping

from common.request_log import PAGE_MAX, Filter, LoggedRequest
from reconciler.gateways.delivery import DeliveryPeer


async def list_requests(peers: Mapping[str, DeliveryPeer | None], wanted: Filter, limit: int) -> list[LoggedRequest]:
    """The newest *limit* of them, at most PAGE_MAX. Raises CalleeUnavailable when a service does not answer.

    All of them or nothing: a log that lacks a service looks like requests that never came.
    """
    pages = await asyncio.gather(
        *(peer.api_requests(wanted, min(limit, PAGE_MAX)) for peer in peers.values() if peer is not None)
    )
    return heapq.nlargest(limit, (each for page in pages for each in page), key=lambda each: each.request_log_id)
