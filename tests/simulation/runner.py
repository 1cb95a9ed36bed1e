"""Many seeds in two processes. A module of its own, because a spawned process cannot import a package's `__main__`."""

import gc
import time
from collections.abc import Iterator
from multiprocessing import get_context

from common import guards

from .simulate import PRODUCT, simulate

PROCESSES = 2
CHUNK = 100


def _chunk(work: tuple[int, int, str]) -> tuple[int, list[str]]:
    """The violations among the seeds from the first to the second, which is not included."""
    first, end, missing = work
    in_place = PRODUCT.without(guards.named(missing)) if missing else PRODUCT
    # A schedule makes many cycles and lives for milliseconds: collecting once a chunk is cheaper.
    gc.disable()
    found = [str(violation) for seed in range(first, end) if (violation := simulate(seed, in_place))]
    gc.collect()
    return end - first, found


def _chunks(first: int, seeds: int, missing: str) -> Iterator[tuple[int, int, str]]:
    for start in range(first, first + seeds, CHUNK):
        yield start, min(start + CHUNK, first + seeds), missing


def run(first: int, seeds: int, missing: str) -> int:
    """Run the seeds and print what was found; how many violated something."""
    started, done, violated = time.monotonic(), 0, 0
    with get_context("spawn").Pool(PROCESSES) as pool:
        for count, found in pool.imap_unordered(_chunk, _chunks(first, seeds, missing)):
            done += count
            violated += len(found)
            for text in found[:10]:
                print(text, end="\n\n")
            if done % 1_000 < count or done == seeds or (missing and found):
                minutes = (time.monotonic() - started) / 60
                print(f"{done:>8} schedules, {violated} violations, {done / minutes:,.0f} a minute", flush=True)
            if missing and found:
                break
    return violated
