"""Each guard of common carries weight: with it a promise holds, without it the same steps break it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from aiormq.exceptions import PublishError
from pamqp.commands import Basic

from commdesk.payment.v1.events_pb2 import PaymentSyncRequested
from common import guards, ids, outbox, seals
from common.broker import Publisher, Receipt
from common.clock import SYSTEM_CLOCK
from common.consuming import Consumer
from common.database import Database, Tx, connect
from common.errors import Conflict, DomainError
from common.guards import ALL, Guard, Guards
from common.intents import Intent, Intents
from common.outbox import Outgoing
from common.queue_handler import QueueHandler
from common.relay import Relay
from common.subscriptions import Subscription
from common.testing import delivery

QUEUE = "payment.processing"


class NotYet(Conflict):
    fix = "wait"


class Recorder:
    """Stands where the Publisher does; confirms everything."""

    def __init__(self) -> None:
        self.published: list[UUID] = []

    async def publish(self, rows: Sequence[Outgoing]) -> Receipt:
        self.published += [row.envelope_id for row in rows]
        if rows:
            await asyncio.sleep(1)
        return Receipt([row.envelope_id for row in rows])

    publish_singly = publish


def _row(envelope_id: UUID) -> Outgoing:
    return Outgoing(envelope_id, "payment.exchange", "payment.success", True, "t", b"")


async def both(database_url: str, guard: Guard, steps: Any) -> tuple[Any, Any]:
    """What *steps(db)* returns with the guard and without it."""
    outcomes = []
    for in_place in (Guards.all(), Guards.all().without(guard)):
        async with connect(database_url, service="payment", sealer=seals.generated(), guards=in_place) as db:
            outcomes.append(await steps(db))
    return outcomes[0], outcomes[1]


def handler(db: Database, handled: list[Any], error: DomainError | None = None) -> QueueHandler:
    async def handle(tx: Tx, events: Sequence[Any]) -> list[DomainError | None]:
        handled.extend(events)
        return [error for _ in events]

    return QueueHandler(db, QUEUE, [Subscription(QUEUE, PaymentSyncRequested, lambda each: each, handle)], (100,))


async def outbox_rows(db: Database) -> list[Any]:
    async with db.begin() as tx:
        return list(await tx.execute("select * from outbox order by envelope_id"))


async def test_the_inbox_lets_an_envelope_through_once(database_url: str) -> None:
    async def deliver_twice(db: Database) -> int:
        handled: list[Any] = []
        arrived = delivery([PaymentSyncRequested(payment_id="pay_1")])
        await handler(db, handled).work([arrived])
        await handler(db, handled).work([arrived])
        return len(handled)

    assert await both(database_url, guards.INBOX_CLAIM, deliver_twice) == (1, 2)


async def test_a_redelivered_event_has_fresh_headers(database_url: str) -> None:
    async def refuse(db: Database) -> bool:
        arrived = delivery([PaymentSyncRequested(payment_id="pay_1")])
        arrived.headers = {"x-death": "inherited"}
        await handler(db, [], NotYet()).work([arrived])
        return "x-death" in str((await outbox_rows(db))[-1].headers)

    assert await both(database_url, guards.FRESH_HEADERS, refuse) == (False, True)


async def test_announcements_are_written_with_what_they_announce(database_url: str) -> None:
    async def announce(db: Database) -> int:
        before = len(await outbox_rows(db))
        async with db.begin() as tx:
            await outbox.append(tx, [PaymentSyncRequested(payment_id="pay_1")])
        return len(await outbox_rows(db)) - before

    assert await both(database_url, guards.OUTBOX, announce) == (1, 0)


async def test_nothing_is_published_before_its_commit(database_url: str) -> None:
    async def order(db: Database) -> list[str]:
        steps: list[str] = []
        engine = db.engine

        class Watched:
            @asynccontextmanager
            async def begin(self) -> AsyncIterator[Any]:
                async with engine.begin() as connection:
                    yield connection
                steps.append("committed")

        db.engine = Watched()  # type: ignore[assignment]
        db.on_commit = lambda rows: steps.append("published")
        async with db.begin() as tx:
            await outbox.append(tx, [PaymentSyncRequested(payment_id="pay_1")])
        return steps

    assert await both(database_url, guards.PUBLISH_AFTER_COMMIT, order) == (
        ["committed", "published"],
        ["published", "committed"],
    )


async def test_two_sweepers_do_not_publish_one_row(database_url: str) -> None:
    async def sweep_together(db: Database) -> int:
        async with db.begin() as tx:
            await tx.execute("delete from outbox")
        row = Outgoing(
            ids.lower_bound(SYSTEM_CLOCK.now().replace(year=2025)),
            "payment.exchange",
            "payment.success",
            True,
            "t",
            b"",
        )
        async with db.begin() as tx:
            await outbox.append_rows(tx, [row])
        publisher: Any = Recorder()
        await asyncio.gather(*(Relay(db, publisher).run_once() for _ in range(2)))
        return len(publisher.published)

    with_it, without = await both(database_url, guards.OUTBOX_LEASE, sweep_together)
    assert with_it == 1
    assert without > 1


async def test_the_sweeper_publishes_what_was_left_behind(database_url: str) -> None:
    async def sweep(db: Database) -> int:
        async with db.begin() as tx:
            await tx.execute("delete from outbox")
        row = Outgoing(
            ids.lower_bound(SYSTEM_CLOCK.now().replace(year=2025)),
            "payment.exchange",
            "payment.success",
            True,
            "t",
            b"",
        )
        async with db.begin() as tx:
            await outbox.append_rows(tx, [row])
        publisher: Any = Recorder()
        return await Relay(db, publisher).run_once()

    assert await both(database_url, guards.SWEEPER, sweep) == (1, 0)


async def test_an_intent_is_executed_by_one_worker_at_a_time(database_url: str) -> None:
    async def lease_twice(db: Database) -> int:
        async def execute(intent: Intent) -> None: ...

        async def record_outcome(tx: Tx, outcomes: Sequence[tuple[Intent, None]]) -> None: ...

        async with db.begin() as tx:
            await tx.execute("delete from intents")
        workers: list[Intents[None]] = [Intents(db, "test", execute, record_outcome) for _ in range(2)]
        async with db.begin() as tx:
            await workers[0].record(tx, {ids.new(): b"x"})
        return sum([len(await worker.lease(10)) for worker in workers])

    assert await both(database_url, guards.INTENT_LEASE, lease_twice) == (1, 2)


# ── Without engines ──────────────────────────────────────────────────────────────────────────────────────────────


class Channel:
    """A broker's channel that returns what is mandatory, confirms nothing else, and notes acks."""

    is_closed = False

    def __init__(self, steps: list[str]) -> None:
        self.steps = steps
        self.close_callbacks: set[Any] = set()
        self.on_consumer_cancel_callbacks: set[Any] = set()

    async def close(self) -> None: ...

    async def get_underlay_channel(self) -> "Channel":
        return self

    async def basic_publish(self, body: bytes, *, mandatory: bool, **_: Any) -> None:
        if mandatory:
            raise PublishError(SimpleNamespace(delivery=Basic.Return()), None)  # type: ignore[arg-type]

    async def basic_qos(self, *, prefetch_count: int) -> None: ...

    async def basic_consume(self, queue: str, take: Callable[[Any], Awaitable[None]]) -> Any:
        properties = SimpleNamespace(headers={}, message_id="one", user_id=None)
        delivered = Basic.Deliver(consumer_tag="c", delivery_tag=1, redelivered=False, exchange="", routing_key=queue)
        await take(SimpleNamespace(header=SimpleNamespace(properties=properties), body=b"", delivery=delivered))
        return SimpleNamespace(consumer_tag="c")

    async def basic_cancel(self, consumer_tag: str) -> None: ...

    async def basic_ack(self, tag: int, *, multiple: bool) -> None:
        self.steps.append("acknowledged")


