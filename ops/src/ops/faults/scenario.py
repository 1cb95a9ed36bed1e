"""A scenario as data, how one is run, and what comes of it."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from ops import invariants
from ops.faults import history
from ops.faults.ground import Ground
from ops.faults.history import History
from ops.faults.load import Load

PER_SECOND = 10.0
BEFORE_SECONDS = 2.0
AFTER_SECONDS = 3.0
# Longer than the lease of a gateway call whose mark got lost (60 s), the sweep's pause and the retry ladder.
QUIET_SECONDS = 120.0
# Nothing else is under way for so long: nobody works at these mails.
MAILS_ALONE_SECONDS = 6.0

Act = Callable[[Ground], Awaitable[None] | AsyncIterator[None]]


@dataclass(frozen=True)
class Scenario:
    """One disaster under load.

    *act* does it and undoes it, and says through `ground.expect` what it misses. An act that yields does so when its
    fault is over, and goes on when the fleet is quiet.
    """

    name: str
    """Its number in the list of failures, then what happens: `P52-postgresql-immediate`."""
    act: Act
    does: str
    must: str
    per_second: float = PER_SECOND
    random: bool = True
    """Whether random combinations may draw it."""
    quiet_seconds: float = QUIET_SECONDS
    """Not quiet within so long after the load is a complaint."""


@dataclass
class Outcome:
    """What a scenario came to; times in seconds."""

    name: str
    does: str
    must: str
    held: bool = False
    complaints: list[str] = field(default_factory=list)
    acknowledged: int = 0
    fault_seconds: float = 0.0
    back_seconds: float | None = None
    """From the end of the fault until the first purchase that began after it was granted."""
    quiet_seconds: float | None = None
    """From the end of the load until nothing was under way."""
    longest_seconds: float = 0.0
    """The longest that anybody waited for a final answer."""
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, *, must: str, **options: Any) -> Callable[[Act], Act]:
    """Register a scenario; the act's docstring says what it does."""

    def registered(act: Act) -> Act:
        add(Scenario(name, act, " ".join((inspect.getdoc(act) or "").split()), must, **options))
        return act

    return registered


def add(made: Scenario) -> None:
    assert made.name not in SCENARIOS, made.name
    SCENARIOS[made.name] = made


async def run(ground: Ground, chosen: Scenario) -> Outcome:
    """Load, the fault in the middle of it, load, quiet, checks. Never raises what the scenario raised."""
    outcome = Outcome(chosen.name, chosen.does, chosen.must)
    ground.history, ground.complaints = History(), []
    started = time.monotonic()
    try:
        async with asyncio.timeout(600):
            await _run(ground, chosen, outcome)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the other scenarios still run
        outcome.complaints.append(f"{type(error).__name__}: {error}")
        try:
            await ground.heal()
        except Exception as again:  # noqa: BLE001 - said, and the next scenario tries
            outcome.complaints.append(f"not healed: {again}")
    try:
        await _forget_dead_letters(ground)
    except (OSError, asyncpg.PostgresError) as error:
        outcome.complaints.append(f"dead letters remain: {error}")
    outcome.acknowledged = ground.history.acknowledged
    outcome.longest_seconds = round(ground.history.longest_seconds, 1)
    outcome.held = not outcome.complaints
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome


async def _forget_dead_letters(ground: Ground) -> None:
    """They were complained of; the next scenario begins without them."""
    async with ground.db() as db:
        for schema in invariants.SCHEMAS:
            await db.execute(
                f"update {schema}.dead_letters set status = 'DISCARDED', settled_at = now(), actor = 'faults',"
                " reason = 'left by a scenario' where status = 'OPEN'"
            )


async def _run(ground: Ground, chosen: Scenario, outcome: Outcome) -> None:
    load = Load(ground.fleet, ground.history, ground.spenders, chosen.per_second)
    loading = asyncio.create_task(load.run())
    try:
        await asyncio.sleep(BEFORE_SECONDS)
        began = time.monotonic()
        afterwards = await begin(ground, chosen.act)
        outcome.fault_seconds = round(time.monotonic() - began, 1)
        ended_at = datetime.now(UTC)
        await asyncio.sleep(AFTER_SECONDS)
    finally:
        load.stop()
        await loading
    stopped = time.monotonic()
    await ground.heal()
    try:
        await until_done(ground, chosen.quiet_seconds)
        outcome.quiet_seconds = round(time.monotonic() - stopped, 1)
    except TimeoutError as error:
        # What is not quiet is wrong already; the books say what else is.
        outcome.complaints.append(str(error))
    outcome.back_seconds = await _back_seconds(ground, ended_at)
    if afterwards is not None:
        await anext(afterwards, None)
        if outcome.quiet_seconds is not None:
            await until_done(ground, chosen.quiet_seconds)
    outcome.complaints += ground.complaints + await check(ground)


