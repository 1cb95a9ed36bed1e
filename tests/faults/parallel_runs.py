"""Several fleets at once: each parallel run is a process of the harness with a folder and ports of its own.

A scenario mostly waits, so parallel runs take less time than one after the other. They share the machine: a time limit
that is missed here has to be measured again in a run by itself.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ops import stack
from ops.ports import ROOT
from tests.faults import report
from tests.faults.scenario import SCENARIOS, Outcome

# A fleet takes ports up to 71 above its base, and looks for another base in steps of 100 when one is taken.
PORTS_APART = 200
PROGRAM = (sys.executable, "-m", "tests.faults", "run")


def deal(names: Sequence[str], count: int) -> list[list[str]]:
    """Each run's share of the names, dealt in turns, because the long scenarios stand side by side."""
    shares = [list(names[number::count]) for number in range(count)]
    return [share for share in shares if share]


async def run(
    shares: Sequence[Sequence[str]], run_dir: Path, port_base: int, program: Sequence[str] = PROGRAM
) -> list[Outcome]:
    """Start *program* with each share's arguments at once; all outcomes, in the order of the scenarios.

    A run that ended early is red: what it had left to do has not been shown.
    """
    runs = []
    for number, words in enumerate(shares, 1):
        port_base = stack.free_port_base(port_base)
        runs.append(asyncio.create_task(_run(program, run_dir / "parallel-runs" / str(number), port_base, words)))
        port_base += PORTS_APART
    outcomes = [outcome for found in await asyncio.gather(*runs) for outcome in found]
    order = {name: number for number, name in enumerate(SCENARIOS)}
    return sorted(outcomes, key=lambda outcome: order.get(outcome.name, -1))


async def _run(program: Sequence[str], run_dir: Path, port_base: int, words: Sequence[str]) -> list[Outcome]:
    results = run_dir / report.results_file().name
    results.unlink(missing_ok=True)
    # A session of its own: an interrupt from the keyboard reaches the run through us, once.
    process = await asyncio.create_subprocess_exec(
        *(*program, *words),
        cwd=ROOT,
        env={**os.environ, "RUN_DIR": str(run_dir), "PORT_BASE": str(port_base)},
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    outcomes, finished = report.read(results)
    if not finished:
        name = f"parallel run {run_dir.name}"
        outcomes.append(Outcome(name, " ".join(words), "", complaints=[f"ended with {code} before its work was done"]))
    return outcomes
