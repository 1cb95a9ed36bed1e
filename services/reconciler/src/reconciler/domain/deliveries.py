"""Which queues an announcement must have reached, and when it counts as lost."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from common.topology import Contract, delay_ms, is_retry_tier
from reconciler.domain.runs import Finding

DELIVERY_LOST: Final = "delivery_lost"
# Announced once more at once, then ever more rarely: a consumer that is down has its queue, and needs no second one.
GAP_SECONDS_MAX: Final = 3600


class PublishedEnvelope(Struct, frozen=True):
    """An envelope that a producer has announced."""

    envelope_id: UUID
    exchange: str
    routing_key: str
    confirmed: bool


class Destination(Struct, frozen=True, order=True):
    """A queue and the service that consumes it."""

    owner: str
    queue: str


class MissingDelivery(Struct, frozen=True):
    """An envelope that a queue's owner had not claimed when it should have."""

    envelope_id: UUID
    queue: str
    producer: str
    attempts: int
    next_at: datetime


class Unclaimed(Struct, frozen=True):
    """How many envelopes of a producer were announced again to a queue and are not claimed; 0 when all were since."""

    producer: str
    queue: str
    count: int

    @property
    def reference(self) -> str:
        """Of the delivery case."""
        return f"{self.producer} > {self.queue}"


def by_destination(
    contract: Contract, envelopes: Iterable[PublishedEnvelope]
) -> dict[Destination, list[PublishedEnvelope]]:
    """The envelopes that each queue's owner must have claimed: by the contract, or addressed to that queue alone."""
    queues_by_name = {queue.name: queue for queue in contract.queues}
    groups: dict[Destination, list[PublishedEnvelope]] = {}
    for envelope in envelopes:
        if envelope.exchange in contract.exchanges:
            queues = contract.listeners(envelope.exchange, envelope.routing_key)
        else:
            # A redelivery of one event to its home queue. Dead letters are claimed by no consumer.
            queues = tuple(queues_by_name[key] for key in (envelope.routing_key,) if key in queues_by_name)
        for queue in queues:
            groups.setdefault(Destination(queue.owner, queue.name), []).append(envelope)
    return groups


def lost_at(envelope: PublishedEnvelope, now: datetime, tolerance: timedelta) -> datetime:
    """From when on an unclaimed *envelope* counts as lost.

    One that is not confirmed is still its producer's sweeper's to publish, one in a retry tier has to wait there.
    """
    if not envelope.confirmed:
        return now + tolerance
    if not is_retry_tier(envelope.exchange):
        return now
    return now + timedelta(milliseconds=delay_ms(envelope.exchange)) + tolerance


def due(missing: Iterable[MissingDelivery], now: datetime) -> list[MissingDelivery]:
    """Those whose time has come to be announced once more."""
    return [delivery for delivery in missing if delivery.next_at <= now]


def next_attempt(attempts: int, now: datetime, tolerance: timedelta) -> datetime:
    """When to announce it again after *attempts* times."""
    seconds = max(tolerance.total_seconds(), 1) * 2 ** min(attempts, 16)
    return now + timedelta(seconds=min(seconds, GAP_SECONDS_MAX))


def findings(unclaimed: Iterable[Unclaimed]) -> list[Finding]:
    return [
        Finding(
            DELIVERY_LOST,
            each.reference,
            f"{each.count} envelopes of {each.producer} are not claimed by {each.queue}; they are announced again",
        )
        for each in sorted(unclaimed, key=lambda each: (each.producer, each.queue))
        if each.count
    ]
