"""Queues of single replicas on the real broker: everybody hears, everybody hears again after a lost connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource, ChannelNotFoundEntity

from commdesk.identity.v1.events_pb2 import AccessRevoked
from common import envelopes
from common.broker import BrokerConnection
from common.consuming import Consumer
from common.subscriptions import TransientSubscription
from common.testing import BrokerUrlOf, until
from common.topology import CONTRACT
from common.transient_queues import TransientHandler

EVENT = CONTRACT.events[AccessRevoked.DESCRIPTOR.full_name]
ROW = CONTRACT.transient("access.revoked")


class Replica:
    """The events that one process of a service received, and the queues that it has declared."""

    def __init__(self, service: str) -> None:
        self.heard: list[str] = []
        self.queues: list[str] = []
        self.handler = TransientHandler(
            service, ROW, [TransientSubscription(ROW.name, AccessRevoked, self.decode, self.handle)]
        )

    @staticmethod
    def decode(message: AccessRevoked) -> str:
        if message.user_id == "usr_odd":
            raise ValueError("of a shape that the decoder was not written for")
        return message.user_id

    async def handle(self, users: list[str]) -> None:
        self.heard += users
        if "usr_bug" in users:
            raise RuntimeError("a bug")

    async def declare(self, channel: aio_pika.abc.AbstractChannel) -> str:
        self.queues.append(await self.handler.declare(channel))
        return self.queues[-1]


@asynccontextmanager
async def running(service: str, url: str) -> AsyncIterator[tuple[Replica, BrokerConnection]]:
    """One replica, until the block is left."""
    replica = Replica(service)
    async with BrokerConnection(url, f"{service}:consume") as connection:
        consumer = Consumer(connection, ROW.name, replica.handler.work, declare=replica.declare)
        task = asyncio.create_task(consumer.run())
        await until(lambda: _true(len(replica.queues) == 1))
        yield replica, connection
        consumer.stop()
        await task


async def _true(value: object) -> bool:
    return bool(value)


async def revoke(url: str, *users: str) -> None:
    """Announce it as identity does."""
    events = [AccessRevoked(user_id=user).SerializeToString() for user in users]
    _, body = envelopes.seal("identity", EVENT.type, events)
    async with await aio_pika.connect(url) as connection:
        exchange = await (await connection.channel()).get_exchange(EVENT.exchange, ensure=False)
        await exchange.publish(aio_pika.Message(body), EVENT.key, mandatory=False)


async def test_every_replica_of_every_service_hears_it(broker_admin_url: str, broker_url_of: BrokerUrlOf) -> None:
    payment, wallet = broker_url_of("payment"), broker_url_of("wallet")
    async with (
        running("payment", payment) as (one, _),
        running("payment", payment) as (two, _),
        running("wallet", wallet) as (three, _),
    ):
        await asyncio.sleep(0.2)
        await revoke(broker_admin_url, "usr_1", "usr_2")
        for replica in (one, two, three):
            await until(lambda replica=replica: _true(replica.heard == ["usr_1", "usr_2"]))


async def test_after_a_lost_connection_it_subscribes_anew(broker_admin_url: str, broker_url_of: BrokerUrlOf) -> None:
    async with running("payment", broker_url_of("payment")) as (replica, connection):
        assert connection._connection is not None
        await connection._connection.close()
        await until(lambda: _true(len(replica.queues) == 2))
        await asyncio.sleep(0.2)
        await revoke(broker_admin_url, "usr_1")
        await until(lambda: _true(replica.heard == ["usr_1"]))
        assert len(set(replica.queues)) == 2


async def test_a_bug_or_an_unreadable_message_does_not_end_it(
    broker_admin_url: str, broker_url_of: BrokerUrlOf
) -> None:
    async with running("payment", broker_url_of("payment")) as (replica, _):
        await asyncio.sleep(0.2)
        async with await aio_pika.connect(broker_admin_url) as admin:
            exchange = await (await admin.channel()).get_exchange(EVENT.exchange, ensure=False)
            await exchange.publish(aio_pika.Message(b"\xff no envelope"), EVENT.key)
        await revoke(broker_admin_url, "usr_bug")
        await revoke(broker_admin_url, "usr_odd", "usr_\0", "usr_1")
        await revoke(broker_admin_url, "usr_2")
        await until(lambda: _true(replica.heard == ["usr_bug", "usr_1", "usr_2"]))


async def test_a_queue_is_gone_with_its_replica(broker_admin_url: str, broker_url_of: BrokerUrlOf) -> None:
    async with running("payment", broker_url_of("payment")) as (replica, _):
        [name] = replica.queues
    async with await aio_pika.connect(broker_admin_url) as admin:
        with pytest.raises(ChannelNotFoundEntity):
            await (await admin.channel()).get_queue(name, ensure=True)


async def test_a_service_makes_queues_under_its_own_name_for_that_key_alone(
    broker_admin_url: str, broker_url_of: BrokerUrlOf
) -> None:
    word = "0" * 16

    async def declare(channel: aio_pika.abc.AbstractChannel, name: str) -> aio_pika.abc.AbstractQueue:
        return await channel.declare_queue(name, exclusive=True, auto_delete=True)

    async with (
        running("payment", broker_url_of("payment")) as (replica, _),
        await aio_pika.connect(broker_url_of("wallet")) as connection,
    ):
        for name in (ROW.prefix("payment") + word, "wallet.credit2", ROW.prefix("wallet"), f"{word}{word}"):
            with pytest.raises(ChannelAccessRefused):
                await declare(await connection.channel(), name)
        channel = await connection.channel()
        own = await declare(channel, ROW.prefix("wallet") + word)
        await own.bind(EVENT.exchange, EVENT.key)
        with pytest.raises(ChannelAccessRefused):
            await own.bind("payment.exchange", "payment.success")
        with pytest.raises((ChannelAccessRefused, ChannelLockedResource)):
            await (await (await connection.channel()).get_queue(replica.queues[0], ensure=False)).get(fail=False)
