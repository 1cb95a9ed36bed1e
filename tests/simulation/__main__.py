"""python -m tests.simulation: run many seeds in two processes, or replay one.

python -m tests.simulation --seeds 100000
python -m tests.simulation --seeds 10000 --plant inbox_claim     stops at the first violation
python -m tests.simulation --replay 4711                         prints the trace
"""

import argparse
import dataclasses
import gc
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context

PROCESSES = 2
CHUNK = 100


def _chunk(work: tuple[int, int, str]) -> tuple[int, list[str]]:
    """The violations among the seeds from the first to the second, which is not included."""
    from .planted import Planted
    from .simulate import simulate

    first, end, plant = work
    planted = Planted(**{plant: True}) if plant else Planted()
    # A schedule makes many cycles and lives for milliseconds: collecting once a chunk is cheaper.
    gc.disable()
    found = [str(violation) for seed in range(first, end) if (violation := simulate(seed, planted))]
    gc.collect()
    return end - first, found


def _chunks(first: int, seeds: int, plant: str) -> Iterator[tuple[int, int, str]]:
    for start in range(first, first + seeds, CHUNK):
        yield start, min(start + CHUNK, first + seeds), plant


def run(first: int, seeds: int, plant: str) -> int:
    """Run the seeds and print what was found; how many violated something."""
    started, done, violated = time.monotonic(), 0, 0
    with get_context("spawn").Pool(PROCESSES) as pool:
        for count, found in pool.imap_unordered(_chunk, _chunks(first, seeds, plant)):
            done += count
            violated += len(found)
            for text in found[:10]:
                print(text, end="\n\n")
            if done % 1_000 < count or done == seeds or (plant and found):
                minutes = (time.monotonic() - started) / 60
                print(f"{done:>8} schedules, {violated} violations, {done / minutes:,.0f} a minute", flush=True)
            if plant and found:
                break
    return violated


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Simulated schedules, by seed.")
    parser.add_argument("--seeds", type=int, default=20_000, help="how many schedules")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--replay", type=int, help="run this seed alone and print its trace")
    parser.add_argument("--plant", default="", help="a bug to plant, see planted.py")
    asked = parser.parse_args()
    if asked.replay is None:
        return 1 if run(asked.first, asked.seeds, asked.plant) else 0

    from .planted import Planted
    from .simulate import simulate

    planted = dataclasses.replace(Planted(), **{asked.plant: True}) if asked.plant else Planted()
    violation = simulate(asked.replay, planted, traced=True, keep=True)
    assert violation is not None, "`keep` always answers"
    print(*violation.trace, str(violation), "" if violation.found else "Everything held.", sep="\n")
    return 1 if violation.found else 0


if __name__ == "__main__":
    # Texts hash alike in every run, or sets of them would be walked in another order.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
