"""`commdesk faults` and `commdesk faults-controls`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from ops import layout, stack
from ops.faults import scenario, scenarios
from ops.faults.ground import Ground, open_ground
from ops.faults.scenario import SCENARIOS, Outcome, Scenario
from ops.steps import Steps

PORT_BASE = 28000
COLUMNS = (
    *("scenario", "holds", "acknowledged", "fault"),
    *("back after", "full rate after", "longest wait", "quiet after"),
)

Names = Annotated[list[str] | None, typer.Argument(help="Scenarios, or patterns: 'C*', 'R68-*'. Without any, all.")]
R = TypeVar("R")

__all__ = ["faults", "faults_controls", "scenarios"]


def register(app: typer.Typer) -> None:
    """Add these commands to the operator's command line."""
    app.command()(faults)
    app.command("faults-controls")(faults_controls)
    app.command("crash-points")(crash_points)


def faults(
    names: Names = None,
    list_only: Annotated[bool, typer.Option("--list", help="Say what there is, and run nothing.")] = False,
    minutes: Annotated[float, typer.Option(help="Random combinations for so long.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed, the same combinations.")] = 1,
) -> None:
    """Break a fleet of its own in every way there is, and check that nothing was lost or done twice."""
    chosen = matching(list(SCENARIOS.values()), names or [])
    if list_only:
        for each in chosen:
            typer.echo(f"{each.name}\n    {each.does}\n    → {each.must}")
        return
    if minutes:
        from ops.faults.chance import run as run_at_random

        _finish(_with_ground(lambda ground: run_at_random(ground, minutes, seed)), f"minutes={minutes:g} seed={seed}")
        return

    async def one_by_one(ground: Ground) -> list[Outcome]:
        outcomes = []
        for each in chosen:
            outcomes.append(await scenario.run(ground, each))
            say(ground.steps, outcomes[-1])
            write(outcomes, "scenarios")
        return outcomes

    _finish(_with_ground(one_by_one), "scenarios")


def faults_controls(names: Names = None) -> None:
    """Take one guard out at a time: the checker must go red, and green again when the guard is back."""
    from ops.faults import controls

    chosen = controls.matching(names or [])
    results = layout.from_environment().run_dir / "faults-controls.json"
    verdicts = _with_ground(lambda ground: controls.run(ground, chosen, results))
    controls.show(verdicts)
    held = sum(each.held for each in verdicts)
    typer.echo(f"{held} of {len(verdicts)} are red without and green with; {results}")
    raise typer.Exit(0 if verdicts and held == len(verdicts) else 1)


def crash_points(
    only: Annotated[list[str] | None, typer.Option(help="Use case, or use-case:service; patterns.")] = None,
    minutes: Annotated[float, typer.Option(help="Begin no further crash after so long.")] = 40,
    pairs: Annotated[int, typer.Option(help="Instead: so many pairs of crashes, drawn by the seed.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed, the same pairs.")] = 1,
) -> None:
    """Kill each service after each effect that leaves it, use case by use case, and check."""
    from ops.faults.crashing import points

    results = layout.from_environment().run_dir / "crash-points.json"
    os.environ.update(points.SETTINGS)
    asked = points.Asked(minutes, pairs, seed)
    journeys = _with_ground(lambda ground: points.run(ground, points.chosen(only or []), asked, results))
    points.show(journeys)
    typer.echo(str(results))
    raise typer.Exit(0 if journeys and all(each.held for each in journeys) else 1)


def matching(known: Sequence[Scenario], patterns: Sequence[str]) -> list[Scenario]:
    """Those that a pattern matches; all without patterns. Raises BadParameter for a pattern that matches none."""
    for pattern in patterns:
        if not any(fnmatch(each.name, pattern) for each in known):
            raise typer.BadParameter(f"no scenario is called {pattern}; --list names them")
    return [each for each in known if not patterns or any(fnmatch(each.name, pattern) for pattern in patterns)]


def say(steps: Steps, outcome: Outcome) -> None:
    """One line for a scenario, and one for each complaint."""
    if outcome.skipped:
        steps.note(f"{outcome.name}: not run here, {outcome.skipped}")
        return
    known = ", ".join(
        (
            f"{outcome.acknowledged} acknowledged",
            f"back {_seconds(outcome.back_seconds)}",
            f"full rate {_seconds(outcome.full_rate_seconds)}",
            f"longest wait {_seconds(outcome.longest_seconds)}",
            f"quiet {_seconds(outcome.quiet_seconds)}",
        )
    )
    (steps.done if outcome.held else steps.failed)(f"{outcome.name}: {known}{_drained(outcome)}")
    for complaint in outcome.complaints:
        steps.failed(f"    {complaint[:600]}")


def results_file() -> Path:
    return layout.from_environment().run_dir / "faults.json"


def write(outcomes: Sequence[Outcome], what: str) -> None:
    """Keep what is known so far."""
    file = results_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"what": what, "held": not _broken(outcomes), "outcomes": [vars(each) for each in outcomes]}
    file.write_text(json.dumps(content, indent=2) + "\n")


def _with_ground(work: Callable[[Ground], Awaitable[R]]) -> R:
    """Run *work* on a fresh fleet; interrupted or not, the fleet is taken down."""

    async def run() -> R:
        _cancelled_by_sigterm()
        run_dir = layout.from_environment().run_dir / "faults"
        base = stack.free_port_base(int(os.environ.get("PORT_BASE", PORT_BASE)))
        async with open_ground(run_dir, base, Steps()) as ground:
            return await work(ground)

    try:
        return asyncio.run(run())
    except stack.StackFailed as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except asyncio.CancelledError:
        typer.echo(f"interrupted; what is known so far is in {results_file()}", err=True)
        raise typer.Exit(130) from None


def _cancelled_by_sigterm() -> None:
    """The first SIGTERM ends the work, further ones do not keep the fleet from being taken down."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def cancel() -> None:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, cancel)


def _finish(outcomes: Sequence[Outcome], what: str) -> None:
    write(outcomes, what)
    columns = (
        "scenario",
        "holds",
        "acknowledged",
        "fault",
        "back after",
        "full rate after",
        "longest wait",
        "quiet after",
    )
    table = Table(*columns, box=None, pad_edge=False)
    for each in outcomes:
        table.add_row(
            each.name,
            "not run" if each.skipped else "yes" if each.held else "NO",
            str(each.acknowledged),
            _seconds(each.fault_seconds),
            _seconds(each.back_seconds),
            _seconds(each.full_rate_seconds),
            _seconds(each.longest_seconds),
            _seconds(each.quiet_seconds),
        )
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)
    for each in outcomes:
        if each.drain_ratio is not None:
            typer.echo(f"{each.name}{_drained(each)}")
    broken, ran = _broken(outcomes), [each for each in outcomes if not each.skipped]
    typer.echo(f"{len(ran) - len(broken)} of {len(ran)} hold; {results_file()}")
    raise typer.Exit(1 if broken else 0)


def _broken(outcomes: Sequence[Outcome]) -> list[str]:
    return [each.name for each in outcomes if not each.held and not each.skipped]


def _drained(outcome: Outcome) -> str:
    if outcome.drain_ratio is None:
        return ""
    took = f"{_seconds(outcome.drained_seconds)} at {outcome.drain_ratio} times the arrival rate"
    return f", a backlog of {outcome.backlog} drained in {took}"


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"
