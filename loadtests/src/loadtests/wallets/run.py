"""One run: wallets are opened, the clock starts, and it stops when the ledger has booked the last transaction."""

import asyncio
import os
import time
from collections.abc import Coroutine, Mapping
from itertools import islice
from typing import Any

import asyncpg

from common import ids
from loadtests.processes import Processes
from loadtests.run import GENERATOR, STATISTICS_DELAY_SECONDS, Peaks
from loadtests.wallets import plan, workload
from loadtests.wallets import progress as measurements
from loadtests.wallets.plan import Run
from loadtests.wallets.throughput import rates
from loadtests.wallets.wallet_client import Sender, publishing_channels
from ops import invariants
from ops.fleet_client import FleetClient
from ops.progress import Progress

SEED = 7
# How many are sent between two looks at how much is under way.
CHUNK = 1_024
REPORT_EVERY_SECONDS = 10.0


async def run_of(
    client: FleetClient, db: asyncpg.Connection, run: Run, grpc_share: float, progress: Progress
) -> dict[str, Any]:
    """Every figure of *run*. Raises TimeoutError, RuntimeError."""
    await invariants.until_quiet(client.description, plan.QUIET_SECONDS_MAX)
    owners = [ids.encode("usr", ids.new()) for _ in range(run.wallets)]
    shares = workload.shares(run.wallets, run.zipf, SEED)
    async with publishing_channels(client.description["rabbitmq"]["urls"]) as channels:
        load = _Load(client.description, Sender(client.channel("wallet"), channels, owners, grpc_share))
        opened = await load.open(shares)
        progress.done(f"{run.name}: {run.wallets:,} wallets are open")
        await invariants.until_quiet(client.description, plan.QUIET_SECONDS_MAX)
        await asyncio.sleep(STATISTICS_DELAY_SECONDS)
        return {"grants_to_open": opened, **await _measured(client.description, db, load, run, shares, progress)}


class _Load:
    """Sends as much as may be under way, until the ledger has booked all of it."""

    def __init__(self, description: Mapping[str, Any], sender: Sender) -> None:
        self.sender = sender
        self.progress = measurements.Progress(description)

    async def open(self, shares: list[float]) -> int:
        """Grant what the wallets hold at first, and tell in how many grants.

        Not on the clock: what is measured is wallets that have been in use.
        """
        held = workload.openings(shares, plan.IN_FLIGHT_MAX, SEED)
        grants = [(wallet, lot) for wallet, credits in enumerate(held) for lot in workload.lots(credits)]

        async def send() -> None:
            for start in range(0, len(grants), CHUNK):
                await self.sender.open(grants[start : start + CHUNK])
                await self.progress.until(self.sender.sent - plan.IN_FLIGHT_MAX)

        await self._through(send(), len(grants), plan.QUIET_SECONDS_MAX + len(grants) / plan.RATE_MIN)
        return len(grants)

    async def execute(self, run: Run, shares: list[float]) -> None:
        """*run*'s transactions, to the last journal."""
        steps = islice(workload.steps(shares, plan.IN_FLIGHT_MAX, SEED), run.transactions)

        async def send() -> None:
            while chunk := list(islice(steps, CHUNK)):
                await self.sender.send(chunk)
                await self.progress.until(self.sender.sent - plan.IN_FLIGHT_MAX)

        await self._through(send(), run.transactions, run.seconds_max)

    async def _through(self, send: Coroutine[Any, Any, None], count: int, seconds_max: float) -> None:
        self.sender.sent = 0
        await self.progress.start()

        async def work() -> None:
            await send
            await self.sender.finish()
            await self.progress.until(count)

        try:
            async with asyncio.timeout(seconds_max), asyncio.TaskGroup() as group:
                looking = group.create_task(self.progress.run())
                await work()
                looking.cancel()
        except ExceptionGroup as failed:
            raise _first(failed) from failed


async def _measured(
    description: Mapping[str, Any],
    db: asyncpg.Connection,
    load: _Load,
    run: Run,
    shares: list[float],
    progress: Progress,
) -> dict[str, Any]:
    peaks = Peaks(Processes({**description["pids"], GENERATOR: os.getpid()}))
    beside = [asyncio.create_task(peaks.run()), asyncio.create_task(_report_progress(load, run, progress))]
    bytes_before, cpu_before = await measurements.sizes(db), await measurements.cpu(description, db)
    started_at = time.time()
    try:
        await load.execute(run, shares)
        ended_at = load.progress.booked_at
        cpu_after = await measurements.cpu(description, db)
    finally:
        for task in beside:
            task.cancel()
    await invariants.until_quiet(description, plan.QUIET_SECONDS_MAX)
    await asyncio.sleep(STATISTICS_DELAY_SECONDS)
    bytes_after = await measurements.sizes(db)
    seconds = ended_at - started_at
    throughput = rates(await measurements.booked(db, started_at), started_at, run.slice)
    spent, machine = measurements.cpu_between(cpu_before, cpu_after)
    cores = os.cpu_count() or 1
    count = run.transactions
    return {
        "transactions": count,
        "wallets": run.wallets,
        "zipf": run.zipf,
        "seconds": seconds,
        "transactions_per_s": count / seconds,
        "slice": run.slice,
        "rates": throughput,
        "first_per_s": throughput[0],
        "last_per_s": throughput[-1],
        "last_to_first": throughput[-1] / throughput[0],
        "cpu_us_per_transaction": {
            name: cpu * 1e6 / count for name, cpu in sorted(spent.items(), key=lambda item: -item[1])
        },
        "cpu_us_per_transaction_total": sum(spent.values()) * 1e6 / count,
        "machine_busy_share": machine / (seconds * cores),
        "others_busy_share": max(0.0, machine - sum(spent.values())) / (seconds * cores),
        "disk_bytes_per_transaction": {
            name: (after - bytes_before[name]) / count for name, after in bytes_after.items()
        },
        "rss_peak_bytes": peaks.resident_bytes,
        "refused": dict(load.sender.refused),
    }


async def _report_progress(load: _Load, run: Run, progress: Progress) -> None:
    """A line every so often, until cancelled."""
    booked, at = 0, time.monotonic()
    while True:
        await asyncio.sleep(REPORT_EVERY_SECONDS)
        now, now_at = load.progress.booked, time.monotonic()
        progress.note(
            f"{run.name}: {now:>12,} of {run.transactions:,} booked ({now / run.transactions:.0%}),"
            f" {(now - booked) / (now_at - at):,.0f}/s"
        )
        booked, at = now, now_at


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One error says what went wrong; the others follow from it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
