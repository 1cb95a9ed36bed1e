"""What is announced when a payment moves."""

from datetime import timedelta
from uuid import UUID

import pytest

from commdesk.payment.v1.events_pb2 import AnalyticsPaymentSucceeded
from payment.domain.decisions import Moved
from payment.domain.states import Status
from payment.use_cases.announcements import messages

from ..builders import Builders


@pytest.mark.parametrize(("seconds", "announced_seconds"), [(90, 90), (0, 0), (-600, 0)])
def test_no_payment_takes_less_than_no_time(build: type[Builders], seconds: int, announced_seconds: int) -> None:
    """A clock may be put back, or another process's be wrong: listeners refuse figures below zero."""
    payment = build.payment(Status.SUCCESS)
    moved = Moved(payment, Status.PENDING, payment.created_at + timedelta(seconds=seconds), transaction_id=UUID(int=1))
    [event] = [each for each in messages(moved, "https://pay") if isinstance(each, AnalyticsPaymentSucceeded)]
    assert event.duration_micros == announced_seconds * 1_000_000
