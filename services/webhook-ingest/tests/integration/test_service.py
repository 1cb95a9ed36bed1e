"""The whole service as a process of its own: a webhook comes in by HTTP and out by the broker, reports come back."""

import asyncio
from typing import Any

import aio_pika
import pytest

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.webhook_ingest.v1 import events_pb2 as pb
from common import ids
from common.clock import SystemClock
from common.database import Database
from common.seals import WEBHOOK_BODY
from common.testing import Announce, RunningService, until


@pytest.fixture
def own_settings(secret: str) -> dict[str, str]:
    return {"CASHFREE_WEBHOOK_SECRET": f"the-next-secret,{secret}"}


async def test_in_by_http_out_by_the_broker_and_back(
    running_service: RunningService,
    announce: Announce,
    broker_admin_url: str,
    db: Database,
    payment_body: Any,
    signed: Any,
) -> None:
    bodies = [payment_body(str(number)) for number in range(30)]
    now = SystemClock().now()
    answers = await asyncio.gather(
        *(
            running_service.http.post("/api/v1/webhooks/cashfree", content=body, headers=signed(body, at=now))
            for body in bodies + bodies
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    stored = {answer.json()["data"]["eventId"] for answer in answers}
    assert len(stored) == 30
    async with await aio_pika.connect(broker_admin_url) as connection:
        queue = await (await connection.channel()).get_queue("webhook.processing", ensure=False)
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
    assert sorted(db.sealer.open_bytes(WEBHOOK_BODY, event.body) for event in received) == sorted(bodies)
    await announce(
        [
            pb.WebhookProcessed(
                event_id=ids.encode("evt", ids.new()),
                time_unix_micros=1,
                gateway="cashfree",
                webhook_id=event.event_id,
                outcome="APPLIED",
            )
            for event in received
        ]
    )

    async def processed() -> bool:
        async with db.begin() as tx:
            rows = await tx.execute("select count(*) from webhook_logs where processing_status = 'SUCCESS'")
            return int(rows.scalar_one()) == 30

    await until(processed)


async def test_refusals_are_announced_by_the_schedule(
    running_service: RunningService, db: Database, payment_body: Any
) -> None:
    answer = await running_service.http.post("/api/v1/webhooks/cashfree", content=payment_body())
    assert answer.status_code == 401

    async def announced() -> bool:
        async with db.begin() as tx:
            rows = await tx.execute("select count(*) from outbox where routing_key = 'analytics.webhook.failure'")
            return int(rows.scalar_one()) == 1

    await until(announced)
