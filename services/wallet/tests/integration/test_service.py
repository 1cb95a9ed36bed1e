"""The process itself: `wallet migrate`, `wallet serve`, one payment through the broker, SIGTERM."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import aio_pika
import grpc
import pytest_asyncio

from commdesk.common.v1 import common_pb2, delivery_pb2
from commdesk.common.v1.delivery_pb2_grpc import DeliveryServiceStub
from commdesk.payment.v1 import events_pb2 as payment_events
from commdesk.payment.v1 import payment_pb2
from common import envelopes, grpc_client, ids
from common.testing import public_key
from common.tokens import ServiceTokens

STARTING_SECONDS = 20


@pytest_asyncio.fixture
async def process(settings_env) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | settings_env
    migrate = await asyncio.create_subprocess_exec(sys.executable, "-m", "wallet", "migrate", env=environment)
    assert await migrate.wait() == 0
    serve = await asyncio.create_subprocess_exec(sys.executable, "-m", "wallet", env=environment)
    yield serve
    if serve.returncode is None:
        serve.kill()
        await serve.wait()


@pytest_asyncio.fixture
async def operator(settings_env, service_keys) -> AsyncIterator[DeliveryServiceStub]:
    known = {name: public_key(key) for name, key in service_keys.items()}
    tokens = ServiceTokens("operator", service_keys["operator"], known)
    async with grpc_client.channel(f"127.0.0.1:{settings_env['GRPC_PORT']}", tokens, "wallet") as channel:
        yield DeliveryServiceStub(channel)


async def totals(operator) -> dict[str, int]:
    try:
        return dict((await operator.Totals(delivery_pb2.TotalsRequest(), timeout=2)).totals)
    except grpc.aio.AioRpcError:
        return {}


async def publish(broker_admin_url: str, event) -> None:
    _, body = envelopes.seal("payment", event.DESCRIPTOR.full_name, [event.SerializeToString()])
    async with await aio_pika.connect(broker_admin_url) as connection:
        exchange = await (await connection.channel()).get_exchange("payment.exchange")
        await exchange.publish(aio_pika.Message(body), "payment.success", timeout=5)


async def test_a_payment_announced_on_the_broker_becomes_credits(process, operator, broker_admin_url) -> None:
    payment_id = ids.encode("pay", ids.new())
    paid = payment_events.PaymentSucceeded(
        payment=payment_pb2.Payment(
            payment_id=payment_id,
            merchant_id="mer_commdesk",
            user_id="usr_asha",
            credits_paid=5000,
            credits_bonus=500,
            tax=payment_pb2.Tax(net=common_pb2.Money(minor=42_373, currency="INR")),
        )
    )
    async with asyncio.timeout(STARTING_SECONDS):
        while not await totals(operator):
            await asyncio.sleep(0.2)
        await publish(broker_admin_url, paid)
        await publish(broker_admin_url, paid)
        while (await totals(operator)).get("grants.count") != 1:
            await asyncio.sleep(0.1)
    found = await totals(operator)
    assert (found["wallets.available"], found["lots.value_minor"], found["wallets.mismatched"]) == (5500, 42_373, 0)
    story = await operator.Story(delivery_pb2.StoryRequest(reference=payment_id), timeout=5)
    assert [entry.summary for entry in story.entries] == ["grant +5500 credits: 0 → 5500"]

    process.terminate()
    assert await asyncio.wait_for(process.wait(), timeout=20) == 0
