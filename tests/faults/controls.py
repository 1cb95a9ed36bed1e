"""Negative controls: with one guard taken out the checker must go red, and green again when the guard is back.

What never failed proves nothing. No load runs: each guard is provoked by the smallest thing that needs it, on the whole
fleet, and judged by what judges the scenarios. The controls spoil the data, which is put back from a copy.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults import database_snapshot, mutate_and_run, scenario
from tests.faults.environment import Environment
from tests.faults.history import History
from tests.faults.triggers import CONTROLS, Control

__all__ = ["CONTROLS", "Control", "Verdict", "run", "show"]

# A fleet without a guard may never come to rest: that is one of the ways to go red.
RED_QUIET_SECONDS = 8.0
GREEN_QUIET_SECONDS = 60.0
# Long enough for anything but a hang.
HALF_SECONDS = 150.0


@dataclass
class Verdict:
    """What a control came to: held when the checker said what is expected without the guard, and nothing with it."""

    name: str
    service: str
    without: str
    held: bool = False
    red: list[str] = field(default_factory=list)
    """What the checker said without the guard."""
    said: str = ""
    """The part of it that was expected; empty when it was not said."""
    green: list[str] = field(default_factory=list)
    """What the checker said with the guard."""
    seconds: float = 0.0


def matching(patterns: Sequence[str]) -> list[Control]:
    """Those that a pattern matches; all without patterns."""
    return [each for each in CONTROLS if not patterns or any(fnmatch(each.name, pattern) for pattern in patterns)]


async def run(environment: Environment, chosen: Sequence[Control], results: Path) -> list[Verdict]:
    """Each control's two halves, one after the other; what is known so far is written to *results*."""
    await database_snapshot.copy(environment)
    verdicts = []
    for control in chosen:
        verdict = await _judge(environment, control)
        verdicts.append(verdict)
        say = environment.progress.done if verdict.held else environment.progress.failed
        say(f"{control.name}: {'red without, green with' if verdict.held else 'NOT PROVEN'} ({verdict.seconds:.0f} s)")
        _write(verdicts, results)
    return verdicts


def _write(verdicts: Sequence[Verdict], results: Path) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps([asdict(each) for each in verdicts], indent=2) + "\n")


async def _judge(environment: Environment, control: Control) -> Verdict:
    began = time.monotonic()
    without = control.without if isinstance(control.without, str) else control.without.without
    verdict = Verdict(control.name, control.service, without)
    async with _without(environment, control):
        verdict.red = await _half(environment, control, RED_QUIET_SECONDS)
        # Before the guard is back: it would still carry out what belongs to the spoilt data.
        await database_snapshot.put_back(environment)
    verdict.said = next((each for each in verdict.red if control.expected in each), "")
    _note(environment, f"without {control.name}: {'red' if verdict.said else 'NOT RED'}", verdict.red)
    async with _within(environment, control):
        verdict.green = await _half(environment, control, GREEN_QUIET_SECONDS)
    _note(environment, f"with {control.name}: {'NOT GREEN' if verdict.green else 'green'}", verdict.green)
    if verdict.green or control.second_guard:
        await database_snapshot.put_back(environment)
    verdict.held = bool(verdict.said) and not verdict.green
    verdict.seconds = round(time.monotonic() - began, 1)
    return verdict


def _note(environment: Environment, what: str, complaints: Sequence[str]) -> None:
    environment.progress.note(what)
    for complaint in complaints:
        environment.progress.note(f"    {complaint[:300]}")


@asynccontextmanager
async def _without(environment: Environment, control: Control) -> AsyncIterator[None]:
    """The fleet without the guard."""
    if isinstance(control.without, str):
        setting = control.without.partition(" ")[0]
        await _server(environment, f"alter system set {control.without}")
        try:
            yield
        finally:
            await _server(environment, f"alter system reset {setting}")
    else:
        async with _mutated(environment, control.service, without=control.without.name, window=control.window):
            yield


@asynccontextmanager
async def _within(environment: Environment, control: Control) -> AsyncIterator[None]:
    """The fleet with the guard, and with as wide a window as it had without."""
    if not control.window:
        yield
        return
    async with _mutated(environment, control.service, window=control.window):
        yield


@asynccontextmanager
async def _mutated(environment: Environment, service: str, **options: str) -> AsyncIterator[None]:
    await environment.command(service, *mutate_and_run.arguments(service, **options))
    try:
        yield
    finally:
        await environment.command(service)


async def _server(environment: Environment, statement: str) -> None:
    async with environment.db() as db:
        await db.execute(statement)
        await db.execute("select pg_reload_conf()")


async def _half(environment: Environment, control: Control, quiet_seconds: float) -> list[str]:
    """Provoke, wait for quiet, check: what the checker says. Never raises what went wrong on the way."""
    environment.history, environment.complaints = History(), []
    try:
        async with asyncio.timeout(HALF_SECONDS):
            if control.second_guard:
                async with environment.db() as db:
                    await db.execute(control.second_guard)
            return await _provoked(environment, control, quiet_seconds)
    except Exception as error:  # noqa: BLE001 - said, and the other controls still run
        with suppress(Exception):
            await environment.heal()
        return [f"{type(error).__name__}: {error}"]


async def _provoked(environment: Environment, control: Control, quiet_seconds: float) -> list[str]:
    complaints: list[str] = []
    afterwards = await scenario.begin(environment, control.provoke)
    try:
        try:
            await environment.heal()
            await scenario.until_done(environment, quiet_seconds)
        except TimeoutError as error:
            complaints.append(str(error))
        if afterwards is not None:
            await anext(afterwards, None)
    finally:
        if isinstance(afterwards, AsyncGenerator):
            await afterwards.aclose()
    return complaints + environment.complaints + await scenario.check(environment)


def show(verdicts: Sequence[Verdict]) -> None:
    """The table, on the terminal."""
    table = Table("guard", "taken from", "without it the checker says", "with it", "took", box=None, pad_edge=False)
    for each in verdicts:
        green = "NOT GREEN: " + each.green[0][:60] if each.green else "green"
        table.add_row(each.name, each.service, each.said[:90] or "NOT RED", green, f"{each.seconds:.0f} s")
    console = Console()
    (console if console.is_terminal else Console(width=170)).print(table)
