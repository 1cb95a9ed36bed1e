"""A scenario as data, how one is run, and what comes of it."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import asyncpg

from common.services import SCHEMAS
from ops import invariants
from tests.faults import history, recovery, resources
from tests.faults.dead_letters import discard
from tests.faults.environment import Environment, forget_rules
from tests.faults.history import History
from tests.faults.invariant_watch import watched
from tests.faults.load import Load
from tests.faults.quiescence import until_done
from tests.faults.recovery import Recovery

__all__ = ["SCENARIOS", "Act", "Outcome", "Scenario", "add", "begin", "check", "run", "scenario", "until_done"]

PER_SECOND = 10.0
BEFORE_SECONDS = 2.0
# The load goes on until purchases are prompt again, for so long at least and at most.
AFTER_SECONDS = 3.0
AFTER_SECONDS_MAX = 45.0
PROMPT_IN_A_ROW = 8
# Longer than the lease of a gateway call whose mark got lost, the sweep's pause and the retry schedule.
QUIET_SECONDS = 120.0
SCENARIO_SECONDS_MAX = 600

Act = Callable[[Environment], Awaitable[None] | AsyncIterator[None]]


@dataclass(frozen=True)
class Scenario:
    """One disaster under load.

    *act* does it and undoes it, and says through `environment.expect` what it misses. An act that yields does so when
    its fault is over, and goes on when the fleet is quiet.
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
    full_rate_seconds_max: float | None = None
    """Not at full rate again so soon after the fault is a complaint."""
    drain_ratio_min: float | None = None
    """Draining the backlog more slowly, in arrival rates, is a complaint."""
    needs: Callable[[], str] = lambda: ""
    """Why this machine cannot do it; empty when it can."""


@dataclass
class Outcome:
    """What a scenario came to; times in seconds, those of a recovery as in `Recovery`."""

    name: str
    does: str
    must: str
    held: bool = False
    skipped: str = ""
    """Why it was not run here: it neither held nor failed."""
    complaints: list[str] = field(default_factory=list)
    acknowledged: int = 0
    fault_seconds: float = 0.0
    back_seconds: float | None = None
    full_rate_seconds: float | None = None
    backlog: int = 0
    drained_seconds: float | None = None
    drain_ratio: float | None = None
    quiet_seconds: float | None = None
    """From the end of the load until nothing was under way."""
    longest_seconds: float = 0.0
    """The longest that anybody waited for a final answer."""
    seconds: float = 0.0


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


async def run(environment: Environment, chosen: Scenario) -> Outcome:
    """Load, the fault in the middle of it, load, quiet, checks. Never raises what the scenario raised."""
    outcome = Outcome(chosen.name, chosen.does, chosen.must, skipped=chosen.needs())
    if outcome.skipped:
        return outcome
    environment.history, environment.complaints = History(), []
    started = time.monotonic()
    try:
        async with asyncio.timeout(SCENARIO_SECONDS_MAX):
            await _run(environment, chosen, outcome)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the other scenarios still run
        outcome.complaints.append(f"{type(error).__name__}: {error}")
        try:
            await environment.heal()
        except Exception as again:  # noqa: BLE001 - said, and the next scenario tries
            outcome.complaints.append(f"not healed: {again}")
    try:
        await _forget_dead_letters(environment)
    except (OSError, asyncpg.PostgresError) as error:
        outcome.complaints.append(f"dead letters remain: {error}")
    outcome.acknowledged = environment.history.acknowledged
    outcome.longest_seconds = round(environment.history.longest_seconds, 1)
    outcome.held = not outcome.complaints
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome


async def _forget_dead_letters(environment: Environment) -> None:
    """They were complained of; the next scenario begins without them."""
    for schema in SCHEMAS:
        await discard(environment, schema, "left by a scenario")


