"""One round: load, completion, and what all of it cost."""

import asyncio
import json
import math
import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from msgspec import Struct

from loadtests import config, database, metrics
from loadtests.generator import Generator, Outcome
from loadtests.http_client import Address, Connection, get
from loadtests.percentiles import histogram_percentile, per_second, slope, summary_ms
from loadtests.processes import Processes, Snapshot
from ops import invariants

GENERATOR = "load generator"
# Our own query whether all is complete: neither the fleet's cost nor the generator's.
MEASURING = "measuring"
SAMPLE_SECONDS = 1.0
POLL_SECONDS = 0.1
# PostgreSQL publishes a backend's row counts at most once a second.
STATISTICS_DELAY_SECONDS = 1.2


class Counted(Struct, frozen=True):
    """Everything that only ever grows, read at one moment outside the measured window."""

    written: database.Written
    metrics: metrics.Samples
    webhooks: list[int]
    webhook_bounds_ms: list[float]
    webhooks_given_up: int


class Watched:
    """A stack under load, and its own counters."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.description = description
        self.processes = Processes({**description["pids"], GENERATOR: os.getpid()})

    async def counted(self) -> Counted:
        samples: metrics.Samples = {}
        for service, described in self.description["services"].items():
            for replica, addresses in described["replicas"].items():
                text = await fetch(f"{addresses['http']}/metrics")
                for (metric, labels), value in metrics.parse(text.decode()).items():
                    samples[metric, labels | {("service", service), ("replica", replica)}] = value
        webhooks = json.loads(await fetch(f"{self.description['sandbox_url']}/control/stats"))["webhooks"]
        written = await database.written(self.description)
        answered_in = webhooks["answered_in"]
        return Counted(
            written,
            samples,
            answered_in["counts"],
            answered_in["bounds_ms"],
            webhooks["given_up"] + webhooks["refused"],
        )

    async def mails(self) -> int:
        """How many mails the SMTP server has accepted since it began to count."""
        return int(json.loads(await fetch(f"{self.description['mail_url']}/count"))["count"])


async def fetch(url: str) -> bytes:
    """The body of a GET. Raises RuntimeError unless it is answered with 200."""
    address = Address.of(url)
    connection = Connection(address)
    try:
        async with asyncio.timeout(10):
            answer = await connection.ask(get(urlsplit(url).path, address))
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{url} answered {answer.status}")
    return answer.body


class Peaks:
    """The most memory that each process had, sampled once a second."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self.resident_bytes: dict[str, int] = {}

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            for name, now in self._processes.resident_bytes().items():
                self.resident_bytes[name] = max(self.resident_bytes.get(name, 0), now)
            await asyncio.sleep(SAMPLE_SECONDS)


async def round_of(watched: Watched, generator: Generator, payments: int, clients: int, rate: float) -> dict[str, Any]:
    """Run *payments* to their completion and say what it took. Raises TimeoutError, RuntimeError."""
    await invariants.until_quiet(watched.description, config.QUIET_SECONDS_MAX)
    before = await watched.counted()
    mails_before = await watched.mails()
    async with database.connect(watched.description) as db:
        processes = watched.processes.beside(MEASURING, db.get_server_pid())
        peaks = Peaks(processes)
        looking = asyncio.create_task(peaks.run())
        cpu_before = processes.snapshot()
        try:
            outcome = await generator.run(payments, clients=clients, rate=rate)
            await _until_mailed(watched, mails_before + len(outcome.payment_ids))
            steps = await _until_complete(db, outcome)
            cpu_after = processes.snapshot()
            ended_at = time.time()
        finally:
            looking.cancel()
    quiet_from = time.monotonic()
    await invariants.until_quiet(watched.description, config.QUIET_SECONDS_MAX)
    quiet_seconds = time.monotonic() - quiet_from
    await asyncio.sleep(STATISTICS_DELAY_SECONDS)
    after = await watched.counted()
    return {
        **_lifecycle(outcome, steps),
        **_costs(cpu_before, cpu_after, len(outcome.payment_ids), ended_at - outcome.started_at),
        **_counters(before, after, len(outcome.payment_ids)),
        "rss_peak_bytes": {name: most for name, most in peaks.resident_bytes.items() if name != MEASURING},
        "quiet_after_seconds": quiet_seconds,
    }


async def _until_mailed(watched: Watched, mails: int) -> None:
    """The mail is the last step of nearly every payment, and its server can be asked for next to nothing."""
    seen, seen_at = -1, time.monotonic()
    while (now := await watched.mails()) < mails:
        if now != seen:
            seen, seen_at = now, time.monotonic()
        if time.monotonic() - seen_at > config.STALLED_SECONDS_MAX:
            return  # the count of payments shows those that are missing
        await asyncio.sleep(POLL_SECONDS)


