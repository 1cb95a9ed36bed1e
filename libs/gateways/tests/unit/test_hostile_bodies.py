"""Whatever a gateway sends or somebody signs: what is read can be stored, compared and shown, and nothing raises."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import times
from common.money import Money
from common.testing import hostile
from gateways import (
    IgnoredWebhook,
    MalformedWebhook,
    OrderMissing,
    OrderRefused,
    OrderSnapshot,
    PaymentAttempt,
    PaymentWebhook,
    Unknown,
    WebhookSummary,
)
from gateways.cashfree import amounts, attempts, orders, webhooks
from gateways.cashfree.webhooks import read_signature
from gateways.registry import ADAPTERS
from gateways.verification import WebhookTimestampInvalid

ORDER = {
    "cf_order_id": "2149460581",
    "order_id": "ord_1",
    "order_amount": 500,
    "order_currency": "INR",
    "order_status": "PAID",
    "payment_session_id": "session_x",
    "order_tags": {"payment_id": "pay_1"},
}
ATTEMPT = {
    "cf_payment_id": "12376123",
    "order_id": "ord_1",
    "payment_status": "SUCCESS",
    "payment_amount": 500.00,
    "payment_currency": "INR",
    "order_amount": 500,
    "order_currency": "INR",
    "payment_group": "upi",
    "payment_method": {"upi": {"upi_id": "asha@bank"}},
    "payment_time": "2026-04-01T15:30:00+05:30",
    "payment_completion_time": "2026-04-01T15:30:00+05:30",
    "bank_reference": "P78112898712",
    "is_captured": True,
    "error_details": {"error_code": "TRANSACTION_DECLINED", "error_reason": "insufficient_funds"},
}
WEBHOOK = {
    "data": {
        "order": {"order_id": "ord_1", "order_amount": 500.00, "order_currency": "INR", "order_tags": None},
        "payment": ATTEMPT,
        "refund": {"cf_refund_id": 1, "refund_id": "r", "refund_status": "SUCCESS"},
        "dispute": {"dispute_id": 1, "dispute_status": "X", "updated_at": "2026-04-01T15:30:00+05:30"},
        "settlement": {"settlement_id": 1, "status": "SUCCESS"},
        "customer_details": {"customer_email": "asha@example.in"},
    },
    "event_time": "2026-04-01T15:30:00+05:30",
    "type": "PAYMENT_SUCCESS_WEBHOOK",
}
ERROR = {"message": "no", "code": "order_not_found", "type": "invalid_request_error"}

statuses = st.sampled_from([200, 201, 302, 400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 502, 503])


def body_of(document: Any) -> st.SearchStrategy[bytes]:
    return hostile.mutated(document).map(hostile.encode) | hostile.bodies


def assert_storable(*texts: str | None) -> None:
    for text in texts:
        if text is not None:
            assert text.isprintable(), ascii(text)
            assert len(text) <= 1_024


def assert_sound(attempt: PaymentAttempt) -> None:
    assert_storable(attempt.order_id, attempt.gateway_payment_id, attempt.method, attempt.group)
    assert_storable(attempt.bank_reference, attempt.reason)
    assert attempt.gateway_payment_id
    assert attempt.at is None or times.FIRST <= attempt.at < times.END
    for money in (attempt.amount, attempt.order_amount):
        assert money is None or 0 <= money.minor <= amounts.MINOR_MAX


@hostile.pure
@given(body_of(WEBHOOK))
def test_a_webhook_is_read_or_said_to_be_unreadable(body: bytes) -> None:
    for adapter in ADAPTERS.values():
        read = adapter.parse_webhook(body)
        assert isinstance(read, PaymentWebhook | IgnoredWebhook | MalformedWebhook)
        if isinstance(read, PaymentWebhook):
            assert_storable(read.order_id)
            assert_sound(read.attempt)
        summary = adapter.summarise_webhook(body)
        assert isinstance(summary, WebhookSummary)
        assert_storable(summary.type, summary.order_id, summary.gateway_payment_id, summary.gateway_refund_id)
        assert_storable(summary.gateway_status)
        assert summary.event_time is None or times.FIRST <= summary.event_time < times.END
        summary.identity.encode()


GENUINE = {**WEBHOOK, "data": {"order": WEBHOOK["data"]["order"], "payment": ATTEMPT}}


def claim_of(content: object) -> tuple[object, ...]:
    """What payment acts on; the rest is merely shown."""
    assert isinstance(content, PaymentWebhook), content
    attempt = content.attempt
    return content.order_id, attempt.gateway_payment_id, attempt.status, attempt.order_amount, attempt.amount


# Each field that decides: as it was, absent, or another value.
CLAIMS = st.fixed_dictionaries(
    {
        ("order", "order_id"): st.sampled_from(["ord_1", "ord_2", None, "\0"]),
        ("order", "order_amount"): st.sampled_from([500, 500.0, 1, 0.001, None, "500"]),
        ("order", "order_currency"): st.sampled_from(["INR", "USD", "XXX", None]),
        ("payment", "cf_payment_id"): st.sampled_from(["12376123", 12376123, "2", None]),
        ("payment", "payment_status"): st.sampled_from(["SUCCESS", "PENDING", "odd", None]),
        ("payment", "payment_amount"): st.sampled_from([500, 500.0, 500.01, None]),
        ("payment", "payment_currency"): st.sampled_from(["INR", "USD", None]),
        ("payment", "is_captured"): st.sampled_from([True, False, None]),
    }
)


def changed(claims: dict[tuple[str, str], object]) -> bytes:
    data: dict[str, dict[str, object]] = {part: dict(GENUINE["data"][part]) for part in ("order", "payment")}  # type: ignore[index]
    for (part, field), value in claims.items():
        data[part][field] = value
    return hostile.encode({**GENUINE, "data": data})


def one_field(claims: dict[tuple[str, str], object]) -> st.SearchStrategy[bytes]:
    return st.sampled_from(sorted(claims)).map(lambda field: changed({field: claims[field]}))


@hostile.pure
@given(CLAIMS.flatmap(one_field) | CLAIMS.map(changed) | body_of(GENUINE) | body_of(WEBHOOK))
def test_a_body_makes_no_duplicate_of_one_that_claims_something_else(body: bytes) -> None:
    """And what is malformed makes none of anything: only its own bytes repeat it."""
    identity = webhooks.summarise_webhook(body).identity
    claim = webhooks.parse_webhook(body)
    if isinstance(claim, MalformedWebhook):
        assert identity == ""
    genuine = hostile.encode(GENUINE)
    if identity == webhooks.summarise_webhook(genuine).identity:
        assert claim_of(claim) == claim_of(webhooks.parse_webhook(genuine))


@hostile.pure
@given(st.lists(hostile.mutated(ATTEMPT).filter(hostile.is_json), max_size=3), statuses)
def test_a_list_of_attempts_is_read_entry_by_entry(entries: list[Any], status: int) -> None:
    listed = attempts.parse_get_payments("ord_1", status, hostile.encode([*entries, ATTEMPT]))
    assert isinstance(listed, Unknown | Sequence)
    if isinstance(listed, Unknown):
        assert status != 200
        return
    for each in listed:
        assert_sound(each)
    # The good one is last, and there whatever came before it.
    assert (listed[-1].gateway_payment_id, listed[-1].amount) == ("12376123", Money(50_000))


@hostile.pure
@given(hostile.bodies, statuses)
def test_other_answers_to_a_list_are_unknown(body: bytes, status: int) -> None:
    assert isinstance(attempts.parse_get_payments("ord_1", status, body), Unknown | list)


@pytest.mark.parametrize(
    "parse", [orders.parse_create_order, orders.parse_get_order, orders.parse_terminate_order], ids=lambda f: f.__name__
)
@hostile.pure
@given(body_of(ORDER) | body_of(ERROR), statuses)
def test_an_answer_about_an_order_is_read_or_unknown(
    parse: Callable[[str, int, bytes], object], body: bytes, status: int
) -> None:
    answer = parse("ord_1", status, body)
    assert isinstance(answer, OrderSnapshot | OrderMissing | OrderRefused | orders.ReadInstead | Unknown)
    if isinstance(answer, OrderSnapshot):
        assert (answer.order_id, 0 <= answer.amount.minor <= amounts.MINOR_MAX) == ("ord_1", True)
        assert_storable(answer.gateway_order_id, answer.session_id, answer.payment_id)
    if isinstance(answer, OrderRefused):
        assert_storable(answer.code)
        assert answer.code


@hostile.pure
@given(
    st.sampled_from(hostile.NUMBERS).filter(lambda text: text[0] != "0" or text == "00") | st.decimals().map(str),
    st.sampled_from(["INR", "JPY", "KWD", "inr", "", "XXX", "\0"]),
)
def test_an_amount_is_exact_or_refused(text: str, currency: str) -> None:
    try:
        amount = Decimal(text)
    except ArithmeticError:
        return
    try:
        money = amounts.parse_rupees(amount, currency)
    except ValueError:
        return
    assert 0 <= money.minor <= amounts.MINOR_MAX
    assert Decimal(money.minor).scaleb(-{"INR": 2, "JPY": 0, "KWD": 3}[currency]) == amount


@hostile.pure
@given(
    st.dictionaries(
        st.sampled_from(["x-webhook-timestamp", "x-webhook-signature", "x-webhook-version", "x-webhook-attempt"]),
        hostile.texts,
    )
)
def test_the_headers_of_a_webhook_are_read_or_refused(headers: dict[str, str]) -> None:
    try:
        given_signature = read_signature(headers)
    except WebhookTimestampInvalid:
        return
    assert given_signature.attempt >= 0
    assert_storable(given_signature.version)
    signed_at = given_signature.signed_at
    assert signed_at is not None
    # What compares it with the clock must not overflow.
    assert abs(datetime(2026, 1, 1, tzinfo=UTC) - signed_at) < timedelta(days=366 * 300)


def test_depth_and_length_are_no_reason_to_raise() -> None:
    for body in (b"[" * 100_000, b'{"data":' * 100_000, json.dumps({"type": "x" * 10**6}).encode()):
        assert webhooks.summarise_webhook(body) == WebhookSummary()
        assert isinstance(webhooks.parse_webhook(body), MalformedWebhook | IgnoredWebhook)
        assert isinstance(attempts.parse_get_payments("ord_1", 200, body), Unknown)
        assert isinstance(orders.parse_get_order("ord_1", 200, body), Unknown)
