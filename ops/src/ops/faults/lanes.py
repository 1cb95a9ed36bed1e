"""Several fleets at once, each a lane: a process of the harness with a folder and ports of its own.

A scenario mostly waits, so that lanes beside one another take less time than one after the other. They share the
machine: a bound on time that is missed here is to be looked at again in a lane by itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ops import stack
from ops.faults import report
from ops.faults.scenario import SCENARIOS, Outcome

# A fleet takes ports up to 71 above its base, and looks for another base in steps of 100 when one is taken.
PORTS_APART = 200


def deal(names: Sequence[str], count: int) -> list[list[str]]:
    """Each lane's share: turn and turn about, for the long ones stand side by side."""
    shares = [list(names[number::count]) for number in range(count)]
    return [share for share in shares if share]


async def run(shares: Sequence[Sequence[str]], run_dir: Path, port_base: int) -> list[Outcome]:
    """`commdesk faults` with each share's words beside one another; all outcomes, in the order of the scenarios.

    A lane that did not come to its end is red: whatever it had left to do has not been shown.
    """
    lanes = []
    for number, words in enumerate(shares, 1):
        port_base = stack.free_port_base(port_base)
        lanes.append(asyncio.create_task(_lane(run_dir / "lanes" / str(number), port_base, words)))
        port_base += PORTS_APART
    outcomes = [outcome for found in await asyncio.gather(*lanes) for outcome in found]
    order = {name: number for number, name in enumerate(SCENARIOS)}
    return sorted(outcomes, key=lambda outcome: order.get(outcome.name, -1))


async def _lane(run_dir: Path, port_base: int, words: Sequence[str]) -> list[Outcome]:
    results = run_dir / report.results_file().name
    results.unlink(missing_ok=True)
    # A session of its own: an interrupt from the keyboard reaches the lane through us, once.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, sys.argv[0], "faults", *words),
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
        name = f"lane {run_dir.name}"
        outcomes.append(Outcome(name, " ".join(words), "", complaints=[f"ended with {code} before its work was done"]))
    return outcomes
