"""A service through its common delivery service."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import grpc

from commdesk.common.v1 import delivery_pb2 as pb
from commdesk.common.v1.delivery_pb2_grpc import DeliveryServiceStub
from common.events import micros
from common.grpc_client import verdicts
from common.request_log import Filter, LoggedRequest
from reconciler.domain.deliveries import PublishedEnvelope
from reconciler.gateways import PAGE

LIST_SECONDS = 10.0
REPUBLISH_SECONDS = 30.0
# Once a day, and when a person asks, sums run over whole tables.
TOTALS_SECONDS = 30.0
LOG_SECONDS = 5.0


class DeliveryPeer:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = DeliveryServiceStub(channel)  # type: ignore[no-untyped-call]

    async def published(self, since: datetime, until: datetime, after: UUID | None) -> Sequence[PublishedEnvelope]:
        request = pb.ListPublishedRequest(
            from_unix_micros=micros(since),
            to_unix_micros=micros(until),
            limit=PAGE,
            after_id=after.bytes if after else b"",
        )
        with verdicts():
            response = await self._stub.ListPublished(request, timeout=LIST_SECONDS)
        return [
            PublishedEnvelope(UUID(bytes=each.id), each.exchange, each.routing_key, each.confirmed)
            for each in response.envelopes
        ]

    async def claimed(self, queue: str, envelope_ids: Collection[UUID]) -> set[UUID]:
        request = pb.ListClaimedRequest(consumer=queue, ids=[each.bytes for each in envelope_ids])
        with verdicts():
            response = await self._stub.ListClaimed(request, timeout=LIST_SECONDS)
        return {UUID(bytes=each) for each in response.ids}

    async def republish(self, queue: str, envelope_ids: Collection[UUID]) -> int:
        request = pb.RepublishRequest(queue=queue, ids=[each.bytes for each in envelope_ids])
        with verdicts():
            response = await self._stub.Republish(request, timeout=REPUBLISH_SECONDS)
        return int(response.republished)

    async def api_requests(self, wanted: Filter, limit: int) -> list[LoggedRequest]:
        """The newest of a merchant's requests to the service."""
        request = pb.ListApiRequestsRequest(
            merchant_id=wanted.merchant_id,
            before_id=wanted.before.bytes if wanted.before else b"",
            since_unix_micros=micros(wanted.since) if wanted.since else 0,
            until_unix_micros=micros(wanted.until) if wanted.until else 0,
            api_key_id=wanted.api_key_id,
            method=wanted.method,
            path=wanted.path,
            request_id=wanted.request_id,
            status_min=wanted.status_min,
            status_max=wanted.status_max,
            limit=limit,
        )
        with verdicts():
            response = await self._stub.ListApiRequests(request, timeout=LOG_SECONDS)
        return [
            LoggedRequest(
                UUID(bytes=each.id),
                wanted.merchant_id,
                each.api_key_id,
                each.method,
                each.path,
                each.status,
                each.duration_micros,
                each.request_id,
                each.error_code,
                each.body_hash or None,
            )
            for each in response.requests
        ]

    async def totals(self, *, verify: bool) -> dict[str, int]:
        request = pb.TotalsRequest(since_checkpoint=True, verify_checkpoint=verify)
        with verdicts():
            response = await self._stub.Totals(request, timeout=TOTALS_SECONDS)
        return dict(response.totals)
