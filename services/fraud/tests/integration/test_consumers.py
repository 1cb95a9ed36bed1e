"""Payment's events, decoded as they travel."""

from collections.abc import Callable

import pytest

from commdesk.common.v1.common_pb2 import Money
from commdesk.payment.v1 import events_pb2 as pb
from commdesk.payment.v1.payment_pb2 import Payment
from common import ids
from common.clock import FakeClock
from common.database import Database
from fraud import consumers, domain, wire
from fraud.domain import Dimension
from fraud.in_flight import InFlight


@pytest.mark.parametrize(
    ("message", "column", "by_ip"),
    [
        (pb.PaymentCreated(ip="1.2.3.4", device_id="dev"), "created", True),
        (pb.PaymentSucceeded(ip="1.2.3.4", device_id="dev"), "succeeded", True),
        (pb.PaymentFailed(ip="1.2.3.4", device_id="dev", reason="declined"), "failed", True),
        (pb.PaymentCancelled(), "abandoned", False),
        (pb.PaymentExpired(), "abandoned", False),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, (str, bool)) else "",
)
async def test_every_event_is_counted(
    db: Database, in_flight: InFlight, clock: FakeClock, message: object, column: str, by_ip: bool
) -> None:
    payment = Payment(
        payment_id=ids.encode("pay", ids.new()),
        merchant_id="mer_1",
        user_id="usr_1",
        amount=Money(minor=50_000, currency="INR"),
    )
    complete = type(message)(payment=payment, time_unix_micros=wire.micros(clock.now()))  # type: ignore[call-arg]
    complete.MergeFrom(message)  # type: ignore[attr-defined]
    subscriptions = consumers.subscriptions(in_flight, clock)
    [subscription] = [each for each in subscriptions if each.message is type(message)]
    async with db.begin() as tx:
        assert not await subscription.handle(tx, [subscription.decode(complete)] * 2)
    expected: Callable[[Dimension, str], object] = lambda dimension, value: domain.key_of(dimension, "mer_1", value)  # noqa: E731
    async with db.begin() as tx:
        rows = await tx.execute(f"select key, {column} as number from velocity_buckets")
        found = {row.key: row.number for row in rows}
    assert found[expected(Dimension.USER, "usr_1")] == 2
    assert (expected(Dimension.IP, "1.2.3.4") in found) is by_ip
