"""What scenarios came to: said as they go, as a table, and in the files `faults.json` and `faults.md`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ops.ports import Layout
from ops.progress import Progress
from tests.faults.scenario import Outcome

COLUMNS = ("scenario", "holds", "acknowledged", "fault", "back", "full rate", "longest wait", "quiet")


def results_file() -> Path:
    return Layout.from_environment().run_dir / "faults.json"


def say(progress: Progress, outcome: Outcome) -> None:
    """One line for a scenario, and one for each complaint."""
    if outcome.skipped:
        progress.note(f"{outcome.name}: not run here, {outcome.skipped}")
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
    (progress.done if outcome.held else progress.failed)(f"{outcome.name}: {known}{_drained(outcome)}")
    for complaint in outcome.complaints:
        progress.failed(f"    {complaint[:600]}")


def write(outcomes: Sequence[Outcome], what: str, *, finished: bool = False) -> None:
    """Keep what is known so far."""
    file = results_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "what": what,
        "finished": finished,
        "held": finished and not broken(outcomes),
        "outcomes": [asdict(each) for each in outcomes],
    }
    file.write_text(json.dumps(content, indent=2) + "\n")
    file.with_suffix(".md").write_text(markdown(outcomes))


def read(file: Path) -> tuple[list[Outcome], bool]:
    """What `write` kept, and whether that was all; nothing where it never got that far."""
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        return [], False
    return [Outcome(**each) for each in content["outcomes"]], content["finished"]


def show(outcomes: Sequence[Outcome]) -> None:
    """The table and the sum of it, on the terminal."""
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for each in outcomes:
        table.add_row(*_row(each))
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)
    for each in outcomes:
        if each.drain_ratio is not None:
            print(f"{each.name}{_drained(each)}")
    ran = [each for each in outcomes if not each.skipped]
    print(f"{len(ran) - len(broken(outcomes))} of {len(ran)} hold; {results_file()}")


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The same for a page, with what is done and what must hold."""
    columns = (COLUMNS[0], "what is done", "what must hold", *COLUMNS[1:])
    rows = [columns, ("---",) * len(columns)]
    for each in outcomes:
        name, *figures = _row(each)
        rows.append((name, each.does, each.must, *figures))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def broken(outcomes: Sequence[Outcome]) -> list[str]:
    return [each.name for each in outcomes if not each.held and not each.skipped]


def _row(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.name,
        "not run" if outcome.skipped else "yes" if outcome.held else "NO",
        str(outcome.acknowledged),
        _seconds(outcome.fault_seconds),
        _seconds(outcome.back_seconds),
        _seconds(outcome.full_rate_seconds),
        _seconds(outcome.longest_seconds),
        _seconds(outcome.quiet_seconds),
    )


def _drained(outcome: Outcome) -> str:
    if outcome.drain_ratio is None:
        return ""
    took = f"{_seconds(outcome.drained_seconds)} at {outcome.drain_ratio} times the arrival rate"
    return f", a backlog of {outcome.backlog} drained in {took}"


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"
