"""A few seconds of simulation, and proof that the checker goes red when a guard is taken away.

`make simulate` runs more; a seed that fails here is replayed by `python -m tests.simulation --replay <seed>`.
"""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.guards import Guard

from .simulate import PRODUCT, SHOWN, simulate

ROOT = Path(__file__).resolve().parents[2]
SCHEDULES = 150
# The issue allows 10,000. Each is found within 50, which keeps this quick; more seeds would hide a blunted checker.
FOUND_WITHIN = 500


@pytest.fixture(autouse=True)
def _collect_at_the_end() -> Iterator[None]:
    """A schedule makes many cycles and lives for milliseconds: collecting once is cheaper."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("first", [0, 150])
def test_nothing_is_lost_or_doubled_in_any_schedule(first: int) -> None:
    violations = [found for seed in range(first, first + SCHEDULES) if (found := simulate(seed))]
    assert not violations, "\n\n".join(map(str, violations[:3]))


@pytest.mark.parametrize("guard", SHOWN, ids=lambda guard: guard.name)
def test_a_missing_guard_is_found(guard: Guard) -> None:
    in_place = PRODUCT.without(guard)
    # Red without the guard and green with it: what was found is its absence.
    assert any(simulate(seed, in_place) and not simulate(seed) for seed in range(FOUND_WITHIN))


def command(*arguments: str) -> str:
    line = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(line, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False).stdout


def test_the_same_seed_is_the_same_schedule_in_every_process() -> None:
    """Each in a process of its own: in a long one the memory layout orders what asyncio keeps in sets."""
    traces = {}
    for seed in ("3", "36"):
        traces[seed] = command("--replay", seed)
        assert "no more faults" in traces[seed]
        assert command("--replay", seed) == traces[seed]
    assert traces["3"] != traces["36"]


def test_many_seeds_run_in_processes_of_their_own() -> None:
    printed = command("--seeds", "10", "--without", "intent_lease")
    assert "seed 2, faults: " in printed
    assert "a minute" in printed
