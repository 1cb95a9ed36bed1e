"""Forged messages on the real broker: whatever way they take into a queue, nothing handles them, and an alert tells."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import aio_pika
import asyncpg
import pytest
from aiormq.exceptions import ChannelAccessRefused
from google.protobuf.message import Message

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.payment.v1.events_pb2 import PaymentSyncRequested
from common import admission, dead_letters, envelopes
from common.broker import BrokerConnection
from common.consuming import Consumer
from common.database import Database, Tx
from common.queue_handler import QueueHandler
from common.subscriptions import Subscription
from common.testing import RETRY_SCHEDULE_MS, BrokerUrlOf, published, until
from common.topology import CONTRACT, DELIVERY_LIMIT, MIGRATOR, REQUEUE, retry_queues

QUEUE = CONTRACT.queue("payment.processing")
TYPE = PaymentSyncRequested.DESCRIPTOR.full_name
TIER = retry_queues(RETRY_SCHEDULE_MS[0])[0]
WAIT_SECONDS = 0.6


@pytest.fixture(autouse=True)
async def effects(owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("create table effects (payment_id text not null); grant select, insert on effects to payment")
    await owner.close()


async def apply(tx: Tx, events: Sequence[PaymentSyncRequested]) -> None:
    ids = [event.payment_id for event in events]
    await tx.execute("insert into effects select unnest(cast(:ids as text[]))", ids=ids)


async def effects_of(db: Database) -> list[str]:
    async with db.begin() as tx:
        return sorted((await tx.execute("select payment_id from effects")).scalars())


async def count(db: Database, table: str) -> int:
    async with db.begin() as tx:
        return int((await tx.execute(f"select count(*) from {table}")).scalar_one())


async def alerts(db: Database) -> list[Message]:
    found = await published(db, "email.admin.alert")
    return [event for _, event in found if isinstance(event, AdminAlertRaised) and event.cause == "message_forged"]


@asynccontextmanager
async def consuming(db: Database, url: str, *, verifies_user: bool = True) -> AsyncIterator[None]:
    """Home queue and dead letters, as the runtime consumes them."""
    handler = QueueHandler(db, QUEUE.name, [Subscription(QUEUE.name, PaymentSyncRequested, _same, apply)], (100,))
    home = admission.of_queue(QUEUE, verifies_user=verifies_user)
    dead = admission.of_dead_letters(QUEUE, verifies_user=verifies_user)
    keep = partial(dead_letters.keep, db, QUEUE.name)
    async with BrokerConnection(url, "test:consume") as connection:
        consumers = [
            Consumer(connection, home.name, admission.GenuineOnly(db, home, handler.work).work),
            Consumer(connection, dead.name, admission.GenuineOnly(db, dead, keep).work),
        ]
        tasks = [asyncio.create_task(each.run()) for each in consumers]
        try:
            yield
        finally:
            for consumer in consumers:
                consumer.stop()
            await asyncio.wait(tasks)


def _same(message: PaymentSyncRequested) -> PaymentSyncRequested:
    return message


def envelope(payment_id: str, type_name: str = TYPE, producer: str = "payment") -> tuple[UUID, bytes]:
    return envelopes.seal(producer, type_name, [PaymentSyncRequested(payment_id=payment_id).SerializeToString()])


async def send(
    url: str, user: str | None, exchange: str, key: str, body: bytes, headers: dict[str, list[str]] | None = None
) -> None:
    """Publish as *user*; a message that the broker refuses raises."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        message = aio_pika.Message(body, user_id=user, headers=dict(headers or {}), type=TYPE, delivery_mode=2)
        await target.publish(message, key, mandatory=False)


