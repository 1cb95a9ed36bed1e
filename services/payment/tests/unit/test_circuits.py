"""The circuit breaker: when it opens, whom it admits, when it closes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.clock import FakeClock
from gateways import GatewayCall
from payment.domain import circuits
from payment.domain.circuits import CLOSED, Circuit, CircuitSettings
from payment.use_cases.gateway_health import GatewayHealth, HealthSettings

SETTINGS = CircuitSettings(failures=3, open_seconds=30.0)


def after(failures: int, now: float = 0.0) -> Circuit:
    circuit = CLOSED
    for _ in range(failures):
        circuit = circuits.failed(circuit, SETTINGS, now)
    return circuit


def test_it_opens_at_the_last_of_the_failures_in_a_row() -> None:
    assert [after(number).is_open for number in range(5)] == [False, False, False, True, True]


def test_it_admits_one_payment_once_nobody_was_sent_for_a_while() -> None:
    circuit = after(3)
    assert not circuit.admits(29.9)
    assert circuit.admits(30.0)
    trial = circuits.tried(circuit, SETTINGS, 30.0)
    assert not trial.admits(30.1)
    assert trial.admits(60.0)


def test_any_failure_meanwhile_puts_the_trial_off() -> None:
    """Payments that wait for their gateway ask it again: none of the new ones has to be the trial."""
    assert not circuits.failed(after(3), SETTINGS, 20.0).admits(49.0)


@given(st.lists(st.floats(0, 1e6), max_size=30).map(sorted))
def test_a_closed_circuit_admits_and_an_open_one_waits_its_time(times: list[float]) -> None:
    circuit = CLOSED
    for now in times:
        circuit = circuits.failed(circuit, SETTINGS, now)
        assert circuit.is_open == (circuit.failures >= 3)
        assert circuit.admits(now) == (not circuit.is_open)


def test_another_replicas_finding_opens_it_and_does_not_prolong_it() -> None:
    opened = circuits.opened_elsewhere(CLOSED, SETTINGS, 10.0)
    assert not opened.admits(39.0)
    assert circuits.opened_elsewhere(opened, SETTINGS, 20.0) is opened


def test_a_closed_circuit_has_no_trials() -> None:
    assert circuits.tried(CLOSED, SETTINGS, 5.0) is CLOSED


@pytest.mark.parametrize("status", [401, 403, 500, 502])
def test_an_account_that_makes_no_orders_is_passed_over(status: int) -> None:
    """Also one whose keys are refused: waiting for it would leave every payment without an order."""
    health = GatewayHealth(None, None, FakeClock(), HealthSettings(SETTINGS))  # type: ignore[arg-type]
    for _ in range(SETTINGS.failures):
        health.record(GatewayCall("cashfree", "gwa_a", "create_order", "ord_1", status, "answered", 5.0))
    assert "gwa_a" in health.health().failing
    # What says no to a request says that the account works.
    health.record(GatewayCall("cashfree", "gwa_a", "create_order", "ord_2", 400, "answered", 5.0))
    assert "gwa_a" not in health.health().failing
