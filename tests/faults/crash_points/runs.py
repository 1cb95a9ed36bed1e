"""Run a use case once to see a service's effects, then once more for each of them, dying after it.

An effect is known by what it is and by how often that happened before, as what runs at once comes in another order each
time. Effects that show in a later run only are died of as well.

The supervisor starts the process again, clients repeat their request, and when the fleet is quiet the invariants, the
history and the use case itself are checked. Nothing else is restarted. Leases of the dead process are ended at once,
since how long they last is shown elsewhere.
"""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.faults import scenario
from tests.faults.crash_points import refunds  # noqa: F401 - its use cases register themselves
from tests.faults.crash_points.effects import Plan, arm, counted, disarm
from tests.faults.crash_points.use_cases import TOLERANCE_SECONDS, USE_CASES, UseCase
from tests.faults.environment import Environment
from tests.faults.history import History

SETTINGS = {"TOLERANCE_SECONDS": str(TOLERANCE_SECONDS), "SWEEP_AFTER_SECONDS": "3"}
QUIET_SECONDS = 60.0
# Longer than clients repeat a request.
POINT_SECONDS = 180.0
# What goes on in the background shows in any run, and need not show again.
TRIES_MAX = 2
AGAIN_MAX = 30


@dataclass(frozen=True)
class Asked:
    """How much of it is wanted."""

    minutes: float
    """No crash begins after so long."""
    pairs: int = 0
    """Instead of each effect by itself, so many pairs, drawn by the seed."""
    seed: int = 1


@dataclass
class Point:
    """One run: where the process died, and what was wrong afterwards."""

    after: str
    """The effect it was to die of; empty = of none."""
    again: int = 0
    """The number of the effect that its successor was to die of."""
    died_of: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Journey:
    """One service through one use case."""

    use_case: str
    service: str
    effects: list[str] = field(default_factory=list)
    """All that was seen, in the order in which it was first seen."""
    points: list[Point] = field(default_factory=list)
    finished: bool = False

    @property
    def deaths(self) -> list[Point]:
        return [point for point in self.points if point.died_of]

    @property
    def held(self) -> bool:
        return self.finished and not any(point.complaints for point in self.points)


def chosen(patterns: Sequence[str]) -> list[tuple[UseCase, str]]:
    """Use cases and services that a pattern matches; all without patterns."""
    known = [(use_case, service) for use_case in USE_CASES for service in use_case.services]
    return [
        (use_case, service)
        for use_case, service in known
        if not patterns
        or any(fnmatch(use_case.name, each) or fnmatch(f"{use_case.name}:{service}", each) for each in patterns)
    ]


async def run(
    environment: Environment, wanted: Sequence[tuple[UseCase, str]], asked: Asked, results: Path
) -> list[Journey]:
    """Every crash point of what is wanted, or so many pairs of them; what is known so far is written to *results*."""
    ends = time.monotonic() + asked.minutes * 60
    services = sorted({service for _, service in wanted})
    await environment.run_under({name: ("-m", "tests.faults.crash_points.effects", name) for name in services})
    environment.progress.done(f"{', '.join(services)} count their effects")
    journeys: list[Journey] = []
    for use_case, service in wanted:
        journey = Journey(use_case.name, service)
        journeys.append(journey)
        await _point(environment, use_case, service, Plan(), journey)
        environment.progress.note(f"{use_case.name}, {service}: {len(journey.effects)} effects")
        if not asked.pairs:
            await _exhaust(environment, use_case, journey, ends)
        _write(journeys, results)
    if asked.pairs:
        await _draw(environment, list(zip(wanted, journeys, strict=True)), asked, ends)
        _write(journeys, results)
    return journeys


async def _exhaust(environment: Environment, use_case: UseCase, journey: Journey, ends: float) -> None:
    """Die after each effect; the list grows while there are runs that show new ones."""
    for number, effect in enumerate(journey.effects, 1):
        for _ in range(TRIES_MAX):
            if time.monotonic() > ends:
                return
            environment.progress.note(f"{number} of {len(journey.effects)}")
            point = await _point(environment, use_case, journey.service, Plan(after=effect), journey)
            if point.died_of:
                break
    journey.finished = True


