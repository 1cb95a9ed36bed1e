"""The success rate counts each payment once."""

from collections.abc import Iterator
from itertools import count
from uuid import UUID

import prometheus_client
import pytest
from google.protobuf.message import Message

from commdesk.payment.v1.events_pb2 import AnalyticsPaymentFailed, AnalyticsPaymentSucceeded
from gateways import AttemptStatus, OrderStatus
from payment.domain import state_machine
from payment.domain.states import Status
from payment.use_cases import metrics
from payment.use_cases.announcements import messages_for

from ..builders import Builders

Build = type[Builders]
# One that no other test counts under.
GATEWAY = "counted"


def outcomes() -> dict[str, float]:
    names = {"success": "upi", "failed": "none", "expired": "none", "cancelled": "none"}
    return {
        name: prometheus_client.REGISTRY.get_sample_value(
            "commdesk_payment_outcomes_total", {"outcome": name, "gateway": GATEWAY, "method": method}
        )
        or 0.0
        for name, method in names.items()
    }


def ids() -> Iterator[UUID]:
    return (UUID(int=number) for number in count(1))


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [(OrderStatus.EXPIRED, "expired"), (OrderStatus.TERMINATED, "failed")],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_payment_has_one_outcome_however_late_its_success(
    build: Build, ended: OrderStatus, outcome: str, late: bool
) -> None:
    before, new = outcomes(), ids()
    payment = build.payment(Status.CREATED, gateway=GATEWAY)
    orders = [
        build.order(OrderStatus.ACTIVE, build.attempt(AttemptStatus.PENDING)),
        build.order(ended),
        *([build.order(OrderStatus.PAID, build.attempt())] if late else []),
    ]
    announced: list[Message] = []
    for order in orders:
        decision = state_machine.decide(payment, order, build.now, lambda: next(new))
        metrics.moved([decision], build.now)
        announced += messages_for([decision], "https://pay.example.com")
        payment = decision.payment
    counted = {name: after - before[name] for name, after in outcomes().items()}
    assert counted == dict.fromkeys(counted, 0.0) | {outcome: 1.0}
    # The same for the merchant's own figures: one failure, and a success that says that it is no second outcome.
    assert len([each for each in announced if isinstance(each, AnalyticsPaymentFailed)]) == 1
    assert [each.is_late for each in announced if isinstance(each, AnalyticsPaymentSucceeded)] == [True] * late


def test_a_success_is_an_outcome(build: Build) -> None:
    before, new = outcomes(), ids()
    order = build.order(OrderStatus.PAID, build.attempt())
    decision = state_machine.decide(build.payment(gateway=GATEWAY), order, build.now, lambda: next(new))
    metrics.moved([decision], build.now)
    assert outcomes()["success"] - before["success"] == 1
