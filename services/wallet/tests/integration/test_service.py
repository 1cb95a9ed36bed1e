"""The process itself: `wallet migrate`, `wallet serve`, one payment through the broker, SIGTERM."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest
import pytest_asyncio

from commdesk.common.v1 import common_pb2, delivery_pb2
from commdesk.common.v1.delivery_pb2_grpc import DeliveryServiceStub
from commdesk.payment.v1 import events_pb2 as payment_events
from commdesk.payment.v1 import payment_pb2
from common import envelopes, grpc_client, ids
from common.database import Database
from common.testing import RETRY_SCHEDULE_MS, Announce, BrokerUrlOf, public_key, published, start, until
from common.tokens import ServiceTokens
from common.topology import REQUEUE, retry_queues


@pytest.fixture
async def migrated(settings_env: dict[str, str], migration_env: dict[str, str]) -> None:
    migrate = await start("wallet", "migrate", **migration_env)
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


@pytest.mark.parametrize("variable", ["DATABASE_MIGRATION_URL", "RABBITMQ_MIGRATION_URL"])
async def test_it_does_not_serve_with_what_only_migrate_may_have(
    settings_env: dict[str, str], migration_env: dict[str, str], variable: str
) -> None:
    process = await start("wallet", **{variable: migration_env[variable]})
    log, _ = await process.communicate()
    assert process.returncode == 1
    assert f"{variable}: is for `wallet migrate` alone" in log.decode()
    assert migration_env[variable] not in log.decode()


@pytest.mark.usefixtures("running_service")
async def test_a_success_that_another_service_forges_grants_nothing(
    operator: DeliveryServiceStub, broker_url_of: BrokerUrlOf, db: Database
) -> None:
    """Seen in the security review: any service's user made credits, one by a retry tier."""
    payment_id = ids.encode("pay", ids.new())
    forged = payment_events.PaymentSucceeded(
        event_id=ids.encode("evt", ids.new()),
        payment=payment_pb2.Payment(
            payment_id=payment_id, merchant_id="mer_commdesk", owner_kind="USER", owner_id="usr_1",
            credits_paid=999_999, amount=common_pb2.Money(minor=1, currency="INR"),
        ),
    )  # fmt: skip
    _, body = envelopes.seal("payment", forged.DESCRIPTOR.full_name, [forged.SerializeToString()])
    for user, own in (("notifier", "notifications.billing"), ("payment", "invoice.generate")):
        async with await aio_pika.connect(broker_url_of(user)) as connection:
            for name in (REQUEUE, *retry_queues(RETRY_SCHEDULE_MS[0])):
                exchange = await (await connection.channel()).get_exchange(name, ensure=False)
                for copies in ("CC", "BCC"):
                    message = aio_pika.Message(body, user_id=user, headers={copies: ["wallet.credit"]})
                    await exchange.publish(message, own, mandatory=False)

    async def reported() -> bool:
        return any(alert.cause == "message_forged" for _, alert in await published(db, "email.admin.alert"))

    await until(reported)
    await asyncio.sleep(0.5)
    assert (await totals(operator)).get("wallets.INR.paid", 0) == 0
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from wallet_transactions")).scalar_one() == 0
        assert (await tx.execute("select count(*) from dead_letters")).scalar_one() == 0
