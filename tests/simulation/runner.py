"""Many seeds in two processes. A module of its own, because a spawned process cannot import a package's `__main__`."""

import gc
import time
from collections.abc import Iterator
from multiprocessing import get_context

from .planted import Planted
from .simulate import simulate

PROCESSES = 2
CHUNK = 100


def _chunk(work: tuple[int, int, str]) -> tuple[int, list[str]]:
    """The violations among the seeds from the first to the second, which is not included."""
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
