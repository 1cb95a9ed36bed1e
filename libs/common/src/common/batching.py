"""Micro-batching for write endpoints: items that arrive during a flush form the next batch. Bounded.

A flush costs its statements however few items it holds, so under load batches start a few dozen milliseconds apart.
An item that arrives alone never waits.
"""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from itertools import islice
from typing import Final, Generic, TypeVar

from loguru import logger
from msgspec import Struct
from opentelemetry.trace import SpanKind

from common import context, telemetry
from common.clock import SYSTEM_CLOCK, Clock
from common.context import Context
from common.database import is_transient, sqlstate
from common.errors import DomainError, Overloaded, Unavailable, Unresolved

T = TypeVar("T")
R = TypeVar("R")

_SIZE = telemetry.histogram("batch_items", "Items of a flush", ["batcher"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
# Integrity violations: one item contradicts what is stored, the others deserve their own try.
_CONSTRAINT = "23"


class BatchingWindow(Struct, frozen=True):
    """How long a batch may wait for company, for batchers (below) and consumers (common.consuming) alike.

    Batches start at least *period_seconds* apart; with *items_enough* items the next one starts at once. Where it is
    known how many items are on their way, they are waited for instead, for at most *linger_seconds*.
    """

    period_seconds: float
    items_enough: int | None = None
    linger_seconds: float = 0.0

    def pause_seconds(self, last_started: float, now: float) -> float:
        """How long the next batch waits before it starts."""
        return max(0.0, last_started + self.period_seconds - now)

    def is_enough(self, items: int) -> bool:
        """Whether so many share the cost of a flush well enough."""
        return self.items_enough is not None and items >= self.items_enough


WINDOW: Final = BatchingWindow(period_seconds=0.06, items_enough=32, linger_seconds=0.01)
# For a batcher behind another one: its items come together already, and would wait a second time for little company.
NO_WINDOW: Final = BatchingWindow(period_seconds=0.0, items_enough=32, linger_seconds=0.01)


class DeadlinePassed(Unavailable):
    """The caller's time was over before the work began; nothing was done."""

    fix = "Send the same request again, with the same idempotency key and more time."


class OutcomeUnknown(Unresolved):
    """The infrastructure failed in the middle: it may have happened."""

    fix = "Send the same request again with the same idempotency key; it is answered by its key."


class _Waiting(Struct, Generic[T, R], frozen=True):
    item: T
    deadline: float | None
    future: asyncio.Future[R]
    context: Context


class Batcher(Generic[T, R]):
    """Collects items and flushes them together, one flush in flight.

    *flush* takes a list and returns a result or a DomainError for each item, in order; it wraps one transaction, or
    one call to a service of ours, never a call to a gateway. Two items with the same key fold into one. A constraint
    error makes the batch be tried singly; an infrastructure error fails all of it as OutcomeUnknown. A caller that goes
    away neither cancels the flush nor breaks it. The flush runs in the context of the one request that waits, or in
    one that links those of several (context.of_batch): what it needs of each rides on the item.
    *expected* tells how many items are on their way, where that is known. A *deadline* is a moment of *clock*'s
    monotonic time.
    """

    def __init__(
        self,
        flush: Callable[[list[T]], Awaitable[Sequence[R | DomainError]]],
        *,
        name: str,
        items_max: int = 128,
        waiting_max: int = 2000,
        expected: Callable[[], int] | None = None,
        window: BatchingWindow = WINDOW,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._window = window
        self._clock = clock
        self._flush = flush
        self._name = name
        self._items_max = items_max
        self._waiting_max = waiting_max
        self._queue: list[_Waiting[T, R]] = []
        self._by_key: dict[Hashable, asyncio.Future[R]] = {}
        self._flusher: asyncio.Task[None] | None = None
        self._expected = expected
        self._arrived = asyncio.Event()
        self._started, self._last_size = 0.0, 0
        self._size = _SIZE.of(name)

    async def submit(self, item: T, *, key: Hashable = None, deadline: float | None = None) -> R:
        """The item's own result. *deadline* is on `time.monotonic()`'s scale.

        Raises the item's DomainError; Overloaded when too much waits; DeadlinePassed; OutcomeUnknown.
        """
        future = self.offer(item, key=key, deadline=deadline)
        # Only a future with a key may have other callers, whom this one's cancellation must not reach.
        return await (future if key is None else asyncio.shield(future))

    def offer(self, item: T, *, key: Hashable = None, deadline: float | None = None) -> asyncio.Future[R]:
        """As `submit`, for who does not wait: the result to come. Raises Overloaded when too much waits."""
        future = self._by_key.get(key) if key is not None else None
        if future is None:
            if len(self._queue) >= self._waiting_max:
                raise Overloaded
            future = asyncio.get_running_loop().create_future()
            # Every caller may have gone away by the time it fails.
            future.add_done_callback(lambda failed: failed.cancelled() or failed.exception())
            if key is not None:
                self._by_key[key] = future
                future.add_done_callback(lambda _: self._by_key.pop(key, None))
            self._queue.append(_Waiting(item, deadline, future, context.current()))
            self._arrived.set()
            if self._flusher is None:
                self._flusher = asyncio.create_task(
                    self._run(), name=f"batcher:{self._name}", context=contextvars.Context()
                )
        return future

    async def drain(self) -> None:
        """Wait until no item waits."""
        while self._flusher is not None:
            await asyncio.wait([self._flusher])

    async def _run(self) -> None:
        # One turn of the loop, so that what arrived in the same tick travels together.
        await asyncio.sleep(0)
        try:
            while self._queue:
                await self._wait_for_company()
                batch, self._queue = self._queue[: self._items_max], self._queue[self._items_max :]
                await self._flush_batch(self._in_time(batch))
        finally:
            self._flusher = None

    async def _wait_for_company(self) -> None:
        if self._expected is not None:
            await self._linger(self._expected)
        elif self._last_size > 1 and not self._window.is_enough(len(self._queue)):
            await asyncio.sleep(self._window.pause_seconds(self._started, self._clock.monotonic()))
        self._started = self._clock.monotonic()
        self._last_size = len(self._queue)

    async def _linger(self, expected: Callable[[], int]) -> None:
        try:
            async with asyncio.timeout(self._window.linger_seconds):
                while expected() and not self._window.is_enough(len(self._queue)):
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            pass

    def _in_time(self, batch: list[_Waiting[T, R]]) -> list[_Waiting[T, R]]:
        now = self._clock.monotonic()
        kept = []
        for waiting in batch:
            if waiting.deadline is not None and waiting.deadline <= now:
                if not waiting.future.done():
                    waiting.future.set_exception(DeadlinePassed())
            else:
                kept.append(waiting)
        return kept

    async def _flush_batch(self, batch: list[_Waiting[T, R]]) -> None:
        if not batch:
            return
        self._size.observe(len(batch))
        with context.bind(context.of_batch([waiting.context for waiting in batch])):
            await self._flush_in_context(batch)

    async def _flush_in_context(self, batch: list[_Waiting[T, R]]) -> None:
        started_ns = time.time_ns()
        try:
            results = await self._flush([waiting.item for waiting in batch])
        except Exception as error:  # noqa: BLE001 - every caller gets an answer
            self._trace(batch, started_ns, failed=True)
            code = sqlstate(error)
            if len(batch) > 1 and code is not None and code.startswith(_CONSTRAINT):
                for waiting in batch:
                    await self._flush_batch([waiting])
                return
            self._fail(batch, error)
            return
        self._trace(batch, started_ns)
        assert len(results) == len(batch), f"{self._name} answered {len(results)} of {len(batch)} items"
        for waiting, result in zip(batch, results, strict=True):
            if waiting.future.done():
                continue
            if isinstance(result, DomainError):
                waiting.future.set_exception(result)
            else:
                waiting.future.set_result(result)

    def _trace(self, batch: list[_Waiting[T, R]], started_ns: int, *, failed: bool = False) -> None:
        """The span of a flush for several requests, linked to theirs. A flush for one is a part of its span."""
        traceparent = context.current().traceparent
        if traceparent == batch[0].context.traceparent or not (failed or telemetry.is_sampled(traceparent)):
            return
        origins = dict.fromkeys(waiting.context.traceparent for waiting in batch if waiting.context.traceparent)
        telemetry.record_span(
            f"{self._name} flush",
            traceparent,
            started_ns,
            time.time_ns(),
            kind=SpanKind.INTERNAL,
            attributes={"batch.items": len(batch)},
            links=list(islice(origins, context.LINKS_MAX)),
            failed=failed,
        )

    def _fail(self, batch: list[_Waiting[T, R]], error: Exception) -> None:
        if isinstance(error, DomainError):
            outcome: Exception = error
        elif is_transient(error):
            logger.bind(batcher=self._name, items=len(batch)).warning("flush failed: {}", type(error).__name__)
            outcome = OutcomeUnknown()
        else:
            logger.bind(batcher=self._name, items=len(batch)).opt(exception=error).error("flush raised")
            outcome = error
        for waiting in batch:
            if not waiting.future.done():
                waiting.future.set_exception(outcome)