async def _draw(
    environment: Environment, known: Sequence[tuple[tuple[UseCase, str], Journey]], asked: Asked, ends: float
) -> None:
    """Die after one effect, and after another of the process that follows."""
    chance = random.Random(asked.seed)
    known = [each for each in known if each[1].effects]
    for _ in range(asked.pairs):
        if time.monotonic() > ends:
            return
        (use_case, service), journey = chance.choice(known)
        plan = Plan(after=chance.choice(journey.effects), again=chance.randint(1, AGAIN_MAX))
        await _point(environment, use_case, service, plan, journey)
    for _, journey in known:
        journey.finished = True


async def _point(environment: Environment, use_case: UseCase, service: str, plan: Plan, journey: Journey) -> Point:
    """One run of the use case; what came of it is added to the journey."""
    began = time.monotonic()
    point = Point(plan.after, plan.again)
    environment.history, environment.complaints = History(), []
    try:
        async with asyncio.timeout(POINT_SECONDS):
            point.complaints = await _lived_through(environment, use_case, service, plan)
    except Exception as error:  # noqa: BLE001 - said, and the other points still run
        point.complaints = [f"{type(error).__name__}: {error}", *environment.complaints]
        await environment.heal()
    finally:
        disarm(environment.layout.run_dir, service)
    effects = counted(environment.layout.run_dir, service)
    # A process that has ended died right after its last effect.
    alive = environment.state(service).pid
    point.died_of = [what for pid, what in dict(effects).items() if pid != alive]
    point.effects = [what for _, what in effects]
    point.seconds = round(time.monotonic() - began, 1)
    journey.effects += [what for pid, what in effects if pid == effects[0][0] and what not in journey.effects]
    journey.points.append(point)
    _say(environment, use_case, service, point)
    return point


def _say(environment: Environment, use_case: UseCase, service: str, point: Point) -> None:
    where = "died of " + ", and then of ".join(point.died_of) if point.died_of else "lived"
    if point.after and not point.died_of:
        where += f", for there was no {point.after}"
    say = environment.progress.failed if point.complaints else environment.progress.done
    say(f"{use_case.name}, {service}: {where} ({point.seconds:.0f} s)")
    for complaint in point.complaints:
        environment.progress.failed(f"    {complaint[:600]}")


async def _lived_through(environment: Environment, use_case: UseCase, service: str, plan: Plan) -> list[str]:
    """Do the use case while the process follows its plan; the checker's complaints."""
    act = use_case.act(environment)
    await anext(act)
    pid = (await asyncio.to_thread(environment.state, service)).pid
    arm(environment.layout.run_dir, service, Plan(pid, plan.after, plan.again))
    watching = asyncio.create_task(_let_go_when_dead(environment, service, pid))
    try:
        await anext(act)
        known = 0
        # The last effects come by themselves, marks and acknowledgements: it may die while it is waited for.
        while known != (now := (await asyncio.to_thread(environment.state, service)).pid):
            known = now
            await environment.until_ready(service)
            await scenario.until_done(environment, QUIET_SECONDS)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
    await anext(act, None)
    return environment.complaints + await scenario.check(environment)


async def _let_go_when_dead(environment: Environment, service: str, pid: int) -> None:
    """Each time the service's process is gone, end its leases before the next one begins to work."""
    while True:
        while psutil.pid_exists(pid):
            await asyncio.sleep(0.02)
        await environment.release(service)
        while (now := (await asyncio.to_thread(environment.state, service)).pid) in (0, pid):
            await asyncio.sleep(0.05)
        pid = now


def _write(journeys: Sequence[Journey], results: Path) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    content = [{**asdict(each), "held": each.held} for each in journeys]
    results.write_text(json.dumps(content, indent=2) + "\n")


def show(journeys: Sequence[Journey]) -> None:
    """The table, on the terminal."""
    table = Table("use case", "service", "effects", "deaths", "held", "longest", box=None, pad_edge=False)
    for each in journeys:
        wrong = [point for point in each.points if point.complaints]
        held = "yes" if each.held else f"NO: {len(wrong)} points" if wrong else "not finished"
        longest = max((point.seconds for point in each.points), default=0.0)
        table.add_row(
            each.use_case, each.service, str(len(each.effects)), str(len(each.deaths)), held, f"{longest:.0f} s"
        )
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)
    deaths = [point for each in journeys for point in each.deaths]
    console.print(f"{len(deaths)} deaths, {sum(bool(point.complaints) for point in deaths)} of them with consequences")
