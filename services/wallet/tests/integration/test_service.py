"""The process itself: `wallet migrate`, `wallet serve`, one payment through the broker, SIGTERM."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from commdesk.common.v1 import common_pb2, delivery_pb2
from commdesk.common.v1.delivery_pb2_grpc import DeliveryServiceStub
from commdesk.payment.v1 import events_pb2 as payment_events
from commdesk.payment.v1 import payment_pb2
from common import grpc_client, ids
from common.testing import Announce, public_key, start, until
from common.tokens import ServiceTokens


@pytest.fixture
async def migrated(settings_env: dict[str, str]) -> None:
    migrate = await start("wallet", "migrate")
    log, _ = await migrate.communicate()
    assert migrate.returncode == 0, log.decode()


@pytest_asyncio.fixture
async def operator(settings_env: dict[str, str], service_keys: dict[str, str]) -> AsyncIterator[DeliveryServiceStub]:
    public_keys = {name: public_key(key) for name, key in service_keys.items()}
    tokens = ServiceTokens("operator", service_keys["operator"], public_keys)
    async with grpc_client.channel(f"127.0.0.1:{settings_env['GRPC_PORT']}", tokens, "wallet") as channel:
        yield DeliveryServiceStub(channel)


async def totals(operator: DeliveryServiceStub) -> dict[str, int]:
    return dict((await operator.Totals(delivery_pb2.TotalsRequest(), timeout=5)).totals)


@pytest.mark.usefixtures("migrated", "running_service")
async def test_a_payment_announced_on_the_broker_becomes_credits(
    operator: DeliveryServiceStub, announce: Announce
) -> None:
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
    await announce([paid])
    await announce([paid])

    async def granted() -> bool:
        return (await totals(operator)).get("grants.count") == 1

    await until(granted)
    sums = await totals(operator)
    assert (sums["wallets.available"], sums["lots.value_minor"], sums["wallets.mismatched"]) == (5500, 42_373, 0)
    timeline = await operator.Story(delivery_pb2.StoryRequest(reference=payment_id), timeout=5)
    assert [entry.summary for entry in timeline.entries] == ["grant +5500 credits: 0 → 5500"]
