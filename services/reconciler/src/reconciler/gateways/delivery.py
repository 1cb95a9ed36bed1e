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
from reconciler.domain.deliveries import PublishedEnvelope
from reconciler.gateways import PAGE

LIST_SECONDS = 10.0
REPUBLISH_SECONDS = 30.0
# Once a day, and when a person asks, sums run over whole tables.
TOTALS_SECONDS = 30.0


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

    async def totals(self, *, verify: bool) -> dict[str, int]:
        request = pb.TotalsRequest(since_checkpoint=True, verify_checkpoint=verify)
        with verdicts():
            response = await self._stub.Totals(request, timeout=TOTALS_SECONDS)
        return dict(response.totals)
