"""The whole service as a process of its own: events feed the counters, the counters decide the next score."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import aio_pika
import grpc
import httpx
import pytest
import pytest_asyncio
from google.protobuf.message import Message

from commdesk.common.v1.common_pb2 import Money
from commdesk.fraud.v1 import fraud_pb2
from commdesk.fraud.v1.fraud_pb2_grpc import FraudServiceStub
from commdesk.payment.v1 import events_pb2 as pb
from commdesk.payment.v1.payment_pb2 import Payment
from common import envelopes, grpc_client, ids
from common.database import Database
from common.testing import public_key
from common.tokens import ServiceTokens
from common.topology import CONTRACT


@pytest_asyncio.fixture
async def running(settings_env: dict[str, str]) -> AsyncIterator[dict[str, str]]:
    """The service as its console script starts it; SIGTERM must end it cleanly."""
    environment = os.environ | settings_env
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fraud", env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    log = asyncio.create_task(process.stdout.read())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings_env['HTTP_PORT']}") as client:
        await until(lambda: _ready(client))
    yield settings_env
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(15):
        assert await process.wait() == 0, (await log).decode()[-2000:]


async def _ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.fixture
def announce(broker_admin_url: str) -> Callable[[Sequence[Message]], Awaitable[bytes]]:
    """Put an envelope on its exchange, twice, as a producer that lost the first confirm would."""

    async def send(events: Sequence[Message]) -> bytes:
        event = CONTRACT.events[events[0].DESCRIPTOR.full_name]
        _, envelope = envelopes.seal(event.producers[0], event.type, [each.SerializeToString() for each in events])
        async with await aio_pika.connect(broker_admin_url) as connection:
            exchange = await (await connection.channel()).get_exchange(event.exchange, ensure=False)
            for _ in range(2):
                await exchange.publish(aio_pika.Message(envelope), event.routing_key(events[0]), mandatory=True)
        return envelope

    return send


async def test_events_decide_the_next_score(
    running: dict[str, str], announce: Any, db: Database, service_keys: dict[str, str]
) -> None:
    amount = Money(minor=50_000, currency="INR")
    now = int(time.time() * 1_000_000)
    payments = [
        Payment(payment_id=ids.encode("pay", ids.new()), merchant_id="mer_1", user_id="usr_1", amount=amount)
        for _ in range(5)
    ]
    await announce([pb.PaymentFailed(payment=each, time_unix_micros=now, ip="1.2.3.4") for each in payments])

    async def counted() -> bool:
        async with db.begin() as tx:
            return (await tx.execute("select sum(failed) from velocity_buckets")).scalar_one() == 10

    await until(counted)
    public = {name: public_key(key) for name, key in service_keys.items()}
    tokens = ServiceTokens("payment", service_keys["payment"], public)
    channel: grpc.aio.Channel = grpc_client.channel(f"127.0.0.1:{running['GRPC_PORT']}", tokens, "fraud")
    subject = fraud_pb2.Subject(
        payment_id=ids.encode("pay", ids.new()), merchant_id="mer_1", user_id="usr_1", ip="1.2.3.4", amount=amount
    )
    answer = await FraudServiceStub(channel).Score(fraud_pb2.ScoreRequest(subjects=[subject]), timeout=2)
    await channel.close(None)
    assert answer.scores[0].decision == fraud_pb2.DECISION_REVIEW
    assert list(answer.scores[0].reasons) == ["user_failures_10m"]

    async def flags() -> list[bool]:
        async with db.begin() as tx:
            rows = await tx.execute("select published_at from outbox where routing_key = 'fraud.flagged'")
            return [row.published_at is not None for row in rows]

    assert await flags() == []
    made = Payment(payment_id=subject.payment_id, merchant_id="mer_1", user_id="usr_1", amount=amount)
    await announce([pb.PaymentCreated(payment=made, time_unix_micros=now, ip="1.2.3.4")])

    async def flagged_once() -> bool:
        return await flags() == [True]

    await until(flagged_once)
    await announce([pb.PaymentFailed(payment=made, time_unix_micros=now, ip="1.2.3.4")])

    async def all_counted() -> bool:
        async with db.begin() as tx:
            return (await tx.execute("select sum(failed) from velocity_buckets")).scalar_one() == 12

    await until(all_counted)
    assert await flags() == [True]
