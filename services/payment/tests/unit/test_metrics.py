"""The success rate counts each payment once."""

from collections.abc import Iterator
from itertools import count
from uuid import UUID

import prometheus_client
import pytest

from gateways import AttemptStatus, OrderStatus
from payment.domain import state_machine
from payment.domain.states import Status
from payment.use_cases import metrics

from ..builders import Builders

Build = type[Builders]
# One that no other test counts under.
GATEWAY = "counted"


def outcomes() -> dict[str, float]:
    names = ("success", "failed", "expired", "cancelled")
    return {
        name: prometheus_client.REGISTRY.get_sample_value(
            "commdesk_payment_outcomes_total", {"outcome": name, "gateway": GATEWAY}
        )
        or 0.0
        for name in names
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
    for order in orders:
        decision = state_machine.decide(payment, order, build.now, lambda: next(new))
        metrics.moved([decision], build.now)
        payment = decision.payment
    counted = {name: after - before[name] for name, after in outcomes().items()}
    assert counted == dict.fromkeys(counted, 0.0) | {outcome: 1.0}


def test_a_success_is_an_outcome(build: Build) -> None:
    before, new = outcomes(), ids()
    order = build.order(OrderStatus.PAID, build.attempt())
    decision = state_machine.decide(build.payment(gateway=GATEWAY), order, build.now, lambda: next(new))
    metrics.moved([decision], build.now)
    assert outcomes()["success"] - before["success"] == 1
