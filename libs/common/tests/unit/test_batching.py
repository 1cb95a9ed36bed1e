"""Batches form by themselves, are bounded, and one item's trouble stays its own."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from common.batching import (
    NO_WINDOW,
    WINDOW,
    Batcher,
    BatchingWindow,
    DeadlinePassed,
    OutcomeUnknown,
)
from common.errors import DomainError, NotFound, Overloaded

# One pause of it is longer than a test that makes none takes on the slowest machine.
LONG_WINDOW = BatchingWindow(period_seconds=90, items_enough=32)
NO_PAUSE_SECONDS = 60


class Recorder:
    """Doubles numbers, refuses negative ones, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def flush(self, items: list[int]) -> Sequence[int | DomainError]:
        self.batches.append(list(items))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [item * 2 if item >= 0 else NotFound() for item in items]


async def test_what_arrives_during_a_flush_is_the_next_batch() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.flush, name="test", items_max=10)
    recorder.gate.clear()
    first = asyncio.create_task(batcher.submit(0))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(batcher.submit(number)) for number in range(1, 16)]
    await asyncio.sleep(0.01)
    recorder.gate.set()
    assert await asyncio.gather(first, *rest) == [number * 2 for number in range(16)]
    assert recorder.batches == [[0], list(range(1, 11)), list(range(11, 16))]


async def spaced(batcher: Batcher[int, int], items: int, seconds: float) -> None:
    """Submit *items*, one every so many seconds, and wait for all."""
    waiting = []
    for number in range(items):
        waiting.append(asyncio.create_task(batcher.submit(number)))
        await asyncio.sleep(seconds)
    await asyncio.gather(*waiting)


async def test_those_who_come_several_at_a_time_gather() -> None:
    """Without the pause each of these would be a flush of its own."""
    recorder = Recorder()
    batcher = Batcher(recorder.flush, name="test")
    await asyncio.gather(batcher.submit(-1), batcher.submit(-2), return_exceptions=True)
    await spaced(batcher, 20, WINDOW.period_seconds / 10)
    assert sum(map(len, recorder.batches)) == 22
    assert len(recorder.batches) <= 8


async def test_who_comes_alone_never_waits() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.flush, name="test", window=LONG_WINDOW)
    async with asyncio.timeout(NO_PAUSE_SECONDS):
        for number in range(20):  # one caller, who asks again as soon as it is answered
            await batcher.submit(number)
    assert len(recorder.batches) == 20


async def test_those_who_come_together_from_one_batcher_do_not_wait_at_the_next() -> None:
    recorder = Recorder()
    behind = Batcher(recorder.flush, name="test", window=NO_WINDOW)
    for _ in range(20):
        await asyncio.gather(*(behind.submit(number) for number in range(5)))
    assert list(map(len, recorder.batches)) == [5] * 20
    assert NO_WINDOW.pause_seconds(last_started=1.0, now=1.0) == 0


async def test_a_crowd_never_waits() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.flush, name="test", items_max=32, window=LONG_WINDOW)
    async with asyncio.timeout(NO_PAUSE_SECONDS):
        await asyncio.gather(*(batcher.submit(number) for number in range(20 * 32)))
    assert len(recorder.batches) == 20


async def test_those_who_are_expected_are_waited_for_a_little() -> None:
    recorder = Recorder()
    expected = 3
    patient = BatchingWindow(period_seconds=0, linger_seconds=NO_PAUSE_SECONDS)
    batcher = Batcher(recorder.flush, name="test", expected=lambda: expected, window=patient)

    async def come(number: int) -> int:
        nonlocal expected
        await asyncio.sleep(0.001 * number)
        expected -= 1
        return await batcher.submit(number)

    assert await asyncio.gather(*(come(number) for number in (1, 2, 3))) == [2, 4, 6]
    assert recorder.batches == [[1, 2, 3]]
    expected = 1  # and never comes
    batcher = Batcher(recorder.flush, name="test", expected=lambda: expected)
    async with asyncio.timeout(NO_PAUSE_SECONDS):
        assert await batcher.submit(4) == 8