async def _until_complete(db: asyncpg.Connection, outcome: Outcome) -> dict[str, dict[Any, float]]:
    """Every payment's steps, once all have reached all of them, or when nothing has moved for too long."""
    seen, seen_at = -1, time.monotonic()
    while True:
        steps = await database.reached(db, outcome.payment_ids, outcome.started_at - 1)
        complete = len(database.completed(steps))
        if complete == len(outcome.payment_ids):
            return steps
        if complete != seen:
            seen, seen_at = complete, time.monotonic()
        if time.monotonic() - seen_at > config.STALLED_SECONDS_MAX:
            return steps
        await asyncio.sleep(POLL_SECONDS)


def _lifecycle(outcome: Outcome, steps: Mapping[str, Mapping[Any, float]]) -> dict[str, Any]:
    """Rates and latencies, acceptance and completion apart."""
    complete = database.completed(steps)
    start = outcome.started_at
    last = max(complete.values(), default=math.nan)
    timelines = {"created": outcome.created_at, **{step: list(times.values()) for step, times in steps.items()}}
    timelines["complete"] = list(complete.values())
    width = max(1.0, round((last - start) / 60, 2)) if complete else 1.0
    return {
        "payments": len(outcome.payment_ids),
        "completed": len(complete),
        "seconds": last - start,
        "payments_per_s": len(complete) / (last - start),
        "steady_payments_per_s": slope(complete.values()),
        "accepted_per_s": len(outcome.created_at) / (outcome.ended_at - start),
        "create_ms": summary_ms(outcome.create_seconds),
        "webhook_to_credit_ms": summary_ms(_between(steps["webhook"], steps["credits"])),
        "webhook_to_complete_ms": summary_ms(_between(steps["webhook"], complete)),
        "sent_again": dict(outcome.again),
        "failures": dict(outcome.failures),
        "unpaid": len(outcome.unpaid),
        "missing": {step: len(outcome.payment_ids) - len(times) for step, times in steps.items()},
        "timeline": {
            "width_seconds": width,
            "per_second": {
                name: per_second(times, start, max(last, outcome.ended_at), width) if complete else []
                for name, times in timelines.items()
            },
        },
    }


def _between(first: Mapping[Any, float], then: Mapping[Any, float]) -> list[float]:
    return [max(0.0, at - first[payment]) for payment, at in then.items() if payment in first]


def _costs(before: Snapshot, after: Snapshot, payments: int, seconds: float) -> dict[str, Any]:
    """CPU-milliseconds a payment by process, and how much of the machine others had."""
    spent = after.since(before)
    # What measuring took is neither the stack's nor somebody else's.
    machine = after.machine - before.machine - spent.pop(MEASURING)
    cores = os.cpu_count() or 1
    return {
        "cpu_ms_per_payment": {
            name: cpu * 1000 / payments for name, cpu in sorted(spent.items(), key=lambda item: -item[1])
        },
        "cpu_ms_per_payment_total": sum(spent.values()) * 1000 / payments,
        "machine_busy_share": machine / (seconds * cores),
        "others_busy_share": max(0.0, machine - sum(spent.values())) / (seconds * cores),
    }


def _counters(before: Counted, after: Counted, payments: int) -> dict[str, Any]:
    written = after.written.since(before.written)
    counted = metrics.difference(after.metrics, before.metrics)
    answered: list[tuple[float, float]] = []
    running = 0.0
    for bound, count in zip([*after.webhook_bounds_ms, math.inf], after.webhooks, strict=True):
        running += count - before.webhooks[len(answered)]
        answered.append((bound, running))
    return {
        "webhook_ms": {f"p{percent}": histogram_percentile(answered, percent) for percent in (50, 95, 99)},
        "webhook_requests": running,
        "webhooks_given_up": after.webhooks_given_up - before.webhooks_given_up,
        "wal_bytes_per_payment": written["wal_bytes"] / payments,
        "disk_bytes_per_payment": written["disk_bytes"] / payments,
        "rows_per_payment": sum(written["rows"].values()) / payments,
        "rows_per_payment_by_table": {table: count / payments for table, count in written["rows"].items()},
        "fraud_silent": metrics.total(counted, "commdesk_payment_fraud_unscored_total"),
        "events_per_batch": {
            queue: metrics.mean(counted, "commdesk_queue_batch_events", queue=queue)
            for queue in metrics.values(counted, "commdesk_queue_batch_events_count", "queue")
            if metrics.total(counted, "commdesk_queue_batch_events_count", queue=queue)
        },
        "items_per_flush": {
            batcher: metrics.mean(counted, "commdesk_batch_items", batcher=batcher)
            for batcher in metrics.values(counted, "commdesk_batch_items_count", "batcher")
            if metrics.total(counted, "commdesk_batch_items_count", batcher=batcher)
        },
    }
