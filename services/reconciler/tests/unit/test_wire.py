"""Analytics events as they come, summaries as they go."""

from __future__ import annotations

from typing import Any

import pytest

from commdesk.common.v1.common_pb2 import Money
from commdesk.payment.v1.events_pb2 import AnalyticsPaymentSucceeded
from commdesk.webhook_ingest.v1.events_pb2 import AnalyticsWebhookFailed
from common import ids
from reconciler import wire
from reconciler.domain import BillingDay, BillingKind, CaseStatus


def succeeded(**fields: Any) -> AnalyticsPaymentSucceeded:
    defaults: dict[str, Any] = {
        "event_id": ids.encode("evt", ids.new()),
        "amount": Money(minor=50_000, currency="INR"),
        "duration_micros": 7,
    }
    return AnalyticsPaymentSucceeded(**defaults | fields)


def test_a_success_keeps_its_figures() -> None:
    event = wire.payment_succeeded(succeeded(method="upi", pack_id="pack_500", merchant_id="mer_1"))
    assert (event.kind, event.amount_minor, event.currency) == (BillingKind.PAYMENT_SUCCEEDED, 50_000, "INR")
    assert (event.method, event.pack_id, event.duration_micros, event.merchant_id) == ("upi", "pack_500", 7, "mer_1")


def test_a_webhook_failure_names_no_merchant() -> None:
    event = wire.webhook_failed(
        AnalyticsWebhookFailed(event_id=ids.encode("evt", ids.new()), gateway="cashfree", reason="signature_invalid")
    )
    assert (event.merchant_id, event.currency, event.reason) == ("", "", "signature_invalid")


@pytest.mark.parametrize("fields", [{"amount": Money(minor=-1, currency="INR")}, {"duration_micros": -1}])
def test_figures_below_zero_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(wire.BillingFiguresWrong):
        wire.payment_succeeded(succeeded(**fields))


@pytest.mark.parametrize(
    ("text", "status"),
    [("", CaseStatus.OPEN), ("OPEN", CaseStatus.OPEN), ("RESOLVED", CaseStatus.RESOLVED), ("ANY", None)],
)
def test_statuses_to_ask_for(text: str, status: CaseStatus | None) -> None:
    assert wire.case_status(text) is status


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(wire.CaseStatusUnknown):
        wire.case_status("CLOSED")


def test_a_summary_adds_up_by_currency_in_whole_numbers() -> None:
    days = [
        BillingDay("2026-01-01", "INR", 3, 1, 2, 300, 100, 200, 11),
        BillingDay("2026-01-02", "INR", 1, 1, 0, 100, 100, 0, 10),
        BillingDay("2026-01-02", "USD", 1, 0, 0, 5, 0, 0, 0),
    ]
    summary: Any = wire.summary_json(days, 4)
    assert summary["totals"]["INR"] == {
        "paymentsCreated": 4,
        "paymentsSucceeded": 2,
        "paymentsFailed": 2,
        "createdMinor": 400,
        "succeededMinor": 200,
        "failedMinor": 200,
        "successRateBasisPoints": 5_000,
        "averageDurationMicros": 10,
    }
    assert summary["totals"]["USD"]["successRateBasisPoints"] is None
    assert [day["day"] for day in summary["days"]] == ["2026-01-01", "2026-01-02", "2026-01-02"]
    assert summary["webhookFailures"] == 4
    assert "webhookFailures" not in wire.summary_json(days, None)
