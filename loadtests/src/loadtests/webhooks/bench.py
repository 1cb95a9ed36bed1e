"""A storm from its preparation to its verification."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from loadtests import config as capacity
from loadtests import database, metrics
from loadtests.bench import rig
from loadtests.percentiles import histogram_percentile, per_second, summary_ms
from loadtests.processes import Snapshot
from loadtests.run import STATISTICS_DELAY_SECONDS, Counted, Peaks, Watched
from loadtests.webhooks import config
from loadtests.webhooks.config import Plan
from loadtests.webhooks.open_loop_sender import OpenLoopSender, Outcome
from loadtests.webhooks.payloads import PATH, Simulator, Storm, prepare
from loadtests.webhooks.verification import losses, verify
from ops import invariants
from ops.progress import Progress

SHOWN_AFTER_SHARE = 0.25
SHOWN_AFTER_SECONDS_MAX = 15.0
PROGRESS_SECONDS = 10.0


async def bench(description: Mapping[str, Any], plan: Plan, progress: Progress) -> dict[str, Any]:
    """Everything that bench-webhooks.json holds. Raises TimeoutError, RuntimeError when it cannot be finished."""
    watched = Watched(description)
    await invariants.until_quiet(description, capacity.QUIET_SECONDS_MAX)
    storm = await prepare(description, plan, progress)
    await invariants.until_quiet(description, capacity.QUIET_SECONDS_MAX)
    await asyncio.sleep(STATISTICS_DELAY_SECONDS)
    before, peaks = await watched.counted(), Peaks(watched.processes)
    looking = asyncio.create_task(peaks.run())
    sender = OpenLoopSender(description["edge_url"], storm.requests, plan.rate)
    try:
        async with _reporting(progress, lambda: _storming(sender)), asyncio.TaskGroup() as group:
            cpu = [watched.processes.snapshot()]
            group.create_task(_show(storm, plan, description))
            outcome = await sender.run()
            cpu.append(watched.processes.snapshot())
        progress.done(
            f"the storm is over: {len(outcome.accepted_at):,} accepted, {len(outcome.shed_at):,} rejected with 503,"
            f" {sum(outcome.failures.values()):,} failed"
        )
        await sender.redeliver()
        progress.done(f"{len(outcome.left):,} delivered again until accepted")
        async with _reporting(progress, lambda: _waiting(description)):
            await invariants.until_quiet(description, config.DRAIN_SECONDS_MAX)
        quiet_at = time.time()
        cpu.append(watched.processes.snapshot())
    finally:
        looking.cancel()
    await asyncio.sleep(STATISTICS_DELAY_SECONDS)
    after = await watched.counted()
    async with database.connect(description) as db:
        verified = await verify(db, storm, outcome)
    progress.done("every answer compared with what is stored and its outcome")
    broken = [str(violation) for violation in await invariants.violations(description)]
    progress.done(f"invariants: {'all hold' if not broken else 'VIOLATED'}")
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rig": rig(),
        "plan": {
            "seconds": plan.seconds,
            "offered_per_s": plan.rate,
            "deliveries": plan.deliveries,
            "repeats_percent": config.REPEATS_PERCENT,
            "orders": plan.orders,
            "attempts_of_each": plan.attempts,
            "hidden_orders": plan.hidden_orders,
            "connections": config.CONNECTIONS,
        },
        **result(outcome, verified, broken, quiet_at),
        **costs(cpu, outcome, plan.deliveries),
        **counters(before, after, plan.deliveries),
        "rss_peak_bytes": peaks.resident_bytes,
    }


async def _show(storm: Storm, plan: Plan, description: Mapping[str, Any]) -> None:
    """Have the gateway show the hidden orders, while their webhooks wait for that."""
    await asyncio.sleep(min(SHOWN_AFTER_SECONDS_MAX, plan.seconds * SHOWN_AFTER_SHARE))
    simulator = Simulator(description)
    for rule in storm.hiding_rules:
        await simulator.remove_rule(rule)
    simulator.close()


@asynccontextmanager
async def _reporting(progress: Progress, say: Any) -> AsyncIterator[None]:
    """A line every few seconds while the block runs."""

    async def report() -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            progress.note(await say())

    reporting = asyncio.create_task(report())
    try:
        yield
    finally:
        reporting.cancel()


async def _storming(sender: OpenLoopSender) -> str:
    outcome = sender.outcome
    seconds = time.time() - outcome.started_at
    return f"{seconds:.0f} s: {len(outcome.accepted_at):,} accepted, {len(outcome.shed_at):,} rejected with 503"


async def _waiting(description: Mapping[str, Any]) -> str:
    return f"processing: {await invariants.waiting_for(description) or 'nearly done'}"


def result(outcome: Outcome, verified: dict[str, Any], broken: Sequence[str], quiet_at: float) -> dict[str, Any]:
    """Rates and latencies of accepting, how long the rest took, and the verdict."""
    seconds = outcome.ended_at - outcome.started_at
    worked_off = verified.pop("worked_off_at")
    all_accepted_at = max([outcome.ended_at, *outcome.redelivered_at])
    end = max([all_accepted_at, *worked_off])
    width = max(1.0, round((end - outcome.started_at) / 120, 1))
    accept_ms = summary_ms(outcome.accept_seconds)
    accepted_per_s = len(outcome.accepted_at) / seconds
    lost = losses(verified)
    return {
        "seconds": seconds,
        "accepted": len(outcome.accepted_at),
        "accepted_per_s": accepted_per_s,
        "accept_ms": accept_ms,
        "accept_p99_ms": accept_ms["p99"],
        "shed": len(outcome.shed_at),
        "shed_ms": summary_ms(outcome.shed_seconds),
        "shed_without_retry_after": outcome.shed_without_retry_after,
        "failures": dict(outcome.failures),
        "redeliveries": outcome.redeliveries,
        "generator_late_most_ms": outcome.late_most_seconds * 1000,
        "all_accepted_after_s": all_accepted_at - outcome.started_at,
        "all_processed_after_s": max(worked_off, default=outcome.ended_at) - outcome.started_at,
        "drained_after_s": quiet_at - outcome.ended_at,
        "processed_during": sum(at <= outcome.ended_at for at in worked_off),
        "proof": verified,
        "invariants": {"checks": len(invariants.CHECKS), "violations": list(broken)},
        "problems": [
            *(f"lost: {what}" for what in lost),
            *(f"violated: {violation}" for violation in broken),
            *(
                [f"{outcome.shed_without_retry_after} were rejected with 503 without Retry-After"]
                if outcome.shed_without_retry_after
                else []
            ),
            *([f"failed otherwise: {dict(outcome.failures)}"] if outcome.failures else []),
        ],
        "timeline": {
            "width_seconds": width,
            "accept_p99_ms": p99_over_time(outcome, width),
            "per_second": {
                "accepted": per_second(outcome.accepted_at, outcome.started_at, end, width),
                "redelivered": per_second(outcome.redelivered_at, outcome.started_at, end, width),
                "shed": per_second(outcome.shed_at, outcome.started_at, end, width),
                "processed": per_second(worked_off, outcome.started_at, end, width),
            },
        },
    }


def p99_over_time(outcome: Outcome, width: float) -> list[float]:
    """The p99 of accept in each bin of the storm, so that a stall shows where it was."""
    bins: dict[int, list[float]] = {}
    for at, seconds in zip(outcome.accepted_at, outcome.accept_seconds, strict=True):
        bins.setdefault(int((at - outcome.started_at) / width), []).append(seconds)
    return [summary_ms(bins[index])["p99"] if index in bins else 0.0 for index in range(max(bins, default=-1) + 1)]


def costs(cpu: Sequence[Snapshot], outcome: Outcome, deliveries: int) -> dict[str, Any]:
    """CPU-milliseconds by process: of the storm for each that it accepted, and of all for each delivery."""
    start, storm_end, quiet = cpu
    cores, seconds = os.cpu_count() or 1, outcome.ended_at - outcome.started_at
    during, whole = storm_end.since(start), quiet.since(start)
    order = sorted(whole, key=lambda name: -whole[name])
    accepted = max(1, len(outcome.accepted_at))
    machine = storm_end.machine - start.machine
    return {
        "cpu_ms_per_accepted": {name: during[name] * 1000 / accepted for name in order},
        "cpu_ms_per_accepted_total": sum(during.values()) * 1000 / accepted,
        "cpu_ms_per_webhook": {name: whole[name] * 1000 / deliveries for name in order},
        "cpu_ms_per_webhook_total": sum(whole.values()) * 1000 / deliveries,
        "machine_busy_share": machine / (seconds * cores),
        "others_busy_share": max(0.0, machine - sum(during.values())) / (seconds * cores),
    }


def counters(before: Counted, after: Counted, deliveries: int) -> dict[str, Any]:
    written = after.written.since(before.written)
    counted = metrics.difference(after.metrics, before.metrics)
    inside = metrics.buckets(counted, "commdesk_http_request_duration_seconds", route=PATH, service="webhook-ingest")
    return {
        "inside_ms": {f"p{percent}": histogram_percentile(inside, percent) * 1000 for percent in (50, 95, 99)},
        "wal_bytes_per_webhook": written["wal_bytes"] / deliveries,
        "disk_bytes_per_webhook": written["disk_bytes"] / deliveries,
        "rows_per_webhook": sum(written["rows"].values()) / deliveries,
        "items_per_flush": metrics.mean(counted, "commdesk_batch_items", batcher="store_webhooks"),
        "events_per_batch": {
            queue: metrics.mean(counted, "commdesk_queue_batch_events", queue=queue)
            for queue in ("webhook.processing", "webhook.status")
        },
    }
