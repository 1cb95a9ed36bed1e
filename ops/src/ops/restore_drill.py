"""The restore drill: a stack is lost while customers buy, and a second one takes over from its backup.

The gateway, the edge's address and the kept secrets outlive the loss, as they do in life; PostgreSQL, the broker, Redis
and the run directory do not. What was acknowledged, what came back, what healed and what did not is counted.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import psutil
from msgspec import Struct

from common.services import SCHEMAS
from ops import backup, doctor, edge, fleet, fleet_client, fleet_database, invariants, stack, virtual_users
from ops.fleet_client import FleetClient
from ops.journey import StepFailed
from ops.ports import Layout
from ops.progress import Progress
from ops.stack import Stack

# Where the gateway listens, from the port base: it is no part of either stack.
GATEWAY_OFFSET = 63
CUSTOMERS_COUNT = 8
PAUSE_SECONDS = 0.3
# A customer repeats an unanswered request for as long as the restore takes.
PATIENCE_SECONDS = 600.0
QUIET_SECONDS = 300.0
START_SECONDS = 20.0
# Waits that a drill can sit through; everything else is as in production.
SETTINGS = {
    "BACKUP": "on",
    "RETRY_SCHEDULE_MS": "1000,3000,9000,20000",
    "SWEEP_AFTER_SECONDS": "5",
    "SWEEP_LONGEST_SECONDS": "20",
    "TOLERANCE_SECONDS": "5",
    "TEST_PROCESSING_DELAY": "50",
    "SANDBOX_WEBHOOK_RETRY_MS": "500,2000,5000,10000,20000,30000,60000,60000,60000",
}
# A webhook about an order of the time that was lost.
UNKNOWN_ORDER = "order_not_known_yet"
DEAD_LETTERS_CHECK = "no dead letter is open"


class DrillFailed(Exception):
    """Something that must hold after a restore does not."""


class Purchase(Struct):
    """One that was acknowledged: when (seconds since 1970), and whether the customer paid at the gateway."""

    order_id: str
    created: float
    paid: bool = False


class Customers(Struct):
    """Those who buy, and what was acknowledged to them."""

    purchases: list[Purchase] = []
    gone: bool = False


class Result(Struct, frozen=True):
    """What a drill found. Times in seconds; RPO is what the restore missed, RTO what customers waited."""

    rpo_seconds: float
    rto_seconds: float
    backup_seconds: float
    restore_seconds: float
    start_seconds: float
    backup_bytes: int
    acknowledged: int
    """Payments that customers were told of before the loss; all others are counted among these."""
    restored: int
    healed: int
    """Restored as unfinished, paid at the gateway by then or meanwhile, and a success in the end."""
    lost: int
    lost_and_paid: int
    """The gateway holds their money, and the restored books do not know of them."""
    after: int
    """Payments that customers made on the restored stack."""
    dead_letters: int
    """Webhooks about orders of the lost time."""
    quiet_seconds: float


async def drill(folder: Path, port_base: int, progress: Progress, *, before: float, after: float) -> Result:
    """Run it with everything in *folder*; customers buy for *before* seconds, then *after* seconds past the backup.

    Raises DrillFailed, StackFailed, BackupFailed, StepFailed.
    """
    os.environ.update(SETTINGS | {"BACKUP_DIR": str(folder / "repository")})
    detours = {"sandbox": port_base + GATEWAY_OFFSET}
    first, second = (Layout(folder / name, port_base, detours=detours) for name in ("first", "second"))
    for layout in (first, second):
        await asyncio.to_thread(stack.down, layout, wipe=True, progress=progress)
    shutil.rmtree(folder / "repository", ignore_errors=True)
    try:
        with _gateway(first):
            await asyncio.to_thread(stack.up, first, engines_only=False, progress=progress)
            async with _client(first) as client, _buying(client) as customers:
                return await _lose_and_restore(first, second, client, customers, progress, before, after)
    finally:
        for layout in (first, second):
            await asyncio.to_thread(stack.down, layout, wipe=True, progress=progress)


async def _lose_and_restore(
    first: Layout,
    second: Layout,
    client: FleetClient,
    customers: Customers,
    progress: Progress,
    before: float,
    after: float,
) -> Result:
    purchases = customers.purchases
    kept = (first.run_dir / "secrets.json").read_text()
    await asyncio.sleep(before)
    made = await asyncio.to_thread(backup.back_up, first)
    backup_seconds = (made.stopped - made.started).total_seconds()
    progress.done(f"backup {made.label} under load: {backup_seconds:.0f} s")
    await asyncio.sleep(after)

    lost_at = await asyncio.to_thread(lose, first)
    await asyncio.to_thread(stack.down, first, wipe=True, progress=progress)
    acknowledged = [each for each in purchases if each.created <= lost_at]
    progress.note(f"lost, with {len(acknowledged)} payments acknowledged")

    second.run_dir.mkdir(parents=True)
    (second.run_dir / "secrets.json").write_text(kept)
    began = time.time()
    await asyncio.to_thread(backup.restore, second, Path(os.environ["BACKUP_DIR"]), progress)
    restore_seconds = time.time() - began
    password = Stack(second).credentials.words["postgresql_superuser"]
    recovered = datetime.fromisoformat(backup.recovered_to(second, password)).timestamp()
    at_restore = await _statuses(client.description)
    began = time.time()
    await asyncio.to_thread(stack.up, second, engines_only=False, progress=progress)
    start_seconds = time.time() - began
    rto = await _first_success(client, lost_at)
    progress.done(f"a new payment succeeded {rto:.1f} s after the loss")

    await asyncio.sleep(after / 4)
    customers.gone = True
    began = time.time()
    await invariants.until_quiet(client.description, QUIET_SECONDS)
    quiet_seconds = time.time() - began
    progress.done("the fleet is quiet")
    dead_letters = await _check(client)
    at_end = await _statuses(client.description)
    lost = [each for each in acknowledged if each.order_id not in at_end]
    unfinished = [each for each in acknowledged if at_restore.get(each.order_id, "SUCCESS") != "SUCCESS"]
    stuck = [each.order_id for each in purchases if each.paid and at_end.get(each.order_id, "SUCCESS") != "SUCCESS"]
    if stuck:
        raise DrillFailed(f"paid at the gateway, known, and no success: {stuck[:5]}")
    return Result(
        rpo_seconds=round(lost_at - recovered, 1),
        rto_seconds=round(rto, 1),
        backup_seconds=backup_seconds,
        restore_seconds=round(restore_seconds, 1),
        start_seconds=round(start_seconds, 1),
        backup_bytes=made.stored_bytes,
        acknowledged=len(acknowledged),
        restored=len(acknowledged) - len(lost),
        healed=sum(each.paid and at_end[each.order_id] == "SUCCESS" for each in unfinished),
        lost=len(lost),
        lost_and_paid=sum(each.paid for each in lost),
        after=len(purchases) - len(acknowledged),
        dead_letters=dead_letters,
        quiet_seconds=round(quiet_seconds, 1),
    )


def lose(layout: Layout) -> float:
    """Every process dies as if the machine had: nothing is archived or written any more. When PostgreSQL died."""
    supervisor = Stack(layout).supervisor
    pids = {state.name: state.pid for state in supervisor.states() if state.pid}
    _kill(supervisor.pid(), whole=False)  # first: it would start the others again
    _kill(pids.pop("postgresql"))
    lost_at = time.time()
    for pid in pids.values():
        _kill(pid)
    return lost_at


def _kill(pid: int, *, whole: bool = True) -> None:
    """A process; *whole*: and its children after it."""
    try:
        died = psutil.Process(pid)
        family = [died, *(died.children(recursive=True) if whole else [])]
    except psutil.NoSuchProcess:
        return
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()


async def _check(client: FleetClient) -> int:
    """What must hold of the restored fleet; how many webhooks speak of orders that it does not know."""
    broken = await invariants.violations(client.description, without=[DEAD_LETTERS_CHECK])
    if broken:
        raise DrillFailed("; ".join(str(each) for each in broken))
    letters = await _fetch(
        client.description,
        " union all ".join(
            f"select '{schema}' as service, error_code from {schema}.dead_letters where status = 'OPEN'"
            for schema in SCHEMAS
        ),
    )
    others = [dict(row) for row in letters if row["error_code"] != UNKNOWN_ORDER]
    if others:
        raise DrillFailed(f"dead letters: {others[:5]}")
    wrong = [each for each in await doctor.examine(client) if not each.ok]
    if wrong:
        raise DrillFailed("; ".join(f"{each.what}: {each.detail}" for each in wrong))
    return len(letters)


async def _first_success(client: FleetClient, lost_at: float) -> float:
    """Seconds from the loss until a payment that was made after it has its credits."""
    [member] = virtual_users.members(client, 1)
    answer = await virtual_users.create_with_retries(client, member, f"drill-{secrets.token_hex(8)}")
    if answer.status != 201:
        raise StepFailed(f"create was answered {answer.status}: {answer.body}")
    await virtual_users.pay_order(client, answer.data["orderId"])
    ends = time.time() + QUIET_SECONDS
    while not await virtual_users.granted(client, [answer.data["orderId"]]):
        if time.time() > ends:
            raise DrillFailed("the first payment after the restore got no credits")
        await asyncio.sleep(0.1)
    return time.time() - lost_at


# ── Customers and the gateway ────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def _buying(client: FleetClient) -> AsyncIterator[Customers]:
    """Customers buy and pay, one payment after another, through the loss as well."""
    customers = Customers()
    tasks = [asyncio.create_task(_buy(client, customers)) for _ in range(CUSTOMERS_COUNT)]
    try:
        yield customers
        customers.gone = True
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _buy(client: FleetClient, customers: Customers) -> None:
    """Each payment is a new member's: fraud's rules see no one who buys without end."""
    while not customers.gone:
        [member] = virtual_users.members(client, 1)
        key = f"drill-{secrets.token_hex(8)}"
        answer = await virtual_users.create_with_retries(client, member, key, retry_seconds_max=PATIENCE_SECONDS)
        if answer.status != 201:
            raise StepFailed(f"create was answered {answer.status}: {answer.body}")
        purchase = Purchase(answer.data["orderId"], time.time())
        customers.purchases.append(purchase)
        await virtual_users.pay_order(client, purchase.order_id)
        purchase.paid = True
        await asyncio.sleep(PAUSE_SECONDS)


@contextmanager
def _gateway(layout: Layout) -> Iterator[None]:
    """The gateway, which is not lost with the stack."""
    port = layout.detours["sandbox"]
    url = f"http://127.0.0.1:{port}"
    process = fleet.sandbox(layout, Stack(layout).credentials, os.environ)
    environment = {
        "PATH": os.defpath,
        **process.environment,
        "SANDBOX_PORT": str(port),
        "SANDBOX_PUBLIC_URL": url,
    }
    with subprocess.Popen(process.command, env=environment, stdout=subprocess.DEVNULL) as running:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not edge.responds(f"{url}/health"):
                if running.poll() is not None or time.monotonic() > deadline:
                    raise DrillFailed("the gateway's simulator does not start")
                time.sleep(0.1)
            yield
        finally:
            running.terminate()


@asynccontextmanager
async def _client(layout: Layout) -> AsyncIterator[FleetClient]:
    """Of both stacks: they have the same addresses and secrets, one after the other."""
    async with fleet_client.connect(layout) as client:
        client.description = {**client.description, "sandbox_url": f"http://127.0.0.1:{layout.detours['sandbox']}"}
        yield client


async def _statuses(description: Mapping[str, Any]) -> dict[str, str]:
    """The status of each payment by its order."""
    rows = await _fetch(description, "select order_id, status from payment.payments")
    return {row["order_id"]: row["status"] for row in rows}


async def _fetch(description: Mapping[str, Any], statement: str) -> list[asyncpg.Record]:
    async with fleet_database.connect(description) as db:
        rows: list[asyncpg.Record] = await db.fetch(statement)
        return rows


def summary(result: Result) -> dict[str, Any]:
    """The same for `--json`."""
    facts: dict[str, Any] = msgspec.to_builtins(result)
    return facts
