"""Effects on the outside world: executed between two transactions, again when unknown, recorded once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace

from common import ids
from common import intents as intents_module
from common.batching import OutcomeUnknown
from common.database import Database, Tx
from common.intents import Intent, Intents, RetryLater


class Outside:
    """A target that records its calls, and fails as it is set to."""

    def __init__(self) -> None:
        self.done: list[bytes] = []
        self.failures: list[Exception] = []
        self.recorded: list[tuple[bytes, str]] = []

    async def execute(self, intent: Intent) -> str:
        self.done.append(intent.payload)
        if self.failures:
            raise self.failures.pop(0)
        return f"attempt {intent.attempt}"

    async def record_outcome(self, tx: Tx, outcomes: Sequence[tuple[Intent, str]]) -> None:
        self.recorded += [(intent.payload, result) for intent, result in outcomes]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


async def pending(db: Database) -> int:
    async with db.begin() as tx:
        return int((await tx.execute("select count(*) from intents where done_at is null")).scalar() or 0)


async def none_pending(db: Database) -> bool:
    return await pending(db) == 0


async def test_an_intent_that_is_done_has_no_payload(db: Database) -> None:
    outside = Outside()
    outside.failures = [ConnectionError()]
    intents = Intents(db, "test", outside.execute, outside.record_outcome)
    async with db.begin() as tx:
        [intent] = await intents.record(tx, {ids.new(): b"for asha@example.in"}, leased=True)
    with pytest.raises(ConnectionError):
        await intents.execute(intent)
    for left in (b"for asha@example.in", b""):
        async with db.begin() as tx:
            assert (await tx.execute("select payload from intents")).scalar_one() == left
        if left:
            await intents.execute(intent)
    assert outside.recorded == [(b"for asha@example.in", "attempt 1")]


async def test_the_worker_executes_what_was_committed_and_nothing_else(db: Database) -> None:
    outside = Outside()
    intents = Intents(db, "test", outside.execute, outside.record_outcome)
    with pytest.raises(RuntimeError):
        async with db.begin() as tx:
            await intents.record(tx, {ids.new(): b"rolled back"})
            raise RuntimeError
    async with db.begin() as tx:
        await intents.record(tx, {ids.new(): b"one", ids.new(): b"two"})
    worker = asyncio.create_task(intents.run())
    await until(lambda: none_pending(db))
    intents.stop()
    await worker
    assert sorted(outside.recorded) == [(b"one", "attempt 1"), (b"two", "attempt 1")]


async def test_whoever_recorded_it_leased_executes_it_itself(db: Database) -> None:
    outside = Outside()
    intents = Intents(db, "test", outside.execute, outside.record_outcome)
    async with db.begin() as tx:
        [intent] = await intents.record(tx, {ids.new(): b"mine"}, leased=True)
    worker = asyncio.create_task(intents.run())
    await asyncio.sleep(0.7)
    assert outside.done == []
    assert await intents.execute(intent) == "attempt 1"
    intents.stop()
    await worker
    assert await pending(db) == 0
    assert outside.done == [b"mine"]


async def test_what_its_recorder_left_undone_is_the_workers_second_attempt(db: Database) -> None:
    outside = Outside()
    outside.failures = [TimeoutError()]
    intents = Intents(db, "test", outside.execute, outside.record_outcome)
    async with db.begin() as tx:
        [intent] = await intents.record(tx, {ids.new(): b"x"}, leased=True)
    with pytest.raises(TimeoutError):
        await intents.execute(intent)
    worker = asyncio.create_task(intents.run())
    await until(lambda: none_pending(db))
    intents.stop()
    await worker
    assert outside.recorded == [(b"x", "attempt 2")]


async def test_an_unknown_outcome_is_tried_again_and_never_recorded_as_failed(db: Database) -> None:
    outside = Outside()
    outside.failures = [TimeoutError(), RetryLater(0.1, "quota_exhausted")]
    intents = Intents(db, "test", outside.execute, outside.record_outcome)
    async with db.begin() as tx:
        await intents.record(tx, {ids.new(): b"x"})
    worker = asyncio.create_task(intents.run())
    await until(lambda: none_pending(db))
    intents.stop()
    await worker
    assert outside.done == [b"x"] * 3
    assert outside.recorded == [(b"x", "attempt 3")]


async def test_the_pauses_between_tries_grow_no_further_than_they_may(db: Database) -> None:
    outside = Outside()
    outside.failures = [TimeoutError()]
    intents = Intents(db, "test", outside.execute, outside.record_outcome, pause_seconds_max=15)
    async with db.begin() as tx:
        [intent] = await intents.record(tx, {ids.new(): b"x"}, leased=True)
    with pytest.raises(TimeoutError):
        await intents.execute(replace(intent, attempt=6))
    async with db.begin() as tx:
        pause = (await tx.execute("select due_at - now() from intents")).scalar_one()
    assert timedelta(seconds=11) < pause < timedelta(seconds=19)


async def test_a_worker_that_dies_loses_its_lease_and_another_carries_on(db: Database) -> None:
    outside = Outside()
    async with db.begin() as tx:
        await Intents(db, "test", outside.execute, outside.record_outcome).record(tx, {ids.new(): b"x"})
    dying = Intents(db, "test", outside.execute, outside.record_outcome, lease_seconds=0.5)
    assert len(await dying.lease(10)) == 1  # it leased the row, and dies here
    heir = Intents(db, "test", outside.execute, outside.record_outcome)
    assert await heir.lease(10) == []
    worker = asyncio.create_task(heir.run())
    await until(lambda: none_pending(db))
    heir.stop()
    await worker
    assert outside.recorded == [(b"x", "attempt 2")]


async def test_one_run_executes_what_is_due_to_its_end(db: Database) -> None:
    outside = Outside()
    outside.failures = [RetryLater(60, "quota_exhausted")]
    intents = Intents(db, "test", outside.execute, outside.record_outcome)
    async with db.begin() as tx:
        await intents.record(tx, {ids.new(): b"x", ids.new(): b"y"})
    assert await intents.run_once() == 2
    assert len(outside.recorded) == await pending(db) == 1
    assert await intents.run_once() == 0, "the other one is not due yet"


@pytest.mark.parametrize("times", [2, 20])
async def test_an_outcome_is_recorded_although_the_database_was_away(
    db: Database, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intents_module, "RECORD_PAUSES_SECONDS", (0.01, 0.02))
    outside = Outside()
    failures = iter([ConnectionResetError(), TimeoutError()] * (times // 2))

    async def record_outcome(tx: Tx, outcomes: Sequence[tuple[Intent, str]]) -> None:
        await outside.record_outcome(tx, outcomes)
        error = next(failures, None)
        if error is not None:
            raise error

    intents = Intents(db, "test", outside.execute, record_outcome)
    async with db.begin() as tx:
        [intent] = await intents.record(tx, {ids.new(): b"x"}, leased=True)
    assert await intents.execute(intent) == "attempt 1"
    assert await pending(db) == 0
    assert outside.done == [b"x"], "it is not executed again"


async def test_whoever_lost_the_lease_stops_recording(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intents_module, "RECORD_PAUSES_SECONDS", (0.05,))

    async def record_outcome(tx: Tx, outcomes: Sequence[tuple[Intent, str]]) -> None:
        raise ConnectionResetError

    intents = Intents(db, "test", Outside().execute, record_outcome, lease_seconds=0.3)
    async with db.begin() as tx:
        [intent] = await intents.record(tx, {ids.new(): b"x"}, leased=True)
    with pytest.raises(OutcomeUnknown):
        async with asyncio.timeout(5):
            await intents.execute(intent)
    assert await pending(db) == 1


async def test_what_was_done_long_ago_is_forgotten(db: Database) -> None:
    outside = Outside()
    intents = Intents(db, "test", outside.execute, outside.record_outcome)
    async with db.begin() as tx:
        [intent] = await intents.record(tx, {ids.new(): b"x"}, leased=True)
    await intents.execute(intent)
    await intents.forget(timedelta(days=1))
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from intents")).scalar() == 1
    await intents.forget(timedelta(0))
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from intents")).scalar() == 0


async def test_recording_again_does_not_wait_for_whoever_is_recording_outcomes(db: Database) -> None:
    """Who records an outcome has the intent and wants the aggregate; who records again has the aggregate."""
    outside = Outside()
    intents = Intents(db, "test", outside.execute, outside.record_outcome)
    known, fresh = ids.new(), ids.new()
    async with db.begin() as tx:
        await intents.record(tx, {known: b"known"})
    async with db.begin() as recording:
        await recording.execute("update intents set done_at = now() where intent_id = :id", id=known)
        async with asyncio.timeout(2), db.begin() as tx:
            recorded = await intents.record(tx, {known: b"known", fresh: b"fresh"}, again=True)
    assert {intent.id for intent in recorded} == {known, fresh}
    assert await pending(db) == 1
