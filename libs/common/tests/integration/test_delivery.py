"""Outbox to inbox over a real broker: what a handler does, refuses or raises, and what becomes of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aio_pika import DeliveryMode, Message

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.fraud.v1.events_pb2 import FraudDecided, FraudFlagged
from commdesk.payment.v1.events_pb2 import PaymentSyncRequested
from common import admission, broker, dead_letters, outbox
from common.broker import BrokerConnection, Publisher
from common.consuming import Consumer
from common.database import Database, Tx
from common.envelopes import Delivery
from common.errors import DomainError, FailedPrecondition, Unavailable
from common.guards import INBOX_CLAIM, Guards
from common.queue_handler import QueueHandler
from common.relay import Relay
from common.seals import SealBroken
from common.subscriptions import Subscription
from common.testing import RETRY_SCHEDULE_MS
from common.topology import CONTRACT

QUEUE = "payment.processing"


class NotYet(FailedPrecondition):
    fix = "wait"


@pytest.fixture(autouse=True)
async def effects(owner_url: str) -> None:
    """A table that shows how often each event took effect; no key protects it, only the machinery may."""
    owner = await asyncpg.connect(owner_url)
    await owner.execute("create table effects (payment_id text not null); grant select, insert on effects to payment")
    await owner.close()


async def apply(tx: Tx, events: Sequence[PaymentSyncRequested]) -> None:
    await tx.execute(
        "insert into effects select unnest(cast(:ids as text[]))", ids=[event.payment_id for event in events]
    )


async def counts(db: Database) -> dict[str, int]:
    async with db.begin() as tx:
        rows = await tx.execute("select payment_id, count(*) as times from effects group by 1")
        return {row.payment_id: row.times for row in rows}


@asynccontextmanager
async def running(
    db: Database,
    url: str,
    handle: Callable[..., Awaitable[Any]],
    decode: Callable[[PaymentSyncRequested], Any] = lambda message: message,
) -> AsyncIterator[Relay]:
    """A relay, a consumer of the queue and the keeper of its dead letters, as the runtime starts them."""
    async with BrokerConnection(url, "test:publish") as publishing, BrokerConnection(url, "test:consume") as consuming:
        relay = Relay(db, Publisher(publishing, user_id="payment"))
        db.on_commit = relay.announce
        subscription = Subscription(QUEUE, PaymentSyncRequested, decode, handle)
        handler = QueueHandler(db, QUEUE, [subscription], RETRY_SCHEDULE_MS)
        home = admission.of_queue(CONTRACT.queue(QUEUE), verifies_user=True)
        dead = admission.of_dead_letters(CONTRACT.queue(QUEUE), verifies_user=True)
        consumers = [
            Consumer(consuming, QUEUE, admission.GenuineOnly(db, home, handler.work).work),
            Consumer(consuming, dead.name, admission.GenuineOnly(db, dead, partial(dead_letters.keep, db, QUEUE)).work),
        ]
        tasks = [asyncio.create_task(each.run()) for each in consumers] + [asyncio.create_task(relay.run())]
        try:
            yield relay
        finally:
            for consumer in consumers:
                consumer.stop()
            await asyncio.wait(tasks[:2])
            tasks[2].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await relay.drain()
            db.on_commit = None


async def announce(db: Database, ids: Sequence[str]) -> None:
    async with db.begin() as tx:
        await outbox.append(tx, [PaymentSyncRequested(payment_id=each) for each in ids])


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    ends = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < ends, "it did not come about in time"
        await asyncio.sleep(0.05)


async def open_dead_letters(db: Database) -> list[Any]:
    async with db.begin() as tx:
        return await dead_letters.find(tx)


FIFTY = [f"pay_{number:02}" for number in range(50)]


@pytest.mark.parametrize("how", ["refuses", "raises"])
async def test_one_bad_event_of_fifty_is_retried_alone_dies_with_its_reason_and_is_healed_by_a_replay(
    db: Database, broker_url: str, how: str
) -> None:
    healed = False

    async def handle(tx: Tx, events: Sequence[PaymentSyncRequested]) -> list[DomainError | None]:
        bad = [event for event in events if event.payment_id == "pay_13" and not healed]
        if bad and how == "raises":
            raise RuntimeError("a bug")
        await apply(tx, [event for event in events if event not in bad])
        return [NotYet() if event in bad else None for event in events]

    async with running(db, broker_url, handle):
        await announce(db, FIFTY)

        async def dead() -> bool:
            return bool(await open_dead_letters(db))

        await until(dead)
        assert await counts(db) == {each: 1 for each in FIFTY if each != "pay_13"}
        [letter] = await open_dead_letters(db)
        assert letter.attempts == len(RETRY_SCHEDULE_MS) + 1
        expected = {"refuses": ("not_yet", "NotYet"), "raises": ("handler_failed", "RuntimeError")}
        assert (letter.error_code, letter.error_class) == expected[how]
        assert PaymentSyncRequested.FromString(letter.event).payment_id == "pay_13"

        healed = True
        async with db.begin() as tx:
            assert await dead_letters.replay(tx, [letter.dead_letter_id], "operator:test", "the bug is mended") == 1

        async def complete() -> bool:
            return len(await counts(db)) == len(FIFTY)

        await until(complete)
        assert await counts(db) == dict.fromkeys(FIFTY, 1)
        assert await open_dead_letters(db) == []


async def deliver_twice(db: Database, url: str) -> dict[str, int]:
    """Publish one envelope twice, as a relay does that lost the confirm, and see what it did."""
    async with running(db, url, apply) as relay:
        await announce(db, ["pay_1", "pay_2"])
        await until(lambda: _is(counts(db), {"pay_1", "pay_2"}))
        await relay.drain()
        async with db.begin() as tx:
            await tx.execute("update outbox set published_at = null, leased_until = null")
        await asyncio.sleep(2.2)  # the sweeper leaves younger rows to the fast path
        await relay.sweep()
        await asyncio.sleep(0.5)
        return await counts(db)


async def _is(found: Awaitable[dict[str, int]], keys: set[str]) -> bool:
    return set(await found) == keys


async def test_an_envelope_that_arrives_twice_takes_effect_once(db: Database, broker_url: str) -> None:
    assert await deliver_twice(db, broker_url) == {"pay_1": 1, "pay_2": 1}


async def test_without_the_inbox_claim_it_takes_effect_twice(db: Database, broker_url: str) -> None:
    """The negative control of the test above: it is the claim that carries the weight."""
    unguarded = Database(db.engine, db.service, sealer=db.sealer, guards=Guards.all().without(INBOX_CLAIM))
    assert await deliver_twice(unguarded, broker_url) == {"pay_1": 2, "pay_2": 2}


async def test_two_copies_of_an_envelope_in_one_batch_take_effect_once(db: Database) -> None:
    await announce(db, ["pay_1", "pay_2"])
    async with db.begin() as tx:
        [row] = await tx.execute("select envelope_id, type, body from outbox")
    envelope = Envelope.FromString(row.body)
    copies = [
        Delivery(row.envelope_id, row.type, "payment", "", 0, envelope.events, 0, 0, "", "", redeliveries=0)
        for _ in range(2)
    ]
    subscription = Subscription(QUEUE, PaymentSyncRequested, lambda message: message, apply)
    await QueueHandler(db, QUEUE, [subscription], RETRY_SCHEDULE_MS).work(copies)
    assert await counts(db) == {"pay_1": 1, "pay_2": 1}


async def test_types_of_one_handler_share_a_transaction_and_keep_their_types(db: Database) -> None:
    transactions: list[list[str]] = []

    async def one_for_two(tx: Tx, events: Sequence[Any]) -> list[DomainError | None]:
        transactions.append([type(event).__name__ for event in events])
        return [NotYet() if isinstance(event, FraudFlagged) else None for event in events]

    async def another(tx: Tx, events: Sequence[Any]) -> None:
        transactions.append([type(event).__name__ for event in events])

    def as_it_is(message: Any) -> Any:
        return message

    handlers = {PaymentSyncRequested: one_for_two, FraudFlagged: one_for_two, FraudDecided: another}
    subscriptions = [Subscription(QUEUE, message, as_it_is, handle) for message, handle in handlers.items()]
    messages: list[Any] = [PaymentSyncRequested(), FraudDecided(), FraudFlagged(), PaymentSyncRequested()]
    deliveries = [
        Delivery(uuid4(), each.DESCRIPTOR.full_name, "payment", "", 0, [each.SerializeToString()], 0, 0, "", "",
                 redeliveries=0)
        for each in messages
    ]  # fmt: skip
    await QueueHandler(db, QUEUE, subscriptions, RETRY_SCHEDULE_MS).work(deliveries)
    assert transactions == [["PaymentSyncRequested", "FraudFlagged", "PaymentSyncRequested"], ["FraudDecided"]]
    async with db.begin() as tx:
        again = await tx.execute("select type from outbox")
    assert [row.type for row in again] == [FraudFlagged.DESCRIPTOR.full_name]


async def test_infrastructure_that_fails_makes_the_same_messages_wait_and_uses_up_no_retry(
    db: Database, broker_url: str
) -> None:
    failures = iter([Unavailable("away"), TimeoutError(), OSError()])

    async def handle(tx: Tx, events: Sequence[PaymentSyncRequested]) -> None:
        await apply(tx, events)
        error = next(failures, None)
        if error is not None:
            raise error

    async with running(db, broker_url, handle):
        await announce(db, FIFTY)
        await until(lambda: _is(counts(db), set(FIFTY)))
        assert await counts(db) == dict.fromkeys(FIFTY, 1)
        assert await open_dead_letters(db) == []


@pytest.mark.parametrize("where", ["decode", "handler"])
async def test_what_is_sealed_with_a_key_that_comes_back_is_handled_by_a_retry(
    db: Database, broker_url: str, where: str
) -> None:
    failures = iter([SealBroken("the key k9 is not among ENCRYPTION_KEYS")])

    def opened(here: str) -> None:
        if here == where and (error := next(failures, None)) is not None:
            raise error

    def decode(message: PaymentSyncRequested) -> PaymentSyncRequested:
        opened("decode")
        return message

    async def handle(tx: Tx, events: Sequence[PaymentSyncRequested]) -> None:
        opened("handler")
        await apply(tx, events)

    async with running(db, broker_url, handle, decode):
        await announce(db, ["pay_1"])
        await until(lambda: _is(counts(db), {"pay_1"}))
        assert await open_dead_letters(db) == []


@pytest.mark.parametrize(("where", "error_code"), [("decode", "seal_broken"), ("handler", "handler_failed")])
async def test_what_never_opens_is_kept_as_a_dead_letter_and_its_neighbours_are_handled(
    db: Database, broker_url: str, where: str, error_code: str
) -> None:
    """A publisher of the queue may cause it: it must not stop the queue."""

    def decode(message: PaymentSyncRequested) -> PaymentSyncRequested:
        if where == "decode" and message.payment_id == "pay_13":
            raise SealBroken("of a key that was never ours")
        return message

    async def handle(tx: Tx, events: Sequence[PaymentSyncRequested]) -> None:
        if any(event.payment_id == "pay_13" for event in events):
            raise SealBroken("of a key that was never ours")
        await apply(tx, events)

    async with running(db, broker_url, handle, decode):
        await announce(db, FIFTY)

        async def dead() -> bool:
            return bool(await open_dead_letters(db))

        await until(dead)
        [letter] = await open_dead_letters(db)
        assert (letter.error_code, letter.error_class) == (error_code, "SealBroken")
        assert letter.attempts == len(RETRY_SCHEDULE_MS) + 1
        assert await counts(db) == {each: 1 for each in FIFTY if each != "pay_13"}


async def test_a_message_that_nobody_can_read_is_kept_as_a_dead_letter(db: Database, broker_url: str) -> None:
    async with running(db, broker_url, apply), BrokerConnection(broker_url, "test:raw") as raw:
        channel = await raw.channel(confirms=True)
        exchange = await channel.get_exchange("payment.exchange", ensure=False)
        message = Message(b"\xff not an envelope", delivery_mode=DeliveryMode.PERSISTENT, user_id="payment")
        await exchange.publish(message, "payment.sync.requested")

        async def dead() -> bool:
            return bool(await open_dead_letters(db))

        await until(dead)
        [letter] = await open_dead_letters(db)
        assert (letter.error_code, bytes(letter.event)) == ("envelope_unreadable", b"\xff not an envelope")
        async with db.begin() as tx:
            astray = await tx.execute("select 1 from inbox where tableoid = cast('inbox_default' as regclass)")
            assert astray.first() is None, "a default partition alarms"


async def test_what_is_committed_while_the_broker_is_away_is_swept_when_it_is_back(
    db: Database, broker_url: str
) -> None:
    await announce(db, FIFTY)  # nobody relays: as if the process had died after its commit
    async with running(db, broker_url, apply) as relay:
        await asyncio.sleep(2.2)
        await relay.sweep()
        await until(lambda: _is(counts(db), set(FIFTY)))
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from outbox where published_at is null")).scalar() == 0


async def test_an_unroutable_envelope_stays_in_the_outbox(db: Database, broker_url: str, broker_admin_url: str) -> None:
    async with BrokerConnection(broker_admin_url, "test:raw") as raw:
        channel = await raw.channel(confirms=True)
        queue = await channel.get_queue(QUEUE, ensure=False)
        await queue.unbind("payment.exchange", "payment.sync.requested")
        try:
            async with BrokerConnection(broker_url, "test:publish") as publishing:
                await announce(db, ["pay_1"])
                async with db.begin() as tx:
                    [row] = await tx.execute("select * from outbox")
                outgoing = outbox.Outgoing(row.envelope_id, row.exchange, row.routing_key, True, row.type, row.body)
                assert (await Publisher(publishing).publish([outgoing])).confirmed == []
                # The negative control: a publish that is not mandatory is confirmed all the same, and lost.
                lost = outbox.Outgoing(row.envelope_id, row.exchange, row.routing_key, False, row.type, row.body)
                assert (await Publisher(publishing).publish([lost])).confirmed == [row.envelope_id]
        finally:
            await queue.bind("payment.exchange", "payment.sync.requested")


async def test_nothing_is_published_before_its_commit_nor_after_a_rollback(db: Database, broker_url: str) -> None:
    async with running(db, broker_url, apply):
        with pytest.raises(RuntimeError):
            async with db.begin() as tx:
                await outbox.append(tx, [PaymentSyncRequested(payment_id="pay_never")])
                await asyncio.sleep(0.3)
                assert await counts(db) == {}
                raise RuntimeError("rolled back")
        await asyncio.sleep(0.3)
        assert await counts(db) == {}


async def test_without_a_broker_publishing_says_so_in_time(db: Database) -> None:
    await announce(db, ["pay_1"])
    async with db.begin() as tx:
        [row] = await tx.execute("select * from outbox")
    outgoing = outbox.Outgoing(row.envelope_id, row.exchange, row.routing_key, True, row.type, row.body)
    async with BrokerConnection("amqp://nobody:x@127.0.0.1:1/none", "test:away") as away:
        with pytest.raises(broker.BrokerUnavailable):
            await away.channel(confirms=True, timeout_seconds=0.2)
        publisher = Publisher(away)
        async with asyncio.timeout(8):
            assert (await publisher.publish([outgoing])).confirmed == []


async def test_a_consumer_waits_longer_for_company_when_nobody_waits_or_endpoints_are_overloaded(
    db: Database, broker_url: str
) -> None:
    """Its batches start further apart, so that more gathers for each; nothing is left behind."""
    batches: list[int] = []

    async def work(deliveries: Sequence[Delivery]) -> None:
        batches.append(sum(len(delivery.bodies) for delivery in deliveries))

    async def batches_of(**how: Any) -> list[int]:
        batches.clear()
        async with BrokerConnection(broker_url, "test:consume") as consuming:
            consumer = Consumer(consuming, QUEUE, work, **how)
            task = asyncio.create_task(consumer.run())
            for number in range(20):
                await announce(db, [f"pay_{number}"])
                await asyncio.sleep(0.03)

            async def all_worked() -> bool:
                return sum(batches) == 20

            await until(all_worked)
            consumer.stop()
            await task
        return list(batches)

    async with BrokerConnection(broker_url, "test:publish") as publishing:
        db.on_commit = Relay(db, Publisher(publishing)).announce
        calm = await batches_of()
        low_priority = await batches_of(low_priority=True)
        overloaded = await batches_of(overloaded=lambda: True)
    assert len(overloaded) <= 4 < len(calm)
    assert len(low_priority) <= 6


async def test_a_batch_takes_no_more_events_than_its_queue_says(db: Database, broker_url: str) -> None:
    batches: list[int] = []

    async def work(deliveries: Sequence[Delivery]) -> None:
        batches.append(sum(len(delivery.bodies) for delivery in deliveries))

    async with BrokerConnection(broker_url, "test:publish") as publishing:
        relay = Relay(db, Publisher(publishing))
        db.on_commit = relay.announce
        for number in range(20):
            await announce(db, [f"pay_{number}"])
        await relay.drain()

    async def all_worked() -> bool:
        return sum(batches) == 20

    async with BrokerConnection(broker_url, "test:consume") as consuming:
        consumer = Consumer(consuming, QUEUE, work, events_max=8)
        task = asyncio.create_task(consumer.run())
        await until(all_worked)
        consumer.stop()
        await task
    assert max(batches) <= 8
