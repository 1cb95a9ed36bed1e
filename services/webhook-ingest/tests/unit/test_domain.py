"""Who may send, what is the same, and how reports in any order lead to one place."""

import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import ids
from webhook_ingest import domain
from webhook_ingest.domain import RANK, Progress, Report, Status, Webhook, WebhookSourceRefused

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEBHOOK_ID = ids.new()
# In the order of their declaration: workers that share the tests must agree on their names.
REPORTED = [status for status in Status if status is not Status.RECEIVED]


def _report(status: Status, *, at: datetime = NOW, attempt: int = 0, reason: str = "") -> Report:
    return Report(ids.new(), WEBHOOK_ID, "cashfree", status, reason, attempt, at)


def _progress(status: Status) -> Progress:
    return Progress(WEBHOOK_ID, status, 0, None, NOW if status in domain.FINAL else None)


@pytest.mark.parametrize(("start", "to"), list(product(Status, REPORTED)))
def test_the_furthest_status_wins(start: Status, to: Status) -> None:
    after = domain.follow(_progress(start), _report(to))
    assert after.status is max(start, to, key=RANK.__getitem__)


@pytest.mark.parametrize("late", REPORTED)
def test_nothing_takes_success_back(late: Status) -> None:
    after = domain.follow(_progress(Status.SUCCESS), _report(late, at=NOW + timedelta(hours=1), reason="late"))
    assert (after.status, after.failure_reason) == (Status.SUCCESS, None)


reports = st.lists(
    st.builds(
        _report,
        st.sampled_from(REPORTED),
        at=st.integers(0, 10_000).map(lambda seconds: NOW + timedelta(seconds=seconds)),
        attempt=st.integers(0, 5),
        reason=st.sampled_from(["a", "b", ""]),
    ),
    max_size=8,
    unique_by=lambda report: report.at,
)


@given(reports.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_reports_commute(orders: tuple[list[Report], list[Report]]) -> None:
    ends = [
        domain.follow_all({WEBHOOK_ID: _progress(Status.RECEIVED)}, order).get(WEBHOOK_ID)
        for order in (*orders, [*orders[0], *orders[0]])
    ]
    assert ends[0] == ends[1] == ends[2]


def test_a_batch_folds_by_body_and_by_event(
    webhook: Callable[..., Webhook], payment_body: Callable[..., bytes]
) -> None:
    first = webhook(payment_body("1"))
    same_body = webhook(payment_body("1"))
    same_event = webhook(payment_body("1", event_time="2025-02-02T00:00:00+05:30"))
    body_of_the_same_event = webhook(same_event.body)
    other = webhook(payment_body("2"))
    distinct, repeats = domain.fold([first, same_body, same_event, body_of_the_same_event, other])
    assert distinct == [first, other]
    assert repeats == dict.fromkeys(
        (each.webhook_id for each in (same_body, same_event, body_of_the_same_event)), first
    )


def test_the_allow_list_admits_its_networks_only() -> None:
    allowed = [ipaddress.ip_network("52.66.101.190"), ipaddress.ip_network("10.0.0.0/8")]
    domain.check_source("52.66.101.190", allowed)
    domain.check_source("10.1.2.3", allowed)
    domain.check_source("anything", [])
    for address in ("52.66.101.191", "2001:db8::1", "", "not an address"):
        with pytest.raises(WebhookSourceRefused):
            domain.check_source(address, allowed)


def test_credentials_are_not_stored() -> None:
    kept = domain.kept_headers(
        {
            "authorization": "Bearer x",
            "cookie": "a=b",
            "x-webhook-version": "1",
            "x-long": "y" * 5000,
            "x-nul": "a\0b",
        }
    )
    assert kept == {"x-webhook-version": "1", "x-long": "y" * domain.HEADER_CHARACTERS_MAX, "x-nul": "ab"}
    many = {"cookie": "a=b"} | {f"h{n}": "v" for n in range(1000)}
    assert list(domain.kept_headers(many)) == [f"h{n}" for n in range(domain.HEADERS_MAX)]
