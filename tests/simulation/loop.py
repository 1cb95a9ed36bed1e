"""An event loop without a world outside: time is a number, and the seed chooses what runs next."""

import asyncio
import heapq
import random
from asyncio import base_events
from collections import deque
from collections.abc import Coroutine
from datetime import datetime
from typing import Any

from common.events import from_micros

# Far from now and round, so that a simulated moment is recognised in a trace.
EPOCH_SECONDS = 1_800_000_000
TURNS_MAX = 60_000


class Livelock(Exception):
    """The schedule ran for more turns of the loop than any honest one needs."""


class VirtualLoop(base_events.BaseEventLoop):
    """Runs what is ready in an order that *rng* chooses; when nothing is, time jumps to the next timer."""

    # BaseEventLoop's own, which typeshed does not tell.
    _ready: deque[asyncio.Handle]
    _scheduled: list[Any]
    _timer_cancelled_count: int
    _stopping: bool

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.virtual_seconds = 0.0
        self._rng = rng
        self._turns = 0
        # What arrives when, by (time, number): timers without a handle, because a schedule is made of them.
        self._arrivals: list[tuple[float, int, asyncio.Future[None]]] = []
        self._departed = 0
        self.set_task_factory(owned_task)  # type: ignore[arg-type]

    def time(self) -> float:
        return self.virtual_seconds

    def start_anew(self) -> None:
        """Allow as many turns as at the beginning."""
        self._turns = 0

    def arrival(self, seconds: float) -> "asyncio.Future[None]":
        """Done in *seconds*: asyncio.sleep for those who know what they do."""
        arrives = self.create_future()
        self._departed += 1
        heapq.heappush(self._arrivals, (self.virtual_seconds + seconds, self._departed, arrives))
        return arrives

    def _run_once(self) -> None:
        ready, timers, arrivals = self._ready, self._scheduled, self._arrivals
        if not ready and (timers or arrivals):
            soonest = arrivals[0][0] if arrivals else timers[0]._when
            if timers and timers[0]._when < soonest:
                soonest = timers[0]._when
            if soonest > self.virtual_seconds:
                self.virtual_seconds = soonest
        while arrivals and arrivals[0][0] <= self.virtual_seconds:
            arrives = heapq.heappop(arrivals)[2]
            if not arrives.done():
                arrives.set_result(None)
        while timers and timers[0]._when <= self.virtual_seconds:
            handle = heapq.heappop(timers)
            handle._scheduled = False
            if handle._cancelled:
                self._timer_cancelled_count -= 1
            else:
                ready.append(handle)
        self._turns += 1
        if self._turns > TURNS_MAX:
            raise Livelock(f"{self._turns} turns of the loop and no end")
        if not (ready or timers or arrivals or self._stopping):
            raise Livelock("everybody waits for somebody")
        turn = list(ready)
        ready.clear()
        if len(turn) > 1:
            self._rng.shuffle(turn)
        for handle in turn:
            if not handle._cancelled:
                handle._run()

    def _process_events(self, event_list: Any) -> None:
        """There are none: nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector that would have to be woken."""

    def run_in_executor(self, *args: Any) -> Any:  # type: ignore[override]
        raise RuntimeError("a thread would not be deterministic")


class OwnedTask(asyncio.Task[Any]):
    """A task of one simulated process, or of the world (None); children belong to whom their parent does."""

    owner: Any = None
    # Its failure ends the process; that of a request does not.
    role = False


def owned_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], context: Any = None) -> OwnedTask:
    task = OwnedTask(coroutine, loop=loop, context=context)
    owner = getattr(asyncio.current_task(loop), "owner", None)
    if owner is not None:
        task.owner = owner
        owner.adopt(task)
    return task


class VirtualClock:
    """`common.clock.Clock` by the loop's time, on the epoch's scale."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.monotonic = loop.time

    def now(self) -> datetime:
        return from_micros(self.time_ns() // 1_000)

    def time_ns(self) -> int:
        return EPOCH_SECONDS * 1_000_000_000 + int(self.monotonic() * 1_000_000) * 1_000
