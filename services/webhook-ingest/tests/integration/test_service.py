"""The whole service as a process of its own: a webhook comes in by HTTP and out by the broker, reports come back."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aio_pika
import httpx
import pytest
import pytest_asyncio

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.webhook_ingest.v1 import events_pb2 as pb
from common import envelopes, ids
from common.clock import SystemClock
from common.database import Database
from common.topology import CONTRACT


@pytest_asyncio.fixture
async def running(settings_env: dict[str, str], secret: str) -> AsyncIterator[dict[str, str]]:
    """The service as its console script starts it; SIGTERM must end it cleanly."""
    environment = os.environ | settings_env | {"CASHFREE_WEBHOOK_SECRET": f"the-next-secret,{secret}"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "webhook_ingest", env=environment, stdout=asyncio.subprocess.PIPE
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


async def test_in_by_http_out_by_the_broker_and_back(
    running: dict[str, str], broker_admin_url: str, db: Database, payment_body: Any, signed: Any
) -> None:
    bodies = [payment_body(str(number)) for number in range(30)]
    now = SystemClock().now()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running['HTTP_PORT']}") as client:
        answers = await asyncio.gather(
            *(
                client.post("/api/v1/webhooks/cashfree", content=body, headers=signed(body, at=now))
                for body in bodies + bodies
            )
        )
    assert {answer.status_code for answer in answers} == {200}
    stored = {answer.json()["data"]["eventId"] for answer in answers}
    assert len(stored) == 30
    async with await aio_pika.connect(broker_admin_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("webhook.processing", ensure=False)
        received: list[pb.WebhookReceived] = []

        async def all_there() -> bool:
            message = await queue.get(fail=False, no_ack=True)
            if message is not None:
                received.extend(
                    pb.WebhookReceived.FromString(each) for each in Envelope.FromString(message.body).events
                )
            return len(received) >= 30

        await until(all_there)
        assert {event.event_id for event in received} == stored
        assert sorted(event.body for event in received) == sorted(bodies)
        report = CONTRACT.events["commdesk.webhook_ingest.v1.WebhookProcessed"]
        reports = [
            pb.WebhookProcessed(
                event_id=ids.encode("evt", ids.new()),
                time_unix_micros=1,
                gateway="cashfree",
                webhook_id=event.event_id,
                outcome="APPLIED",
            )
            for event in received
        ]
        _, envelope = envelopes.seal("payment", report.type, [each.SerializeToString() for each in reports])
        exchange = await channel.get_exchange(report.exchange, ensure=False)
        await exchange.publish(aio_pika.Message(envelope), report.routing_key(reports[0]), mandatory=True)

    async def processed() -> bool:
        async with db.begin() as tx:
            rows = await tx.execute("select count(*) from webhook_logs where processing_status = 'SUCCESS'")
            return int(rows.scalar_one()) == 30

    await until(processed)


async def test_refusals_are_announced_by_the_schedule(
    running: dict[str, str], db: Database, payment_body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running['HTTP_PORT']}") as client:
        answer = await client.post("/api/v1/webhooks/cashfree", content=payment_body())
    assert answer.status_code == 401

    async def announced() -> bool:
        async with db.begin() as tx:
            rows = await tx.execute("select count(*) from outbox where routing_key = 'analytics.webhook.failure'")
            return int(rows.scalar_one()) == 1

    await until(announced)
