"""Where the gateway neither closes nor expires an order, an unpaid payment ends by its own time and cancellation."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from gateways import AttemptStatus, OrderStatus, PaymentAttempt
from payment.domain import state_machine
from payment.domain.errors import OrderStateUnknown
from payment.domain.orders import needs_list
from payment.domain.states import Status

from ..builders import NOW, Builders

Build = type[Builders]
OVER = {"expires_at": NOW}
CANCELLED = {"cancel_requested": True}


def new_ids() -> Iterator[UUID]:
    return (UUID(int=number) for number in count(1))


def status(build: Build, before: Status, *attempts: PaymentAttempt, stays_open: bool = True, **fields: Any) -> Status:
    order = build.order(OrderStatus.ACTIVE, *attempts, stays_open=stays_open)
    ids = new_ids()
    decision = state_machine.decide(build.payment(before, **fields), order, NOW, lambda: next(ids))
    # Closed is not final at the gateway.
    assert decision.watched == (decision.payment.status in (Status.EXPIRED, Status.FAILED, Status.CANCELLED))
    return decision.payment.status


@pytest.mark.parametrize("before", [Status.CREATED, Status.PENDING, Status.AUTHORIZING, Status.PROCESSING])
def test_an_unpaid_payment_ends_when_its_time_is_over(build: Build, before: Status) -> None:
    failed = build.attempt(AttemptStatus.FAILED, reason="declined")
    assert status(build, before, failed, **OVER) is Status.FAILED
    if before in (Status.CREATED, Status.PENDING):
        assert status(build, before, **OVER) is Status.EXPIRED
        assert status(build, before, expires_at=NOW + timedelta(seconds=1)) is Status.PENDING
        assert status(build, before, stays_open=False, **OVER) is Status.PENDING


@pytest.mark.parametrize("before", [Status.PENDING, Status.AUTHORIZING])
def test_a_cancelled_payment_is_cancelled_although_its_order_stays_open(build: Build, before: Status) -> None:
    assert status(build, before, build.attempt(AttemptStatus.AUTHORIZING), **CANCELLED) is Status.CANCELLED
    assert status(build, before, stays_open=False, **CANCELLED) is before


@pytest.mark.parametrize("ending", [OVER, CANCELLED])
def test_money_that_is_on_its_way_is_waited_for(build: Build, ending: dict[str, Any]) -> None:
    """Authorised, and captured or given back by the gateway within days: then the payment ends."""
    authorised = build.attempt(AttemptStatus.PENDING)
    assert status(build, Status.PENDING, authorised, **ending) is Status.PROCESSING
    given_back = build.attempt(AttemptStatus.FAILED, reason="failed")
    assert status(build, Status.PROCESSING, given_back, **ending) in (Status.FAILED, Status.CANCELLED)


def test_a_paid_payment_does_not_end(build: Build) -> None:
    paid = build.order(OrderStatus.PAID, build.attempt(), stays_open=True)
    ids = new_ids()
    decision = state_machine.decide(build.payment(**OVER, **CANCELLED), paid, NOW, lambda: next(ids))
    assert decision.payment.status is Status.SUCCESS


@pytest.mark.parametrize("before", [Status.EXPIRED, Status.CANCELLED, Status.FAILED])
def test_a_closed_payment_is_paid_late_where_the_open_order_is(build: Build, before: Status) -> None:
    paid = build.order(OrderStatus.PAID, build.attempt(), stays_open=True)
    ids = new_ids()
    assert state_machine.decide(build.payment(before), paid, NOW, lambda: next(ids)).payment.status is Status.SUCCESS


def test_nothing_ends_before_the_attempts_were_read(build: Build) -> None:
    """The order alone does not say whether money is on its way."""
    claimed = build.claimed(OrderStatus.ACTIVE, stays_open=True)
    assert needs_list(claimed.snapshot, ())
    with pytest.raises(OrderStateUnknown):
        state_machine.decide(build.payment(**OVER), claimed, NOW, UUID)
