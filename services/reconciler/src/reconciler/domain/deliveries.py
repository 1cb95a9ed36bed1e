"""Which queues an announcement must have reached, and when it counts as lost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from common.topology import Contract
from reconciler.domain.runs import Finding


class Published(NamedTuple):
    """An envelope that a producer has announced."""

    envelope_id: UUID
    exchange: str
    routing_key: str
    confirmed: bool


_RUNG = re.compile(r"retry\.(\d+)ms")


def expected(contract: Contract, envelopes: Iterable[Published]) -> dict[tuple[str, str], list[Published]]:
    """(owner, queue) → the envelopes that it must have claimed: by the binding table, or addressed to it alone."""
    homes = {queue.name: queue for queue in contract.queues}
    found: dict[tuple[str, str], list[Published]] = {}
    for envelope in envelopes:
        if envelope.exchange and not _RUNG.fullmatch(envelope.exchange):
            queues = contract.listeners(envelope.exchange, envelope.routing_key)
        else:
            # A hop of one event back to its home queue. What goes to the dead letters is claimed by no consumer.
            queues = tuple(homes[key] for key in (envelope.routing_key,) if key in homes)
        for queue in queues:
            found.setdefault((queue.owner, queue.name), []).append(envelope)
    return found


def lost_at(envelope: Published, now: datetime, settle: timedelta) -> datetime:
    """From when on an unclaimed *envelope* counts as lost.

    One that is not confirmed is its producer's sweeper's to publish, one on a retry rung has to wait there.
    """
    if not envelope.confirmed:
        return now + settle
    rung = _RUNG.fullmatch(envelope.exchange)
    return now + timedelta(milliseconds=int(rung[1])) + settle if rung else now


class Missing(NamedTuple):
    """An envelope that a queue's owner had not claimed when it should have."""

    envelope_id: UUID
    queue: str
    producer: str
    attempts: int
    next_at: datetime


def due(missing: Iterable[Missing], now: datetime) -> list[Missing]:
    """Those whose time has come to be announced once more."""
    return [each for each in missing if each.next_at <= now]


# Announced once more at once, then ever more rarely: a consumer that is down has its queue, and needs no second one.
GAP_SECONDS_MAX = 3600


def next_attempt(attempts: int, now: datetime, settle: timedelta) -> datetime:
    """When to announce it again after *attempts* times."""
    seconds = max(settle.total_seconds(), 1) * 2 ** min(attempts, 16)
    return now + timedelta(seconds=min(seconds, GAP_SECONDS_MAX))


DELIVERY_LOST = "delivery_lost"


def pair(producer: str, queue: str) -> str:
    """The reference of a delivery case."""
    return f"{producer} > {queue}"


def lost(unclaimed: Mapping[tuple[str, str], int]) -> list[Finding]:
    """(producer, queue) → how many → what to open."""
    return [
        Finding(
            DELIVERY_LOST,
            pair(producer, queue),
            f"{count} envelopes of {producer} are not claimed by {queue}; they are announced again",
        )
        for (producer, queue), count in sorted(unclaimed.items())
        if count
    ]
