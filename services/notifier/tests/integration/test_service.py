"""The whole service as a process of its own: broker, Postgres and SMTP are real."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import aio_pika
import grpc
import httpx
import pytest
import pytest_asyncio
from google.protobuf.message import Message

from commdesk.common.v1 import delivery_pb2
from commdesk.common.v1.delivery_pb2_grpc import DeliveryServiceStub
from common import envelopes, grpc_client
from common.database import Database
from common.testing import public_key
from common.tokens import ServiceTokens
from common.topology import CONTRACT


@pytest_asyncio.fixture
async def running(settings_env: dict[str, str], smtp_port: int) -> AsyncIterator[dict[str, str]]:
    """The service as its console script starts it; SIGTERM must end it cleanly."""
    environment = os.environ | settings_env | {
        "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(smtp_port), "ADMIN_EMAIL": "ops@example.com",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier", env=environment, stdout=asyncio.subprocess.PIPE
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


async def test_from_the_broker_to_the_inbox(
    running: dict[str, str], announce: Any, inbox: Any, succeeded: Any, failed: Any, service_keys: dict[str, str]
) -> None:
    paid = succeeded()
    await announce([paid, succeeded(email="second@example.com")])
    await announce([failed()])

    async def arrived() -> bool:
        return len(inbox.mails) >= 3

    await until(arrived)
    await asyncio.sleep(0.3)
    assert len(inbox.mails) == 3
    public = {name: public_key(key) for name, key in service_keys.items()}
    tokens = ServiceTokens("operator", service_keys["operator"], public)
    channel: grpc.aio.Channel = grpc_client.channel(f"127.0.0.1:{running['GRPC_PORT']}", tokens, "notifier")
    stub = DeliveryServiceStub(channel)
    story = await stub.Story(delivery_pb2.StoryRequest(reference=paid.payment_id), timeout=5)
    assert [entry.summary for entry in story.entries] == ["payment_success queued", "payment_success sent"]
    totals = await stub.Totals(delivery_pb2.TotalsRequest(), timeout=5)
    assert (totals.totals["mails.sent"], totals.totals["mails.pending"]) == (3, 0)
    await channel.close(None)


async def test_an_unreadable_event_is_put_aside(
    running: dict[str, str], announce: Any, db: Database, failed: Any
) -> None:
    broken = failed()
    broken.payment_id = "pay_nonsense"
    await announce([broken])

    async def buried() -> bool:
        async with db.begin() as tx:
            return bool((await tx.execute("select count(*) from dead_letters")).scalar_one())

    await until(buried)