# Who, by which exchange and key, with which copies, as which type.
FORGED = {
    "CC by the requeue exchange": ("wallet", REQUEUE, "wallet.credit", {"CC": [QUEUE.name]}, TYPE),
    "BCC by the requeue exchange": ("wallet", REQUEUE, "wallet.credit", {"BCC": [QUEUE.name]}, TYPE),
    "CC by a retry tier": ("notifier", TIER, "notifications.billing", {"CC": [QUEUE.name]}, TYPE),
    "BCC by a retry tier": ("notifier", TIER, "notifications.billing", {"BCC": [QUEUE.name]}, TYPE),
    "CC to the dead letters": ("wallet", REQUEUE, "wallet.credit.dlq", {"CC": [QUEUE.dead_letters]}, TYPE),
    "a foreign type on an own key": ("fraud", "fraud.exchange", "fraud.flagged", {}, TYPE),
    "an unknown type by a CC": ("wallet", REQUEUE, "wallet.credit", {"CC": [QUEUE.name]}, "commdesk.x.v1.New"),
    "the own type on another own key": ("payment", "payment.exchange", "payment.created",
                                        {"CC": ["payment.sync.requested"]}, TYPE),
}  # fmt: skip


@pytest.mark.parametrize("way", FORGED)
async def test_what_a_user_forges_is_not_handled(
    db: Database, broker_url: str, broker_url_of: BrokerUrlOf, way: str
) -> None:
    user, exchange, key, headers, type_name = FORGED[way]
    _, body = envelope("pay_forged", type_name)
    async with consuming(db, broker_url):
        await send(broker_url_of(user), user, exchange, key, body, headers)
        await until(lambda: alerts(db))
        assert await effects_of(db) == []
        assert await count(db, "dead_letters") == 0
        assert await count(db, "inbox") == 0, "a claim would keep the genuine envelope out"


@pytest.mark.parametrize("exchange", ["", "payment.exchange", REQUEUE, TIER])
@pytest.mark.parametrize("names", [True, False])
async def test_what_an_administrator_forges_is_not_handled(
    db: Database, broker_url: str, broker_admin_url: str, exchange: str, names: bool
) -> None:
    """No right keeps it out of the queue, and still it is nobody whom the contract names."""
    user = broker_admin_url.partition("//")[2].partition(":")[0] if names else None
    key = "payment.sync.requested" if exchange == "payment.exchange" else QUEUE.name
    async with consuming(db, broker_url):
        await send(broker_admin_url, user, exchange, key, envelope("pay_forged")[1])
        await until(lambda: alerts(db))
        assert await effects_of(db) == []


async def test_what_is_genuine_is_handled_by_every_way(
    db: Database, stack: object, broker_url: str, broker_url_of: BrokerUrlOf
) -> None:
    async with consuming(db, broker_url):
        for number, (exchange, key) in enumerate(
            [("payment.exchange", "payment.sync.requested"), (REQUEUE, QUEUE.name), (TIER, QUEUE.name)]
        ):
            await send(broker_url_of("payment"), "payment", exchange, key, envelope(f"pay_{number}")[1])
        await until(lambda: _is(effects_of(db), ["pay_0", "pay_1", "pay_2"]))
    assert await alerts(db) == []


async def _is(found: object, expected: object) -> bool:
    return await found == expected  # type: ignore[misc]


async def test_a_forgery_does_not_stand_in_front_of_the_genuine_envelope(
    db: Database, broker_url: str, broker_url_of: BrokerUrlOf
) -> None:
    """A forger who knows an envelope's id must not claim it before the genuine one arrives."""
    envelope_id, body = envelope("pay_1")
    forged = Envelope.FromString(body)
    forged.events[:] = [PaymentSyncRequested(payment_id="pay_forged").SerializeToString()]
    assert UUID(bytes=forged.id) == envelope_id
    async with consuming(db, broker_url):
        headers = {"CC": [QUEUE.name]}
        await send(broker_url_of("wallet"), "wallet", REQUEUE, "wallet.credit", forged.SerializeToString(), headers)
        await until(lambda: alerts(db))
        await send(broker_url_of("payment"), "payment", "payment.exchange", "payment.sync.requested", body)
        await until(lambda: _is(effects_of(db), ["pay_1"]))


