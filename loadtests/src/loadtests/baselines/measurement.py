"""Counts what is done within some seconds, and the CPU that it took."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from loadtests.processes import Processes


async def repeated(step: Callable[[], Awaitable[int]], concurrency: int, seconds: float) -> tuple[int, float]:
    """Do *step* over and over in *concurrency* tasks; how many things were done, and in how many seconds."""
    started = time.perf_counter()
    done = 0

    async def one() -> None:
        nonlocal done
        while time.perf_counter() - started < seconds:
            count = await step()  # on its own: `done +=` would read the old sum before it waits
            done += count

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(one())
    return done, time.perf_counter() - started


class Costed:
    """`async with Costed({"server": pid}) as costed`: afterwards, the CPU of each process while the block ran."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._processes = Processes(roots)
        self._spent: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        self._before = self._processes.snapshot()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._spent = self._processes.snapshot().since(self._before)

    def figures(self, done: int, seconds: float) -> dict[str, Any]:
        """`per_s`, and CPU-milliseconds each by process."""
        return {
            "per_s": done / seconds,
            "cpu_ms": {name: cpu * 1000 / done for name, cpu in self._spent.items()},
        }
