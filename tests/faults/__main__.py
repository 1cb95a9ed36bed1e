"""`python -m tests.faults run`, `controls` and `crash-points`: what `make faults` and its sisters run."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from fnmatch import fnmatch
from typing import Annotated, Any, TypeVar

import typer

import tests.faults.scenarios  # noqa: F401 - registers the scenarios
from ops import stack
from ops.ports import Layout
from ops.progress import Progress
from tests.faults import parallel_runs, report, scenario
from tests.faults.environment import Environment, open_environment
from tests.faults.scenario import SCENARIOS, Outcome, Scenario

PORT_BASE = 28000

Names = Annotated[list[str] | None, typer.Argument(help="Scenarios, or patterns: 'C*', 'R68-*'. Without any, all.")]
R = TypeVar("R")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command("run")
def run_scenarios(
    names: Names = None,
    list_only: Annotated[bool, typer.Option("--list", help="Say what there is, and run nothing.")] = False,
    minutes: Annotated[float, typer.Option(help="Random combinations for so long.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed, the same combinations.")] = 1,
    fleets: Annotated[
        int, typer.Option("--lanes", help="How many fleets at once; with --minutes, each takes the next seed.")
    ] = 1,
) -> None:
    """Break a fleet of its own in every way there is, and check that nothing was lost or done twice."""
    chosen = matching(list(SCENARIOS.values()), names or [])
    if list_only:
        for each in chosen:
            typer.echo(f"{each.name}\n    {each.does}\n    → {each.must}")
        return
    if fleets > 1:
        if minutes:
            shares = [["--minutes", f"{minutes:g}", "--seed", str(seed + number)] for number in range(fleets)]
        else:
            shares = parallel_runs.deal([each.name for each in chosen], fleets)
        _finish(
            _in_parallel(shares), f"parallel runs={fleets}" + (f" minutes={minutes:g} seed={seed}" if minutes else "")
        )
        return
    if minutes:
        from tests.faults.random_runs import run as run_at_random

        _finish(
            _with_environment(lambda environment: run_at_random(environment, minutes, seed)),
            f"minutes={minutes:g} seed={seed}",
        )
        return

    async def one_by_one(environment: Environment) -> list[Outcome]:
        outcomes = []
        for each in chosen:
            outcomes.append(await scenario.run(environment, each))
            report.say(environment.progress, outcomes[-1])
            report.write(outcomes, "scenarios")
        return outcomes

    _finish(_with_environment(one_by_one), "scenarios")


@app.command("controls")
def run_controls(names: Names = None) -> None:
    """Take one guard out at a time: the checker must go red, and green again when the guard is back."""
    from tests.faults import controls

    chosen = controls.matching(names or [])
    results = Layout.from_environment().run_dir / "faults-controls.json"
    verdicts = _with_environment(lambda environment: controls.run(environment, chosen, results))
    controls.show(verdicts)
    held = sum(each.held for each in verdicts)
    typer.echo(f"{held} of {len(verdicts)} are red without and green with; {results}")
    raise typer.Exit(0 if verdicts and held == len(verdicts) else 1)


@app.command("crash-points")
def run_crash_points(
    only: Annotated[list[str] | None, typer.Option(help="Use case, or use-case:service; patterns.")] = None,
    minutes: Annotated[float, typer.Option(help="Begin no further crash after so long.")] = 40,
    pairs: Annotated[int, typer.Option(help="Instead: so many pairs of crashes, drawn by the seed.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed, the same pairs.")] = 1,
) -> None:
    """Kill each service after each effect that leaves it, use case by use case, and check."""
    from tests.faults.crash_points import runs

    results = Layout.from_environment().run_dir / "crash-points.json"
    os.environ.update(runs.SETTINGS)
    asked = runs.Asked(minutes, pairs, seed)
    journeys = _with_environment(lambda environment: runs.run(environment, runs.chosen(only or []), asked, results))
    runs.show(journeys)
    typer.echo(str(results))
    raise typer.Exit(0 if journeys and all(each.held for each in journeys) else 1)


def matching(known: Sequence[Scenario], patterns: Sequence[str]) -> list[Scenario]:
    """Those that a pattern matches; all without patterns. Raises BadParameter for a pattern that matches none."""
    for pattern in patterns:
        if not any(fnmatch(each.name, pattern) for each in known):
            raise typer.BadParameter(f"no scenario is called {pattern}; --list names them")
    return [each for each in known if not patterns or any(fnmatch(each.name, pattern) for pattern in patterns)]


def _with_environment(work: Callable[[Environment], Awaitable[R]]) -> R:
    """Run *work* on a fresh fleet; interrupted or not, the fleet is taken down."""

    async def run() -> R:
        _cancelled_by_sigterm()
        run_dir = Layout.from_environment().run_dir / "faults"
        base = stack.free_port_base(int(os.environ.get("PORT_BASE", PORT_BASE)))
        async with open_environment(run_dir, base, Progress()) as environment:
            return await work(environment)

    return _interruptible(run())


def _interruptible(work: Coroutine[Any, Any, R]) -> R:
    try:
        return asyncio.run(work)
    except stack.StackFailed as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except asyncio.CancelledError:
        typer.echo(f"interrupted; what is known so far is in {report.results_file()}", err=True)
        raise typer.Exit(130) from None


def _in_parallel(shares: Sequence[Sequence[str]]) -> list[Outcome]:
    async def run() -> list[Outcome]:
        _cancelled_by_sigterm()
        run_dir = Layout.from_environment().run_dir
        return await parallel_runs.run(shares, run_dir, int(os.environ.get("PORT_BASE", PORT_BASE)))

    return _interruptible(run())


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
    report.write(outcomes, what, finished=True)
    report.show(outcomes)
    raise typer.Exit(1 if report.broken(outcomes) else 0)


if __name__ == "__main__":
    app()