async def test_a_flood_of_forgeries_is_one_alert(db: Database, broker_url: str, broker_url_of: BrokerUrlOf) -> None:
    async with consuming(db, broker_url):
        async with await aio_pika.connect(broker_url_of("wallet")) as connection:
            exchange = await (await connection.channel()).get_exchange(REQUEUE, ensure=False)
            for _ in range(300):
                message = aio_pika.Message(envelope("x")[1], user_id="wallet", headers={"CC": [QUEUE.name]})
                await exchange.publish(message, "wallet.credit", mandatory=False)
        await until(lambda: alerts(db))
        await send(
            broker_url_of("payment"), "payment", "payment.exchange", "payment.sync.requested", envelope("pay_1")[1]
        )
        await until(lambda: _is(effects_of(db), ["pay_1"]))
    assert len(await alerts(db)) == 1
    assert await count(db, "outbox") == 1


async def test_what_the_broker_gives_up_is_kept_with_its_producer_s_name(
    db: Database, broker_url: str, broker_admin_url: str, broker_url_of: BrokerUrlOf
) -> None:
    await send(broker_url_of("payment"), "payment", "payment.exchange", "payment.sync.requested", envelope("pay_1")[1])
    async with await aio_pika.connect(broker_admin_url) as connection:
        queue = await (await connection.channel()).get_queue(QUEUE.name, ensure=False)
        for _ in range(DELIVERY_LIMIT + 2):
            if (message := await queue.get(fail=False)) is not None:
                await message.nack(requeue=True)
    async with consuming(db, broker_url):

        async def kept() -> bool:
            return await count(db, "dead_letters where error_code = 'delivery_limit'") == 1

        await until(kept)
    assert await alerts(db) == []
    assert await effects_of(db) == []


async def test_with_one_user_for_all_the_way_is_checked_still(
    db: Database, broker_url: str, broker_admin_url: str
) -> None:
    """AMQP_USER_ID off, as on a plan with one user: the default exchange stays closed, names are not known."""
    async with consuming(db, broker_url, verifies_user=False):
        await send(broker_admin_url, None, "", QUEUE.name, envelope("pay_forged")[1])
        await until(lambda: alerts(db))
        await send(broker_admin_url, None, "payment.exchange", "payment.sync.requested", envelope("pay_1")[1])
        await send(broker_admin_url, None, REQUEUE, QUEUE.name, envelope("pay_2")[1])
        await until(lambda: _is(effects_of(db), ["pay_1", "pay_2"]))


async def test_dead_letters_of_a_release_before_the_requeue_exchange_are_kept(
    db: Database, broker_url: str, broker_admin_url: str, broker_url_of: BrokerUrlOf
) -> None:
    """They have no name and came by the default exchange, to which no service may write since bootstrap."""
    _, body = envelope("pay_old")
    async with consuming(db, broker_url):
        await send(broker_admin_url, None, "", QUEUE.dead_letters, body)

        async def kept() -> bool:
            return await count(db, "dead_letters") == 1

        await until(kept)
        assert await alerts(db) == []
    for user in ("payment", "wallet"):
        with pytest.raises(ChannelAccessRefused):
            await send(broker_url_of(user), None, "", QUEUE.dead_letters, body)


async def test_a_name_by_the_default_exchange_is_forged_in_the_dead_letters_too(
    db: Database, broker_url: str, broker_admin_url: str
) -> None:
    user = broker_admin_url.partition("//")[2].partition(":")[0]
    async with consuming(db, broker_url):
        await send(broker_admin_url, user, "", QUEUE.dead_letters, envelope("pay_forged")[1])
        await until(lambda: alerts(db))
        assert await count(db, "dead_letters") == 0


def test_the_migrator_moves_messages() -> None:
    """`migrate` copies what lies in a queue that it makes anew."""
    moved = admission.of_queue(QUEUE, verifies_user=True)
    arrived = envelopes.Delivery(
        UUID(int=1), TYPE, "payment", "", 0, [], 0, 0, "", "", 0,
        user_id=MIGRATOR, exchange=REQUEUE, routing_key=QUEUE.name,
    )  # fmt: skip
    assert moved.admits(arrived)
    arrived.exchange, arrived.routing_key = "payment.exchange", "payment.sync.requested"
    assert not moved.admits(arrived)
