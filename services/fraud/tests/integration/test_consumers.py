"""Payment's events, decoded as they travel."""

import pytest

from commdesk.common.v1.common_pb2 import Money
from commdesk.payment.v1 import events_pb2 as pb
from commdesk.payment.v1.payment_pb2 import Payment
from common import ids
from common.events import micros
from common.testing import Served
from fraud import consumers
from fraud.domain.subjects import Dimension, key_of

Event = (
    pb.PaymentCreated
    | pb.PaymentSucceeded
    | pb.PaymentFailed
    | pb.PaymentAttemptFailed
    | pb.PaymentCancelled
    | pb.PaymentExpired
)


@pytest.mark.parametrize(
    ("message", "column", "by_ip"),
    [
        (pb.PaymentCreated(ip="1.2.3.4", device_id="dev"), "created", True),
        (pb.PaymentSucceeded(ip="1.2.3.4", device_id="dev"), "succeeded", True),
        (pb.PaymentFailed(ip="1.2.3.4", device_id="dev", reason="declined"), "failed", True),
        (pb.PaymentAttemptFailed(ip="1.2.3.4", device_id="dev", reason="declined"), "attempts_failed", True),
        (pb.PaymentCancelled(), "abandoned", False),
        (pb.PaymentExpired(), "abandoned", False),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, (str, bool)) else "",
)
async def test_every_event_is_counted(fraud: Served, message: Event, column: str, by_ip: bool) -> None:
    payment = Payment(
        payment_id=ids.encode("pay", ids.new()),
        merchant_id="mer_1",
        user_id="usr_1",
        amount=Money(minor=50_000, currency="INR"),
    )
    message.payment.CopyFrom(payment)
    message.time_unix_micros = micros(fraud.resources.clock.now())
    await fraud.handle(consumers.QUEUE, [message] * 2)
    async with fraud.resources.db.begin() as tx:
        rows = await tx.execute(f"select key, {column} as number from velocity_buckets")
        counts = {row.key: row.number for row in rows}
    assert counts[key_of(Dimension.USER, "mer_1", "usr_1")] == 2
    assert (key_of(Dimension.IP, "mer_1", "1.2.3.4") in counts) is by_ip