async def begin(ground: Ground, act: Act) -> AsyncIterator[None] | None:
    """Have the fault happen; what is left to do when the fleet is quiet, if anything."""
    doing = act(ground)
    if isinstance(doing, AsyncIterator):
        await anext(doing)
        return doing
    await doing
    return None


async def until_done(ground: Ground, seconds: float) -> None:
    """No webhook to come, nothing under way, and what was paid is granted. Raises TimeoutError."""
    ends = time.monotonic() + seconds
    while (await ground.fleet.sandbox("GET", "/control/stats")).data["webhooks"]["pending"]:
        if time.monotonic() > ends:
            raise TimeoutError("webhooks are still to come")
        await asyncio.sleep(0.3)
    if await _only_mails_wait(ground, ends):
        await _release_mails(ground)
        await invariants.until_quiet(ground.fleet.description, seconds)
    while await _ungranted(ground):
        # A lost webhook: the sweep finds the payment, or the last check complains.
        if time.monotonic() > ends:
            break
        await asyncio.sleep(0.5)
    await invariants.until_quiet(ground.fleet.description, seconds)


async def _only_mails_wait(ground: Ground, ends: float) -> bool:
    """Wait for quiet; True when nothing but mails is left, and has been for a while."""
    mails_alone_since = None
    while time.monotonic() < ends:
        try:
            await invariants.until_quiet(ground.fleet.description, 1)
            return False
        except TimeoutError:
            left = await invariants.waiting_for(ground.fleet.description)
        if set(left) != {"notifier.intents"}:
            mails_alone_since = None
        elif mails_alone_since is None:
            mails_alone_since = time.monotonic()
        elif time.monotonic() - mails_alone_since > MAILS_ALONE_SECONDS:
            return True
    await invariants.until_quiet(ground.fleet.description, 1)  # says what is left
    return False


async def _release_mails(ground: Ground) -> None:
    """A mail whose mark got lost is leased for two minutes; that is known, so it is not waited for each time."""
    ground.steps.note("mails wait for the lease of a worker that lost them: released")
    async with ground.db() as db:
        await db.execute("update notifier.intents set leased_until = now() where done_at is null")


async def check(ground: Ground) -> list[str]:
    """The books, then the history."""
    violations = await invariants.violations(ground.fleet.description)
    found = [f"{each.check}: {each.rows[:2]}" for each in violations]
    async with ground.db() as db:
        orders = (await ground.fleet.sandbox("GET", "/control/stats")).data["orders"]
        payments = await db.fetchval("select count(*) from payment.payments")
        if orders > payments:
            found.append(f"the gateway has {orders} orders for {payments} payments")
        deadlocks = await db.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
        if deadlocks > ground.deadlocks:
            found.append(f"PostgreSQL had to resolve {deadlocks - ground.deadlocks} deadlocks: {_deadlock(ground)}")
        ground.deadlocks = deadlocks
        return found + await history.complaints(ground.fleet, db, ground.history)


def _deadlock(ground: Ground) -> str:
    """Who waited for whom, by the server's log; without parameters, which it does not hold."""
    _, _, newest = (ground.layout.logs / "postgresql.log").read_text(errors="replace").rpartition("deadlock detected")
    return " ".join(newest[:2000].split())


async def _ungranted(ground: Ground) -> int:
    async with ground.db() as db:
        return int(
            await db.fetchval(
                "select count(*) from payment.payments where order_id = any($1) and paid_at is null",
                ground.history.paid_orders,
            )
        )


async def _back_seconds(ground: Ground, ended_at: datetime) -> float | None:
    async with ground.db() as db:
        granted_at = await _first_grant(db, ground.history, ended_at)
    return None if granted_at is None else round((granted_at - ended_at).total_seconds(), 1)


async def _first_grant(db: asyncpg.Connection, found: History, after: datetime) -> datetime | None:
    payment_ids = {created.order_id: created.payment_id for created in found.created}
    rows = await db.fetch(
        "select order_id from payment.payments where order_id = any($1) and created_at > $2", list(payment_ids), after
    )
    moment: datetime | None = await db.fetchval(
        "select min(created_at) from wallet.wallet_transactions where type = 'GRANT' and source_id = any($1)",
        [payment_ids[row["order_id"]] for row in rows],
    )
    return moment