class Connection:
    def __init__(self, steps: list[str] | None = None) -> None:
        self.opened = Channel(steps if steps is not None else [])

    async def channel(self, *, confirms: bool, timeout_seconds: float = 5.0) -> Channel:
        return self.opened


@pytest.mark.parametrize("guard", [guards.MANDATORY, guards.MARK_CONFIRMED_ONLY])
async def test_what_no_queue_is_bound_for_is_not_published(guard: Guard) -> None:
    row = _row(ids.new())
    connection: Any = Connection()
    assert (await Publisher(connection).publish([row])).confirmed == []
    unguarded = Publisher(connection, guards=Guards.all().without(guard))
    assert (await unguarded.publish([row])).confirmed == [row.envelope_id]


async def test_messages_are_acknowledged_after_they_were_handled() -> None:
    for in_place, order in (
        (Guards.all(), ["handled", "acknowledged"]),
        (Guards.all().without(guards.ACK_AFTER_COMMIT), ["acknowledged", "handled"]),
    ):
        steps: list[str] = []

        async def work(deliveries: Sequence[Any], steps: list[str] = steps) -> None:
            steps.append("handled")

        connection: Any = Connection(steps)
        consumer = Consumer(connection, QUEUE, work, guards=in_place)
        task = asyncio.create_task(consumer.run())
        async with asyncio.timeout(5):
            while len(steps) < 2:
                await asyncio.sleep(0.01)
        consumer.stop()
        await asyncio.wait([task])
        assert steps == order


async def test_a_role_that_waits_on_a_stuck_connection_fails_and_does_not_end() -> None:
    """The client library cancels every waiter on such a connection."""

    class Cancelling(Channel):
        async def get_underlay_channel(self) -> "Channel":
            raise asyncio.CancelledError

    async def work(deliveries: Sequence[Any]) -> None: ...

    for in_place, ends in ((Guards.all(), False), (Guards.all().without(guards.CONNECTION_LOSS), True)):
        connection: Any = Connection()
        connection.opened = Cancelling([])
        consumer = Consumer(connection, QUEUE, work, guards=in_place)
        task = asyncio.create_task(consumer.run())
        done, _ = await asyncio.wait([task], timeout=0.2)
        assert bool(done) is ends
        consumer.stop()
        await asyncio.wait([task])


def test_guards_are_taken_away_by_name() -> None:
    in_place = Guards.all().without(guards.ROW_LOCK)
    assert not in_place.has(guards.ROW_LOCK)
    assert all(in_place.has(guard) for guard in ALL if guard is not guards.ROW_LOCK)
    assert Guards.all().has(guards.ROW_LOCK)
    assert {guards.named(guard.name) for guard in ALL} == set(ALL)
    assert len({guard.name for guard in ALL}) == len(ALL)
    with pytest.raises(KeyError):
        guards.named("nothing of ours")
