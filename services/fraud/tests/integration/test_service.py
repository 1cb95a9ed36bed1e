"""The whole service as a process of its own: events feed the counters, the counters decide the next score."""

import time

import grpc
import pytest

from commdesk.common.v1.common_pb2 import Money
from commdesk.fraud.v1 import fraud_pb2
from commdesk.fraud.v1.fraud_pb2_grpc import FraudServiceStub
from commdesk.payment.v1 import events_pb2 as pb
from commdesk.payment.v1.payment_pb2 import Payment
from common import grpc_client, ids
from common.database import Database
from common.testing import Announce, public_key, until
from common.tokens import ServiceTokens


@pytest.mark.usefixtures("running_service")
async def test_events_decide_the_next_score(
    announce: Announce, db: Database, settings_env: dict[str, str], service_keys: dict[str, str]
) -> None:
    amount = Money(minor=50_000, currency="INR")
    now = int(time.time() * 1_000_000)
    payments = [
        Payment(payment_id=ids.encode("pay", ids.new()), merchant_id="mer_1", user_id="usr_1", amount=amount)
        for _ in range(5)
    ]
    await announce([pb.PaymentFailed(payment=each, time_unix_micros=now, ip="1.2.3.4") for each in payments], times=2)

    async def counted() -> bool:
        async with db.begin() as tx:
            return bool((await tx.execute("select sum(failed) from velocity_buckets")).scalar_one() == 10)

    await until(counted)
    public = {name: public_key(key) for name, key in service_keys.items()}
    tokens = ServiceTokens("payment", service_keys["payment"], public)
    channel: grpc.aio.Channel = grpc_client.channel(f"127.0.0.1:{settings_env['GRPC_PORT']}", tokens, "fraud")
    subject = fraud_pb2.Subject(
        payment_id=ids.encode("pay", ids.new()), merchant_id="mer_1", user_id="usr_1", ip="1.2.3.4", amount=amount
    )
    stub = FraudServiceStub(channel)  # type: ignore[no-untyped-call]
    answer = await stub.Score(fraud_pb2.ScoreRequest(subjects=[subject]), timeout=2)
    await channel.close(None)
    assert answer.scores[0].decision == fraud_pb2.DECISION_REVIEW
    assert list(answer.scores[0].reasons) == ["user_failures_10m"]

    async def flags() -> list[bool]:
        async with db.begin() as tx:
            rows = await tx.execute("select published_at from outbox where routing_key = 'fraud.flagged'")
            return [row.published_at is not None for row in rows]

    assert await flags() == []
    made = Payment(payment_id=subject.payment_id, merchant_id="mer_1", user_id="usr_1", amount=amount)
    await announce([pb.PaymentCreated(payment=made, time_unix_micros=now, ip="1.2.3.4")], times=2)

    async def flagged_once() -> bool:
        return await flags() == [True]

    await until(flagged_once)
    await announce([pb.PaymentFailed(payment=made, time_unix_micros=now, ip="1.2.3.4")], times=2)

    async def all_counted() -> bool:
        async with db.begin() as tx:
            return bool((await tx.execute("select sum(failed) from velocity_buckets")).scalar_one() == 12)

    await until(all_counted)
    assert await flags() == [True]
