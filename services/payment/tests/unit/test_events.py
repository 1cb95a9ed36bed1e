"""What is announced when a payment moves."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from commdesk.payment.v1.events_pb2 import AnalyticsPaymentSucceeded
from payment.domain import Moved, Status
from payment.wire import events


@pytest.mark.parametrize(("seconds", "told_seconds"), [(90, 90), (0, 0), (-600, 0)])
def test_no_payment_takes_less_than_no_time(build: Any, seconds: int, told_seconds: int) -> None:
    """A clock may be put back, or another process's be wrong: listeners refuse figures below zero."""
    payment = build.payment(Status.SUCCESS)
    moved = Moved(payment, Status.PENDING, payment.created_at + timedelta(seconds=seconds), transaction_id=UUID(int=1))
    [told] = [
        event for event in events.announcements(moved, "https://pay") if isinstance(event, AnalyticsPaymentSucceeded)
    ]
    assert told.duration_micros == told_seconds * 1_000_000
