"""Analytics events in, requests in, summaries out."""

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from commdesk.common.v1.common_pb2 import Money
from commdesk.payment.v1.events_pb2 import AnalyticsPaymentSucceeded
from commdesk.webhook_ingest.v1.events_pb2 import AnalyticsWebhookFailed
from common import ids
from common.errors import LimitExceeded
from common.pages import encode_cursor
from reconciler.domain import billing
from reconciler.domain.billing import BillingDay, BillingFiguresInvalid, BillingKind, Figures, Period, PeriodInvalid
from reconciler.domain.runs import CaseStatus, CaseStatusUnknown, Position, parse_case_status
from reconciler.wire import events, requests, views
from reconciler.wire.requests import RunsQuery


def succeeded(**fields: Any) -> AnalyticsPaymentSucceeded:
    defaults: dict[str, Any] = {
        "event_id": ids.encode("evt", ids.new()),
        "amount": Money(minor=50_000, currency="INR"),
        "duration_micros": 7,
    }
    return AnalyticsPaymentSucceeded(**defaults | fields)


def test_a_success_keeps_its_figures() -> None:
    event = events.payment_succeeded(succeeded(method="upi", pack_id="pack_500", merchant_id="mer_1"))
    assert (event.kind, event.amount_minor, event.currency) == (BillingKind.PAYMENT_SUCCEEDED, 50_000, "INR")
    assert (event.method, event.pack_id, event.duration_micros, event.merchant_id) == ("upi", "pack_500", 7, "mer_1")


def test_a_webhook_failure_names_no_merchant() -> None:
    event = events.webhook_failed(
        AnalyticsWebhookFailed(event_id=ids.encode("evt", ids.new()), gateway="cashfree", reason="signature_invalid")
    )
    assert (event.merchant_id, event.currency, event.reason) == ("", "", "signature_invalid")


@pytest.mark.parametrize("fields", [{"amount": Money(minor=-1, currency="INR")}, {"duration_micros": -1}])
def test_figures_below_zero_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BillingFiguresInvalid):
        events.payment_succeeded(succeeded(**fields))


@pytest.mark.parametrize(
    ("text", "status"),
    [("", CaseStatus.OPEN), ("OPEN", CaseStatus.OPEN), ("RESOLVED", CaseStatus.RESOLVED), ("ANY", None)],
)
def test_statuses_to_ask_for(text: str, status: CaseStatus | None) -> None:
    assert parse_case_status(text) is status


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(CaseStatusUnknown):
        parse_case_status("CLOSED")


def test_a_list_without_pages_has_a_limit() -> None:
    assert [requests.cases_limit(limit) for limit in (0, 1, 500)] == [500, 1, 500]
    for limit in (501, -1):
        with pytest.raises(LimitExceeded):
            requests.cases_limit(limit)


def test_a_cursor_comes_back_as_the_position() -> None:
    at, run_id = datetime(2026, 1, 1, 12, 30, 0, 123, tzinfo=UTC), ids.new()
    assert requests.position(RunsQuery(cursor=encode_cursor(at, run_id))) == Position(at, run_id)
    assert requests.position(RunsQuery()) is None


TODAY = date(2026, 3, 1)


def test_a_period_is_30_days_unless_it_is_given() -> None:
    assert billing.parse_period(None, None, TODAY) == Period(date(2026, 1, 31), TODAY)
    assert billing.parse_period(TODAY, TODAY, TODAY) == Period(TODAY, TODAY)
    assert billing.parse_period(None, date(2026, 1, 30), TODAY) == Period(date(2026, 1, 1), date(2026, 1, 30))


@pytest.mark.parametrize(("first", "last"), [(TODAY, date(2026, 2, 28)), (date(2025, 2, 28), TODAY)])
def test_a_period_is_bounded(first: date, last: date) -> None:
    with pytest.raises(PeriodInvalid):
        billing.parse_period(first, last, TODAY)


@pytest.mark.parametrize(
    ("figures", "basis_points"),
    [
        (Figures(succeeded=1, failed=1), 5_000),
        (Figures(succeeded=1, failed=1, late=1), 10_000),
        (Figures(succeeded=1, failed=0, late=1), 10_000),
        (Figures(succeeded=2, failed=3, late=1), 5_000),
    ],
)
def test_a_payment_counts_once_in_the_success_rate(figures: Figures, basis_points: int) -> None:
    assert figures.success_rate_basis_points == basis_points


def test_a_summary_adds_up_by_currency_in_whole_numbers() -> None:
    days = [
        BillingDay(date(2026, 1, 1), "INR", Figures(3, 1, 2, 300, 100, 200, 11, refunds=1, refunds_minor=40)),
        BillingDay(date(2026, 1, 2), "INR", Figures(1, 1, 0, 100, 100, 0, 10)),
        BillingDay(date(2026, 1, 2), "USD", Figures(1, 0, 0, 5, 0, 0, 0)),
    ]
    period = Period(date(2026, 1, 1), date(2026, 1, 2))
    summary = msgspec.to_builtins(views.summary(billing.summarise(period, days, 4)))
    assert (summary["from"], summary["to"]) == ("2026-01-01", "2026-01-02")
    rupees, dollars = summary["totals"]
    assert rupees == {
        "currency": "INR",
        "paymentsCreated": 4,
        "paymentsSucceeded": 2,
        "paymentsFailed": 2,
        "createdAmount": 400,
        "succeededAmount": 200,
        "failedAmount": 200,
        "refundsCreated": 1,
        "refundsAmount": 40,
        "successRateBasisPoints": 5_000,
        "averageDurationMicros": 10,
    }
    assert dollars["successRateBasisPoints"] is None
    assert [day["day"] for day in summary["days"]] == ["2026-01-01", "2026-01-02", "2026-01-02"]
    assert summary["webhookFailures"] == 4
    assert views.summary(billing.summarise(period, days, None)).webhook_failures is None
