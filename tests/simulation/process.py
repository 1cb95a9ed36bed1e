"""A process that can die at any await which leaves it, and the trace of what happened."""

import asyncio
from collections.abc import Callable
from typing import Any

from .faults import Faults
from .loop import OwnedTask, VirtualLoop


class Trace:
    """What happened, in order; kept only when a seed is replayed for a person."""

    def __init__(self, loop: VirtualLoop, *, wanted: bool) -> None:
        self._loop = loop
        self.wanted = wanted
        self.lines: list[str] = []

    def __call__(self, who: str, what: str, *details: object) -> None:
        if self.wanted:
            self.lines.append(f"{self._loop.time():9.4f} {who:<12} {what} {' '.join(map(str, details))}".rstrip())


class Process:
    """One incarnation of one service. What it holds in memory dies with it; stores and queues do not."""

    def __init__(
        self, name: str, loop: VirtualLoop, faults: Faults, trace: Trace, failures: list[BaseException]
    ) -> None:
        self.name = name
        self.loop = loop
        self.faults = faults
        self.trace = trace
        self.dead = False
        # What a role of ours failed with; shared by all incarnations.
        self.failures: list[BaseException] = failures
        self.on_death: list[Callable[[], None]] = []
        # A dict, because the order of a set would differ from run to run.
        self._tasks: dict[OwnedTask, None] = {}

    def adopt(self, task: OwnedTask) -> None:
        self._tasks[task] = None
        task.add_done_callback(self._gone)
        if self.dead:
            task.cancel()

    def start(self, coroutine: Any, *, role: bool = True) -> OwnedTask:
        """Run *coroutine* in this process. A *role* that fails ends the process, as the runtime does."""
        task = OwnedTask(coroutine, loop=self.loop)
        task.role = role
        task.owner = self
        self.adopt(task)
        return task

    def kill(self) -> None:
        """SIGKILL: nothing that it does from now on reaches anybody, and its connections close."""
        if self.dead:
            return
        self.dead = True
        self.trace(self.name, "KILLED")
        for tell in self.on_death:
            tell()
        for task in list(self._tasks):
            task.cancel()

    def _gone(self, task: OwnedTask) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None and task.role and not self.dead:
            self.trace(self.name, "a role failed:", repr(error))
            self.failures.append(error)
            self.kill()

    async def pause(self, longest_seconds: float = 0.004) -> None:
        """The way to another process: it takes a moment, and the process may be gone before it gets there."""
        self.alive()
        if self.faults.strikes("crash"):
            self.kill()
        await self.loop.arrival(self.faults.rng.random() * longest_seconds)
        self.alive()

    def alive(self) -> None:
        """Raises CancelledError in what is left of a process that was killed."""
        if self.dead:
            raise asyncio.CancelledError
