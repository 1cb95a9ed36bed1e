"""Cashfree's orders and attempts, as tables: what is sent, and what each answer is taken for. Unknown is not failed."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import Money
from gateways import (
    FAILURE_REASONS,
    AttemptStatus,
    Customer,
    IgnoredWebhook,
    MalformedWebhook,
    OrderMissing,
    OrderRefused,
    OrderRequest,
    OrderSnapshot,
    OrderStatus,
    PaymentAttempt,
    PaymentWebhook,
    Unknown,
)
from gateways.cashfree import attempts, orders, reasons, webhooks
from gateways.cashfree.amounts import parse_rupees


def order(**fields: Any) -> OrderRequest:
    usual: dict[str, Any] = {
        "order_id": "ord_1",
        "payment_id": "pay_1",
        "amount": Money(50_000),
        "customer_id": "usr_01J",
        "customer": Customer("asha@example.in", "9876543210", "Asha"),
        "expires_at": datetime(2026, 4, 1, 10, 30, tzinfo=UTC),
    }
    return OrderRequest(**usual | fields)


def entity(**fields: Any) -> bytes:
    return json.dumps(
        {
            "cf_order_id": "2149460581",
            "order_id": "ord_1",
            "entity": "order",
            "order_amount": 500,
            "order_currency": "INR",
            "order_status": "ACTIVE",
            "payment_session_id": "session_x",
            "order_splits": [],
            "order_tags": None,
            "something_new": {"a": [1]},
        }
        | fields
    ).encode()


def error(code: str, message: str = "no") -> bytes:
    return json.dumps({"message": message, "code": code, "type": "invalid_request_error"}).encode()


SNAPSHOT = OrderSnapshot("ord_1", "2149460581", OrderStatus.ACTIVE, Money(50_000), "session_x")
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"

# What nobody can read, whatever the status.
UNREADABLE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"ok"',
    HTML,
    entity()[:-20],
    b"\xff\xfe",
    entity(order_amount="five hundred"),
    entity(order_amount=None),
    entity(order_amount=500.001),
    entity(order_amount=True),
    entity(order_amount={"value": 500}),
    entity(order_amount=10**400),
    entity(order_currency="XXX"),
    entity(order_currency=None),
    entity(order_status="SOMETHING_NEW"),
    entity(order_status=None),
    entity(order_id="ord_2"),
    entity(order_id=7),
    entity().replace(b"500", b"NaN"),
    entity().replace(b"500", b"1e400"),
    entity()[:-1] + b',"order_amount":1.00}',
    entity()[:-1] + b',"order_status":"PAID"}',
    entity()[:-1] + b',"order_status" : "PAID"}',
]


def test_create_order_is_written_exactly() -> None:
    call = orders.build_create_order(
        order(
            amount=Money(17_005), return_url="https://x.in/r?o={order_id}", note="Pack", method_hint="card", attempt=3
        ),
        "https://pay.example/api/v1/webhooks/cashfree",
        "+919876543210",
    )
    assert (call.method, call.path, call.headers["x-idempotency-key"]) == ("POST", "/orders", "ord_1:3")
    assert b'"order_amount":170.05,' in call.body
    assert json.loads(call.body, parse_float=Decimal) == {
        "order_id": "ord_1",
        "order_amount": Decimal("170.05"),
        "order_currency": "INR",
        "customer_details": {
            "customer_id": "usr_01J",
            "customer_phone": "9876543210",
            "customer_email": "asha@example.in",
            "customer_name": "Asha",
        },
        "order_tags": {"payment_id": "pay_1"},
        "order_expiry_time": "2026-04-01T10:30:00+00:00",
        "order_meta": {
            "return_url": "https://x.in/r?o={order_id}",
            "notify_url": "https://pay.example/api/v1/webhooks/cashfree",
            "payment_methods": "cc,dc",
        },
        "order_note": "Pack",
    }


def test_what_is_not_known_is_left_out() -> None:
    body = json.loads(orders.build_create_order(order(customer=Customer(name="Al")), "", "9876543210").body)
    assert body["customer_details"] == {"customer_id": "usr_01J", "customer_phone": "9876543210"}
    assert "order_meta" not in body
    assert "order_note" not in body


@pytest.mark.parametrize(
    ("phone", "written"),
    [
        ("+919876543210", "9876543210"),
        ("9876543210", "9876543210"),
        ("+14155552671", "+14155552671"),
        ("+9198765432", "+9198765432"),
    ],
)
def test_an_indian_number_is_written_as_its_ten_digits(phone: str, written: str) -> None:
    body = json.loads(orders.build_create_order(order(), "", phone).body)
    assert body["customer_details"]["customer_phone"] == written


def test_no_number_is_invented() -> None:
    body = json.loads(orders.build_create_order(order(customer=Customer()), "", "").body)
    assert "customer_phone" not in body["customer_details"]


@given(st.integers(1, 50_000_000))
def test_amounts_survive_the_wire(minor: int) -> None:
    body = orders.build_create_order(order(amount=Money(minor)), "", "").body
    amount = json.loads(body, parse_float=Decimal, parse_int=Decimal)["order_amount"]
    assert parse_rupees(amount, "INR") == Money(minor)


@given(st.text(max_size=80))
def test_a_customer_id_is_always_one_that_cashfree_takes(user_id: str) -> None:
    made = orders.customer_id(user_id)
    assert 3 <= len(made) <= 50
    assert all(c.isascii() and (c.isalnum() or c in "_-") for c in made)
    assert made == orders.customer_id(user_id)


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [
        (200, entity(), SNAPSHOT),
        (200, entity(order_amount=500.0), SNAPSHOT),
        (200, entity(order_tags={"payment_id": "pay_1"}), msgspec.structs.replace(SNAPSHOT, payment_id="pay_1")),
        (200, entity(order_tags={"payment_id": 7}), SNAPSHOT),
        (200, entity(order_tags=["payment_id"]), SNAPSHOT),
        (200, entity(order_amount="500.00"), SNAPSHOT),
        (200, entity().replace(b"500", b"500.00"), SNAPSHOT),
        (409, error("order_already_exists"), orders.ReadInstead()),
        (422, error("request_invalid"), orders.ReadInstead()),
        (400, error("order_amount_invalid"), OrderRefused("order_amount_invalid")),
        (404, error("request_failed"), OrderRefused("request_failed")),
        (400, HTML, Unknown("http_400")),
        (401, error("request_failed"), Unknown("http_401")),
        (403, error("request_failed"), Unknown("http_403")),
        (429, error("request_failed"), Unknown("rate_limited")),
        (500, error("internal_error"), Unknown("http_500")),
        (502, HTML, Unknown("http_502")),
        (503, b"", Unknown("http_503")),
        (201, entity(), Unknown("http_201")),
        (302, b"", Unknown("http_302")),
    ],
)
def test_answers_to_create_order(status: int, body: bytes, answer: object) -> None:
    assert orders.parse_create_order("ord_1", status, body) == answer


@pytest.mark.parametrize("body", UNREADABLE, ids=lambda body: body[:30].decode("latin-1"))
def test_what_cannot_be_read_is_unknown(body: bytes) -> None:
    assert isinstance(orders.parse_create_order("ord_1", 200, body), Unknown)
    assert isinstance(orders.parse_get_order("ord_1", 200, body), Unknown)
    assert isinstance(orders.parse_terminate_order("ord_1", 200, body), Unknown)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_answer_makes_the_adapter_raise(status: int, body: bytes) -> None:
    orders.parse_create_order("ord_1", status, body)
    orders.parse_get_order("ord_1", status, body)
    attempts.parse_get_payments("ord_1", status, body)
    orders.parse_terminate_order("ord_1", status, body)
    webhooks.parse_webhook(body)


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [
        (200, entity(order_status="PAID"), OrderStatus.PAID),
        (200, entity(order_status="EXPIRED"), OrderStatus.EXPIRED),
        (200, entity(order_status="TERMINATED"), OrderStatus.TERMINATED),
        (200, entity(order_status="TERMINATION_REQUESTED"), OrderStatus.TERMINATING),
        (404, error("order_not_found"), OrderMissing("ord_1")),
        (404, HTML, Unknown("http_404")),
        (404, error("request_failed"), Unknown("http_404")),
        (429, b"", Unknown("rate_limited")),
        (500, b"", Unknown("http_500")),
    ],
)
def test_answers_to_read_order(status: int, body: bytes, answer: object) -> None:
    read = orders.parse_get_order("ord_1", status, body)
    assert (read.status if isinstance(read, OrderSnapshot) else read) == answer


@pytest.mark.parametrize(("status", "code"), [(400, "order_already_paid"), (409, "x"), (422, "x")])
def test_an_order_that_may_not_be_terminated_is_read(status: int, code: str) -> None:
    assert orders.parse_terminate_order("ord_1", status, error(code)) == orders.ReadInstead()


def attempt(**fields: Any) -> dict[str, Any]:
    return {
        "cf_payment_id": "12376123",
        "order_id": "ord_1",
        "payment_status": "SUCCESS",
        "payment_amount": 500.00,
        "payment_currency": "INR",
        "order_amount": 500,
        "order_currency": "INR",
        "payment_group": "upi",
        "payment_method": {"upi": {"upi_id": "asha@bank"}},
        "payment_completion_time": "2026-04-01T15:30:00+05:30",
        "bank_reference": "P78112898712",
        "is_captured": True,
        "error_details": None,
    } | fields


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({}, AttemptStatus.SUCCESS, ""),
        ({"is_captured": False}, AttemptStatus.PENDING, ""),
        ({"payment_status": "PENDING"}, AttemptStatus.PENDING, ""),
        ({"payment_status": "NOT_ATTEMPTED"}, AttemptStatus.AUTHORIZING, ""),
        ({"payment_status": "USER_DROPPED"}, AttemptStatus.DROPPED, "dropped_by_customer"),
        ({"payment_status": "CANCELLED"}, AttemptStatus.FAILED, "failed"),
        ({"payment_status": "FLAGGED"}, AttemptStatus.UNKNOWN, ""),
        (
            {
                "payment_status": "FAILED",
                "error_details": {"error_code": "TRANSACTION_DECLINED", "error_reason": "insufficient_funds"},
            },
            AttemptStatus.FAILED,
            "insufficient_funds",
        ),
    ],
)
def test_attempts(fields: dict[str, Any], status: AttemptStatus, reason: str) -> None:
    [claim] = attempts.parse_get_payments("ord_1", 200, json.dumps([attempt(**fields)]).encode())  # type: ignore[misc]
    assert (claim.status, claim.reason, claim.amount, claim.method) == (status, reason, Money(50_000), "upi")
    assert claim.at == datetime(2026, 4, 1, 10, 0, tzinfo=UTC)


# An entry that cannot be read, of which we know which payment it is about.
UNREAD = PaymentAttempt("ord_1", "12376123", AttemptStatus.UNKNOWN)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"[]", []),
        (json.dumps([attempt(order_id="ord_2")]).encode(), []),
        (b"{}", Unknown("unreadable")),
        (json.dumps([attempt(cf_payment_id=None)]).encode(), []),
        (json.dumps([attempt(payment_amount=0.001)]).encode(), [UNREAD]),
        (json.dumps([attempt(payment_amount=-500)]).encode(), [UNREAD]),
        (b"[" + json.dumps(attempt()).encode()[:-1] + b',"payment_status":"SUCCESS"}]', [UNREAD]),
    ],
)
def test_lists_of_attempts(body: bytes, found: object) -> None:
    assert attempts.parse_get_payments("ord_1", 200, body) == found


@pytest.mark.parametrize(
    "bad",
    [
        None,
        7,
        {},
        attempt(cf_payment_id="cf\0"),
        attempt(cf_payment_id="x" * 200),
        attempt(cf_payment_id=None),
        attempt(cf_payment_id="bad", payment_status=5),
        attempt(cf_payment_id="bad", payment_amount=1e15),
        attempt(cf_payment_id="bad", payment_amount="NaN"),
    ],
)
def test_an_entry_that_cannot_be_read_does_not_hide_the_others(bad: object) -> None:
    listed = attempts.parse_get_payments("ord_1", 200, json.dumps([bad, attempt(), bad]).encode())
    assert isinstance(listed, list)
    assert [each.status for each in listed if each.gateway_payment_id == "12376123"] == [AttemptStatus.SUCCESS]
    assert {each.status for each in listed if each.gateway_payment_id != "12376123"} <= {AttemptStatus.UNKNOWN}


@pytest.mark.parametrize(
    "fields",
    [
        {"payment_group": 7, "payment_method": [], "bank_reference": {"a": 1}, "error_details": "none"},
        {"payment_completion_time": 0, "payment_time": None},
        {"bank_reference": "P\u0000", "payment_group": "\u202eipu"},
    ],
)
def test_what_does_not_decide_may_be_of_any_type(fields: dict[str, Any]) -> None:
    [read] = attempts.parse_get_payments("ord_1", 200, json.dumps([attempt(**fields)]).encode())  # type: ignore[misc]
    assert (read.status, read.amount) == (AttemptStatus.SUCCESS, Money(50_000))


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+05:30",
        "9999-12-31T23:59:59-05:30",
        "1970-01-01T00:00:00Z",
        "2100-01-01T00:00:00Z",
    ],
)
def test_a_zero_time_is_no_time(text: str) -> None:
    claimed = webhooks.parse_webhook(hook(payment_completion_time=None, payment_time=text))
    assert isinstance(claimed, PaymentWebhook)
    assert claimed.attempt.at is None
    later = webhooks.parse_webhook(hook(payment_completion_time=text, payment_time="2026-04-01T15:30:00+05:30"))
    assert isinstance(later, PaymentWebhook)
    assert later.attempt.at == datetime(2026, 4, 1, 10, 0, tzinfo=UTC)


def test_a_field_may_be_said_again_in_an_object_within() -> None:
    """Only one object that says it twice is ambiguous."""
    found = orders.parse_get_order("ord_1", 200, entity(order_meta={"order_amount": 1, "order_status": "PAID"}))
    assert isinstance(found, OrderSnapshot)
    assert found.amount == Money(50_000)


def hook(kind: str = "PAYMENT_SUCCESS_WEBHOOK", order_fields: Any = None, **fields: Any) -> bytes:
    data = {
        "order": {"order_id": "ord_1", "order_amount": 500.00, "order_currency": "INR"} | (order_fields or {}),
        "payment": {
            k: v for k, v in attempt(**fields).items() if k not in ("order_id", "order_amount", "order_currency")
        },
        "customer_details": {"customer_email": "asha@example.in", "customer_phone": "9876543210"},
    }
    return json.dumps({"data": data, "event_time": "2026-04-01T15:30:00+05:30", "type": kind}).encode()


def test_a_payment_webhook_is_a_claim_without_personal_data() -> None:
    claimed = webhooks.parse_webhook(hook(cf_payment_id=1453002795))
    assert isinstance(claimed, PaymentWebhook)
    assert (claimed.order_id, claimed.attempt.gateway_payment_id) == ("ord_1", "1453002795")
    assert (claimed.attempt.order_amount, claimed.attempt.status) == (Money(50_000), AttemptStatus.SUCCESS)
    assert "asha" not in repr(claimed)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (hook("PAYMENT_CHARGES_WEBHOOK"), IgnoredWebhook("unsupported_type")),
        (hook("VENDOR_SETTLEMENT_SUCCESS"), IgnoredWebhook("unsupported_type")),
        (hook("REFUND_STATUS_WEBHOOK"), MalformedWebhook("incomplete")),
        (hook("DISPUTE_CREATED"), MalformedWebhook("incomplete")),
        (hook("SETTLEMENT_SUCCESS"), MalformedWebhook("incomplete")),
        (b'{"data":{"test_object":{"test_key":"test_value"}},"type":"WEBHOOK"}', IgnoredWebhook("unsupported_type")),
        (b'{"data":{}}', IgnoredWebhook("no_type")),
        (b'{"data":{},"type":"PAYMENT_FAILED_WEBHOOK"}', MalformedWebhook("incomplete")),
        (b"not json", MalformedWebhook("unreadable")),
        (b"", MalformedWebhook("unreadable")),
        (b'{"type":7}', MalformedWebhook("unreadable")),
        (hook()[:-30], MalformedWebhook("unreadable")),
        (hook(order_fields={"order_id": 5}), MalformedWebhook("unreadable")),
        (hook(order_fields={"order_amount": "lots"}), MalformedWebhook("unreadable")),
        (hook(payment_amount=1.005), MalformedWebhook("unreadable")),
    ],
)
def test_other_webhooks_are_ignored_and_broken_ones_are_malformed(body: bytes, read: object) -> None:
    assert webhooks.parse_webhook(body) == read


def test_reasons_come_from_the_catalogue() -> None:
    assert {reason for _, reason in reasons.WORDS} | {
        reasons.reason_of(""),
        reasons.reason_of("zzz"),
    } <= FAILURE_REASONS
    assert reasons.reason_of("", "OTP_EXPIRED") == "authentication_failed"


@pytest.mark.parametrize("half", [b"\xff", b"caf\xe9", b"\\ud800"], ids=repr)
def test_half_a_character_in_a_text_that_is_merely_shown_hides_no_payment(half: bytes) -> None:
    """Neither in the list of attempts nor in a webhook, whose data are read in two steps."""
    payment = (
        b'{"cf_payment_id":"7","payment_status":"SUCCESS","payment_amount":500,"payment_currency":"INR",'
        b'"bank_reference":"' + half + b'"}'
    )
    [listed] = attempts.parse_get_payments("ord_1", 200, b"[" + payment + b"]")  # type: ignore[misc]
    body = (
        b'{"type":"PAYMENT_SUCCESS_WEBHOOK","data":{"order":{"order_id":"ord_1","order_amount":500,'
        b'"order_currency":"INR"},"payment":' + payment + b"}}"
    )
    claimed = webhooks.parse_webhook(body)
    assert isinstance(claimed, PaymentWebhook)
    for attempt in (listed, claimed.attempt):
        assert (attempt.status, attempt.amount, attempt.bank_reference) == (AttemptStatus.SUCCESS, Money(50_000), "")
    summary = webhooks.summarise_webhook(body)
    assert (summary.order_id, summary.gateway_payment_id) == ("ord_1", "7")
    unnamed = attempts.parse_get_payments("ord_1", 200, b'[{"cf_payment_id":"7","payment_status":{"' + half + b'":1}}]')
    assert unnamed == [PaymentAttempt("ord_1", "7", AttemptStatus.UNKNOWN)]
