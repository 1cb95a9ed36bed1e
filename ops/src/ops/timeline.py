"""The timeline of a reference: the entries of every service, in time order."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import grpc.aio

from commdesk.common.v1 import delivery_pb2
from ops.fleet_client import FleetClient

# An order leads to its payment, a payment to its wallet transactions: a few hops find all of it.
HOPS_MAX = 4
REFERENCES_MAX = 50
TIMEOUT_SECONDS = 10.0


async def gathered(fleet: FleetClient, reference: str) -> dict[str, Any]:
    """Entries of all services about *reference* and the ids it leads to; services that did not answer are named."""
    searched: set[str] = set()
    entries: dict[tuple[Any, ...], dict[str, Any]] = {}
    silent: set[str] = set()
    references = {reference}
    for _ in range(HOPS_MAX):
        new = sorted(references - searched)[: REFERENCES_MAX - len(searched)]
        if not new:
            break
        searched |= set(new)
        answers = await asyncio.gather(*(_ask(fleet, service, each) for each in new for service in fleet.services))
        for service, answer in answers:
            if answer is None:
                silent.add(service)
                continue
            references |= set(answer.references)
            for entry in answer.entries:
                shown = _entry(service, entry)
                entries[(service, shown["time"], shown["kind"], shown["summary"], str(shown["fields"]))] = shown
    ordered = sorted(entries.values(), key=lambda shown: shown["time"])
    if ordered:
        first = datetime.fromisoformat(ordered[0]["time"])
        for shown in ordered:
            shown["after_ms"] = (datetime.fromisoformat(shown["time"]) - first).total_seconds() * 1000
    return {"reference": reference, "references": sorted(searched), "entries": ordered, "silent": sorted(silent)}


async def _ask(fleet: FleetClient, service: str, reference: str) -> tuple[str, delivery_pb2.StoryResponse | None]:
    try:
        request = delivery_pb2.StoryRequest(reference=reference)
        return service, await fleet.delivery(service).Story(request, timeout=TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError:
        return service, None


def _entry(service: str, entry: delivery_pb2.StoryEntry) -> dict[str, Any]:
    return {
        "time": datetime.fromtimestamp(entry.time_unix_micros / 1_000_000, UTC).isoformat(timespec="microseconds"),
        "service": service,
        "kind": entry.kind,
        "summary": entry.summary,
        "fields": dict(entry.fields),
    }