async def _run(environment: Environment, chosen: Scenario, outcome: Outcome) -> None:
    load = Load(environment.fleet, environment.history, environment.spenders, chosen.per_second, environment.refusals)
    loading = asyncio.create_task(load.run())
    async with watched(environment) as seen:
        try:
            await asyncio.sleep(BEFORE_SECONDS)
            began_at = datetime.now(UTC)
            afterwards = await begin(environment, chosen.act)
            ended_at = datetime.now(UTC)
            await _until_prompt(environment, began_at, ended_at)
        finally:
            load.stop()
            await loading
    outcome.complaints += seen
    outcome.fault_seconds = round((ended_at - began_at).total_seconds(), 1)
    stopped = time.monotonic()
    await environment.heal()
    try:
        await until_done(environment, chosen.quiet_seconds)
        outcome.quiet_seconds = round(time.monotonic() - stopped, 1)
    except TimeoutError as error:
        # What is not quiet is wrong already; the invariants say what else is.
        outcome.complaints.append(str(error))
    _judge(outcome, chosen, await _measured(environment, began_at, ended_at))
    if afterwards is not None:
        await anext(afterwards, None)
        if outcome.quiet_seconds is not None:
            await until_done(environment, chosen.quiet_seconds)
    outcome.complaints += environment.complaints + await check(environment)


async def begin(environment: Environment, act: Act) -> AsyncIterator[None] | None:
    """Have the fault happen; what is left to do when the fleet is quiet, if anything."""
    forget_rules()
    doing = act(environment)
    afterwards = doing if isinstance(doing, AsyncIterator) else None
    await (anext(afterwards) if afterwards is not None else cast(Awaitable[None], doing))
    # Rules that nobody lifted would go on until the last client has its answer, and keep it from getting one.
    await environment.lift()
    return afterwards


async def check(environment: Environment) -> list[str]:
    """The invariants, then the history, then what the processes hold."""
    violations = await invariants.violations(environment.fleet.description)
    found = [f"{each.check}: {each.rows[:2]}" for each in violations]
    async with environment.db() as db:
        orders = (await environment.fleet.sandbox("GET", "/control/stats")).data[
            "orders"
        ] - environment.orders_of_others
        payments = await db.fetchval("select count(*) from payment.payments")
        if orders > payments:
            found.append(f"the gateway has {orders} orders for {payments} payments")
        deadlocks = await db.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
        if deadlocks > environment.deadlocks:
            found.append(
                f"PostgreSQL had to resolve {deadlocks - environment.deadlocks} deadlocks: {_deadlock(environment)}"
            )
        environment.deadlocks = deadlocks
        found += await history.complaints(environment.fleet, db, environment.history)
    return found + resources.grown(environment.baseline, await environment.holding())


def _deadlock(environment: Environment) -> str:
    """Who waited for whom, by the server's log; without parameters, which it does not hold."""
    _, _, newest = (
        (environment.layout.logs / "postgresql.log").read_text(errors="replace").rpartition("deadlock detected")
    )
    return " ".join(newest[:2000].split())


async def _until_prompt(environment: Environment, began_at: datetime, ended_at: datetime) -> None:
    """Until the last few purchases whose time is up were all prompt; give up after a while."""
    ends = time.monotonic() + AFTER_SECONDS_MAX
    await asyncio.sleep(AFTER_SECONDS)
    while time.monotonic() < ends:
        try:
            async with environment.db() as db:
                made = await recovery.purchases(db, environment.history)
        except (OSError, asyncpg.PostgresError):
            made = []
        due = datetime.now(UTC) - recovery.PROMPT
        latest = [each for each in made if ended_at <= each.asked_at <= due][-PROMPT_IN_A_ROW:]
        if len(latest) == PROMPT_IN_A_ROW and all(each.prompt() for each in latest):
            return
        await asyncio.sleep(0.5)


async def _measured(environment: Environment, began_at: datetime, ended_at: datetime) -> Recovery:
    async with environment.db() as db:
        return recovery.measured(await recovery.purchases(db, environment.history), began_at, ended_at)


def _judge(outcome: Outcome, chosen: Scenario, found: Recovery) -> None:
    """Take the figures over, and complain of those that are out of bounds."""
    for name, figure in vars(found).items():
        setattr(outcome, name, figure)
    limit, ratio = chosen.full_rate_seconds_max, chosen.drain_ratio_min
    if limit is not None and (found.full_rate_seconds is None or found.full_rate_seconds > limit):
        outcome.complaints.append(f"full rate after {found.full_rate_seconds} s, not within {limit:g} s")
    if ratio is not None and (found.drain_ratio is None or found.drain_ratio < ratio):
        outcome.complaints.append(
            f"a backlog of {found.backlog} drained at {found.drain_ratio} times the arrival rate, not {ratio:g}"
        )
