"""What is measured of payments; the fleet's common measures are in common."""

from collections.abc import Iterable
from datetime import datetime

from common import telemetry
from payment.domain import Payment, Status, Transition

_moves = telemetry.counter("payment_moves_total", "Payments by the status that they reached", ["status", "gateway"])
_create = telemetry.histogram("payment_create_seconds", "From the create request to its answer", ["outcome"])
_success = telemetry.histogram(
    "payment_success_seconds",
    "From the create request to the verified success",
    ["gateway"],
    buckets=(0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
_webhook = telemetry.histogram(
    "payment_webhook_success_seconds",
    "From the webhook's arrival to the verified success",
    ["gateway"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30, 120),
)
_calls = telemetry.histogram("payment_gateway_call_seconds", "Gateway calls", ["operation", "outcome"])
_swept = telemetry.counter(
    "payment_swept_total", "Payments that moved by the sweep, not by a webhook: webhooks are being missed", ["status"]
)


def moved(payments: Iterable[tuple[Payment, Iterable[Transition]]], now: datetime) -> None:
    for payment, lines in payments:
        for line in lines:
            _moves.of(line.to_status.value, payment.gateway).inc()
            if line.to_status is Status.SUCCESS:
                _success.of(payment.gateway).observe((now - payment.created_at).total_seconds())


def created(seconds: float, outcome: str) -> None:
    _create.of(outcome).observe(seconds)


def called(operation: str, status: int, outcome: str, ms: float) -> None:
    """*outcome* is "answered" or why there was no answer; answers are told apart by their class of status."""
    _calls.of(operation, f"{status // 100}xx" if outcome == "answered" else outcome).observe(ms / 1000)


def webhook_succeeded(gateway: str, seconds: float) -> None:
    _webhook.of(gateway).observe(max(seconds, 0.0))


def swept(status: Status) -> None:
    _swept.of(status.value).inc()
