"""What is measured of payments; the fleet's common metrics are in common."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from common import telemetry
from gateways import GatewayCall
from gateways.settlements import SettlementRow
from payment.domain.decisions import Decision
from payment.domain.payments import Payment, Transition
from payment.domain.refunds import Refund, RefundStatus
from payment.domain.settlements import Settlement
from payment.domain.states import CLOSED_UNPAID, UNRESOLVED, Status

_moves = telemetry.counter("payment_moves_total", "Payments by the status that they reached", ["status", "gateway"])
_outcomes = telemetry.counter(
    "payment_outcomes_total",
    "Payments by their first outcome, each counted once: the success rate is success over all of them; "
    "the method is none where nobody chose one",
    ["outcome", "gateway", "method"],
)
_late = telemetry.counter("payment_late_successes_total", "Successes after another outcome was counted", ["gateway"])
_create = telemetry.histogram(
    "payment_create_seconds", "From the create request to its answer: created, refused, unresolved", ["outcome"]
)
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
_calls = telemetry.histogram(
    "payment_gateway_call_seconds",
    "Gateway calls: 2xx, 4xx, 5xx when they were answered, otherwise why they were not",
    ["operation", "outcome"],
)
_swept = telemetry.counter(
    "payment_swept_total",
    "Payments that moved by the sweep, not by a webhook: webhooks are being missed",
    ["status"],
)
_settlements = telemetry.counter(
    "payment_settlements_imported_total", "Settlements that were new or changed, by the gateway's status", ["status"]
)
_settlement_rows = telemetry.counter(
    "payment_settlement_rows_imported_total", "Rows of settlements that were new", ["kind"]
)
_refunds = telemetry.counter("payment_refunds_total", "Refunds by the status that they reached", ["status", "gateway"])
_refund_seconds = telemetry.histogram(
    "payment_refund_seconds",
    "From the request for a refund to the gateway's success or refusal",
    ["outcome", "gateway"],
    buckets=(1, 5, 30, 120, 600, 3600, 6 * 3600, 86_400, 3 * 86_400, 7 * 86_400),
)


def refund_reached(refund: Refund, now: datetime) -> None:
    """Once for each status that a refund reaches, its first included."""
    _refunds.of(refund.status.value, refund.gateway).inc()
    if refund.status in (RefundStatus.SUCCESS, RefundStatus.FAILED):
        seconds = max(0.0, (now - refund.created_at).total_seconds())
        _refund_seconds.of(refund.status.value.lower(), refund.gateway).observe(seconds)


def moved(decisions: Iterable[Decision], now: datetime) -> None:
    for decision in decisions:
        payment = decision.payment
        for transition in decision.transitions:
            _moves.of(transition.to_status.value, payment.gateway).inc()
            _count_outcome(transition, payment)
            if transition.to_status is Status.SUCCESS:
                _success.of(payment.gateway).observe((now - payment.created_at).total_seconds())


def _count_outcome(transition: Transition, payment: Payment) -> None:
    """A payment has one outcome, the one by which it stops being unresolved; a late success does not add another."""
    before, after = transition.from_status, transition.to_status
    if before in UNRESOLVED and after not in UNRESOLVED:
        _outcomes.of(after.value.lower(), payment.gateway, payment.method.lower() or "none").inc()
    elif before in CLOSED_UNPAID and after is Status.SUCCESS:
        _late.of(payment.gateway).inc()


def create_answered(seconds: float, outcome: str) -> None:
    _create.of(outcome).observe(seconds)


def gateway_called(call: GatewayCall) -> None:
    """Calls that were answered are counted by the class of their status, the others by why there was no answer."""
    outcome = f"{call.http_status // 100}xx" if call.outcome == "answered" else call.outcome
    _calls.of(call.operation, outcome).observe(call.ms / 1000)


def webhook_succeeded(gateway: str, seconds: float) -> None:
    _webhook.of(gateway).observe(max(seconds, 0.0))


def swept(status: Status) -> None:
    _swept.of(status.value).inc()


def settlement_imported(settlement: Settlement) -> None:
    _settlements.of(settlement.status.value).inc()


def settlement_rows_imported(added: Iterable[str], rows: Mapping[str, SettlementRow]) -> None:
    for row_id in added:
        _settlement_rows.of(rows[row_id].kind.value).inc()


_routed = telemetry.counter(
    "payment_routed_total",
    "Payments for which there was more than one gateway account, by the chosen one",
    ["gateway", "reason"],
)
_moved_accounts = telemetry.counter(
    "payment_account_changes_total",
    "Payments without an order that went to another gateway account",
    ["gateway", "reason"],
)
_circuits = telemetry.gauge(
    "payment_gateway_circuits_open",
    "Gateway accounts that new payments pass over, as this process sees it",
    ["gateway"],
)
_open_circuits: dict[str, set[str]] = {}


def routed(gateway: str, reason: str) -> None:
    _routed.of(gateway, reason).inc()


def account_changed(gateway: str, reason: str) -> None:
    """*gateway* is the one that the payment left."""
    _moved_accounts.of(gateway, reason).inc()


def circuit_changed(account_id: str, gateway: str, *, is_open: bool) -> None:
    """Accounts are counted: merchants' ids are no labels."""
    accounts = _open_circuits.setdefault(gateway, set())
    (accounts.add if is_open else accounts.discard)(account_id)
    _circuits.of(gateway).set(len(accounts))
