"""The whole service as a process of its own: broker, Postgres and SMTP are real."""

import asyncio
from typing import Any

import grpc
import pytest

from commdesk.common.v1 import delivery_pb2
from commdesk.common.v1.delivery_pb2_grpc import DeliveryServiceStub
from common import grpc_client
from common.database import Database
from common.testing import Announce, public_key, until
from common.tokens import ServiceTokens

pytestmark = pytest.mark.usefixtures("running_service")


@pytest.fixture
def own_settings(smtp_port: int) -> dict[str, str]:
    return {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(smtp_port), "ADMIN_EMAIL": "ops@example.com"}


async def test_from_the_broker_to_the_inbox(
    announce: Announce,
    inbox: Any,
    succeeded: Any,
    failed: Any,
    settings_env: dict[str, str],
    service_keys: dict[str, str],
) -> None:
    paid = succeeded()
    await announce([paid, succeeded(email="second@example.com")], times=2)
    await announce([failed()], times=2)

    async def arrived() -> bool:
        return len(inbox.mails) >= 3

    await until(arrived)
    await asyncio.sleep(0.3)
    assert len(inbox.mails) == 3
    public = {name: public_key(key) for name, key in service_keys.items()}
    tokens = ServiceTokens("operator", service_keys["operator"], public)
    channel: grpc.aio.Channel = grpc_client.channel(f"127.0.0.1:{settings_env['GRPC_PORT']}", tokens, "notifier")
    stub = DeliveryServiceStub(channel)
    story = await stub.Story(delivery_pb2.StoryRequest(reference=paid.payment_id), timeout=5)
    assert [entry.summary for entry in story.entries] == ["payment_success queued", "payment_success sent"]
    totals = await stub.Totals(delivery_pb2.TotalsRequest(), timeout=5)
    assert (totals.totals["mails.sent"], totals.totals["mails.pending"]) == (3, 0)
    await channel.close(None)


async def test_an_unreadable_event_is_put_aside(announce: Announce, db: Database, failed: Any) -> None:
    broken = failed()
    broken.payment_id = "pay_nonsense"
    await announce([broken], times=2)

    async def buried() -> bool:
        async with db.begin() as tx:
            return bool((await tx.execute("select count(*) from dead_letters")).scalar_one())

    await until(buried)