async def test_an_item_that_is_refused_fails_alone() -> None:
    batcher = Batcher(Recorder().flush, name="test")
    outcomes = await asyncio.gather(*(batcher.submit(item) for item in (1, -1, 2)), return_exceptions=True)
    assert outcomes[0] == 2 and outcomes[2] == 4
    assert isinstance(outcomes[1], NotFound)


async def test_two_items_with_one_key_fold_into_one() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.flush, name="test")
    assert await asyncio.gather(batcher.submit(1, key="k"), batcher.submit(1, key="k")) == [2, 2]
    assert recorder.batches == [[1]]
    assert await batcher.submit(1, key="k") == 2
    assert len(recorder.batches) == 2


async def test_more_than_may_wait_is_refused_at_once() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder.flush, name="test", items_max=1, waiting_max=2)
    waiting = []
    for number in range(3):
        waiting.append(asyncio.create_task(batcher.submit(number)))
        await asyncio.sleep(0.01)
    with pytest.raises(Overloaded):
        await batcher.submit(9)
    recorder.gate.set()
    assert await asyncio.gather(*waiting) == [0, 2, 4]


async def test_a_caller_that_goes_away_neither_cancels_the_flush_nor_breaks_it() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder.flush, name="test")
    gone, stays = asyncio.create_task(batcher.submit(1)), asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    assert await stays == 4
    assert recorder.batches == [[1, 2]]


async def test_a_caller_that_went_away_before_its_deadline_passed_breaks_no_flush() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder.flush, name="test")
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.01)
    gone = asyncio.create_task(batcher.submit(2, deadline=time.monotonic()))
    stays = asyncio.create_task(batcher.submit(3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    assert await asyncio.gather(first, stays) == [2, 6]
    assert recorder.batches == [[1], [3]]


async def test_one_of_two_callers_of_a_key_may_go_away() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder.flush, name="test")
    gone, stays = (asyncio.create_task(batcher.submit(1, key="one")) for _ in range(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    assert await stays == 2
    assert gone.cancelled()


async def test_an_item_past_its_deadline_is_dropped_before_the_flush() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder.flush, name="test")
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.01)
    late = asyncio.create_task(batcher.submit(2, deadline=time.monotonic() + 0.01))
    await asyncio.sleep(0.03)
    recorder.gate.set()
    assert await first == 2
    with pytest.raises(DeadlinePassed):
        await late
    assert recorder.batches == [[1]]


async def test_infrastructure_that_fails_leaves_the_outcome_unknown_for_all() -> None:
    recorder = Recorder()
    recorder.error = ConnectionResetError()
    batcher = Batcher(recorder.flush, name="test")
    outcomes = await asyncio.gather(batcher.submit(1), batcher.submit(2), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown, OutcomeUnknown]
    recorder.error = None
    assert await batcher.submit(3) == 6


class _UniqueViolation(Exception):
    sqlstate = "23505"


async def test_a_constraint_error_makes_the_batch_be_tried_singly() -> None:
    tried: list[list[int]] = []

    async def flush(items: list[int]) -> list[int]:
        tried.append(list(items))
        if 2 in items:
            raise _UniqueViolation
        return items

    batcher = Batcher(flush, name="test")
    outcomes = await asyncio.gather(*(batcher.submit(item) for item in (1, 2, 3)), return_exceptions=True)
    assert outcomes[0] == 1 and outcomes[2] == 3
    assert isinstance(outcomes[1], _UniqueViolation)
    assert tried == [[1, 2, 3], [1], [2], [3]]


async def test_drain_waits_until_nothing_waits() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.flush, name="test")
    waiting = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)
    await batcher.drain()
    assert recorder.batches == [[1]]
    await waiting
