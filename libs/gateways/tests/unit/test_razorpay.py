"""Razorpay's orders and payments, as tables: what is sent, and what each answer is taken for. Unknown is not failed."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from common.money import Money
from gateways import (
    FAILURE_REASONS,
    AttemptStatus,
    Customer,
    GatewayAccount,
    OrderMissing,
    OrderRefused,
    OrderRequest,
    OrderSnapshot,
    OrderStatus,
    PaymentMethod,
    Unknown,
)
from gateways.razorpay import attempts, checkout, orders, reasons
from gateways.razorpay.adapter import headers
from gateways.razorpay.testing import payment_entity

OWN_ID = "order_DESlLckIVRkHWj"


def order(**fields: Any) -> OrderRequest:
    usual: dict[str, Any] = {
        "order_id": "ord_1",
        "payment_id": "pay_1",
        "amount": Money(50_000),
        "customer_id": "usr_01J",
        "customer": Customer("asha@example.in", "+919876543210", "Asha"),
        "expires_at": datetime(2026, 4, 1, 10, 30, tzinfo=UTC),
    }
    return OrderRequest(**usual | fields)


def document(**fields: Any) -> dict[str, Any]:
    usual = {
        "id": OWN_ID,
        "entity": "order",
        "amount": 50_000,
        "amount_paid": 0,
        "amount_due": 50_000,
        "currency": "INR",
        "receipt": "ord_1",
        "offer_id": None,
        "status": "created",
        "attempts": 0,
        "notes": {"payment_id": "pay_1"},
        "created_at": 1_756_455_561,
        "something_new": {"a": [1]},
    }
    return usual | fields


def entity(**fields: Any) -> bytes:
    return json.dumps(document(**fields)).encode()


def collection(*items: Any) -> bytes:
    return json.dumps({"entity": "collection", "count": len(items), "items": list(items)}).encode()


def error(description: str = "no", code: str = "BAD_REQUEST_ERROR", reason: str = "input_validation_failed") -> bytes:
    return json.dumps({"error": {"code": code, "description": description, "reason": reason, "field": None}}).encode()


MISSING = error("The id provided does not exist")
SNAPSHOT = OrderSnapshot("ord_1", OWN_ID, OrderStatus.ACTIVE, Money(50_000), OWN_ID, "pay_1", stays_open=True)
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
    entity(amount="50000"),
    entity(amount=None),
    entity(amount=500.5),
    entity(amount=-1),
    entity(amount=True),
    entity(amount=10**400),
    entity(amount=10**14),
    entity(currency="XXX"),
    entity(currency=None),
    entity(status="something_new"),
    entity(status=None),
    entity(id=7),
    entity(id="../payments"),
    entity(receipt="ord_2"),
    entity(receipt=7),
    entity()[:-1] + b',"amount":100}',
    entity()[:-1] + b',"status" : "paid"}',
    entity()[:-1] + b',"notes":{"payment_id":"pay_2"}}',
]


def test_create_order_is_written_exactly() -> None:
    call = orders.build_create_order(order(amount=Money(17_005), method_hint="card", note="Pack", attempt=3))
    assert (call.method, call.path) == ("POST", "/v1/orders")
    assert json.loads(call.body) == {
        "amount": 17_005,
        "currency": "INR",
        "receipt": "ord_1",
        "unique_receipt": True,
        "notes": {"payment_id": "pay_1"},
        "payment": {
            "capture": "automatic",
            "capture_options": {
                "automatic_expiry_period": 7_200,
                "manual_expiry_period": 7_200,
                "refund_speed": "normal",
            },
        },
    }


def test_ids_are_written_as_one_part_of_a_path() -> None:
    assert orders.build_get_order("order_1/../x?y").path == "/v1/orders/order_1%2F..%2Fx%3Fy"
    assert attempts.build_get_payments("a/b").path == "/v1/orders/a%2Fb/payments"
    assert orders.build_find_order("ord_1&count=1").path == "/v1/orders?receipt=ord_1%26count%3D1&count=100"


def test_the_key_goes_along_as_basic_authorisation() -> None:
    account = GatewayAccount(id="gwa_1", gateway="razorpay", key_id="rzp_test_1", key_secret="hush")
    expected = base64.b64encode(b"rzp_test_1:hush").decode()
    assert headers(account)["authorization"] == f"Basic {expected}"


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, entity(), SNAPSHOT),
        (200, entity(status="attempted"), SNAPSHOT),
        (200, entity(status="paid"), msgspec.structs.replace(SNAPSHOT, status=OrderStatus.PAID)),
        (200, entity(notes=[]), msgspec.structs.replace(SNAPSHOT, payment_id="")),
        (200, entity(notes="pay_1"), msgspec.structs.replace(SNAPSHOT, payment_id="")),
        (400, error("Order receipt should be unique."), orders.ReadInstead()),
        (409, error("Another request is still in progress."), orders.ReadInstead()),
        (
            400,
            error("too small", reason="amount_less_than_minimum_amount"),
            OrderRefused("amount_less_than_minimum_amount"),
        ),
        (400, error(reason="NA"), OrderRefused("BAD_REQUEST_ERROR")),
        (400, HTML, Unknown("http_400")),
        (400, error("Something went wrong", code="SERVER_ERROR"), Unknown("http_400")),
        (400, error("The bank is down", code="GATEWAY_ERROR"), Unknown("http_400")),
        (401, error("Authentication failed"), Unknown("http_401")),
        (403, error("not enabled"), Unknown("http_403")),
        (429, error("Request failed. Please try after sometime."), Unknown("rate_limited")),
        (500, error("We are facing some trouble", code="SERVER_ERROR"), Unknown("http_500")),
        (502, HTML, Unknown("http_502")),
        (301, b"", Unknown("http_301")),
    ],
)
def test_answers_to_create_order(status: int, body: bytes, result: object) -> None:
    assert orders.parse_create_order("ord_1", status, body) == result


@pytest.mark.parametrize("body", UNREADABLE, ids=lambda body: str(body[:24]))
def test_what_cannot_be_read_is_unknown(body: bytes) -> None:
    assert isinstance(orders.parse_create_order("ord_1", 200, body), Unknown)
    assert isinstance(orders.parse_get_order("ord_1", OWN_ID, 200, body), Unknown)
    found = orders.parse_find_order("ord_1", 200, b'{"items":[' + body + b"]}")
    # A list without our order may only say so when it lists nothing at all.
    assert isinstance(found, Unknown) or (body == b"" and isinstance(found, OrderMissing))


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, entity(), SNAPSHOT),
        (200, entity(id="order_another"), Unknown("foreign_order")),
        (400, MISSING, OrderMissing("ord_1")),
        (404, MISSING, OrderMissing("ord_1")),
        (400, error("order_x is not a valid id"), Unknown("http_400")),
        (404, HTML, Unknown("http_404")),
        (401, MISSING, Unknown("http_401")),
    ],
)
def test_answers_to_an_order_by_its_own_id(status: int, body: bytes, result: object) -> None:
    assert orders.parse_get_order("ord_1", OWN_ID, status, body) == result


def test_an_order_that_a_webhook_named_tells_ours_by_its_receipt() -> None:
    assert orders.parse_get_order("", OWN_ID, 200, entity()) == SNAPSHOT
    assert orders.parse_get_order("", OWN_ID, 200, entity(receipt=None)) == OrderMissing("")


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, collection(document()), SNAPSHOT),
        (200, collection(), OrderMissing("ord_1")),
        (200, collection(document(receipt="ord_2")), Unknown("foreign_order")),
        (200, collection(document(receipt="ord_2"), document()), SNAPSHOT),
        (200, collection({"id": 7}, document()), SNAPSHOT),
        (200, collection(document(id="order_b"), document()), SNAPSHOT),
        (
            200,
            collection(document(id="order_b", status="paid"), document()),
            msgspec.structs.replace(
                SNAPSHOT, gateway_order_id="order_b", session_id="order_b", status=OrderStatus.PAID
            ),
        ),
        (200, b"{}", Unknown("unreadable")),
        (400, MISSING, Unknown("http_400")),
        (503, b"", Unknown("http_503")),
    ],
)
def test_an_order_is_found_by_its_receipt(status: int, body: bytes, result: object) -> None:
    assert orders.parse_find_order("ord_1", status, body) == result


# ── Payments ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "created", "captured": False}, AttemptStatus.AUTHORIZING),
        ({"status": "authorized", "captured": False}, AttemptStatus.PENDING),
        ({"status": "captured"}, AttemptStatus.SUCCESS),
        ({"status": "captured", "captured": None}, AttemptStatus.SUCCESS),
        ({"status": "captured", "captured": False}, AttemptStatus.UNKNOWN),
        ({"status": "failed", "captured": False}, AttemptStatus.FAILED),
        ({"status": "failed", "captured": False, "error_reason": "payment_cancelled"}, AttemptStatus.DROPPED),
        ({"status": "refunded"}, AttemptStatus.SUCCESS),
        ({"status": "refunded", "captured": False}, AttemptStatus.FAILED),
        ({"status": "refunded", "captured": None}, AttemptStatus.UNKNOWN),
        ({"status": "something_new"}, AttemptStatus.UNKNOWN),
        ({"amount": None}, AttemptStatus.UNKNOWN),
        ({"amount": -1}, AttemptStatus.UNKNOWN),
        ({"currency": "XXX"}, AttemptStatus.UNKNOWN),
    ],
)
def test_words_of_a_payment(fields: dict[str, Any], status: AttemptStatus) -> None:
    body = collection(payment_entity(order_id=OWN_ID, **fields))
    listed = attempts.parse_get_payments("ord_1", OWN_ID, 200, body)
    assert not isinstance(listed, Unknown)
    [attempt] = listed
    assert (attempt.order_id, attempt.gateway_payment_id, attempt.status) == ("ord_1", "pay_DESlfW9H8K9uqM", status)
    if status is AttemptStatus.SUCCESS:
        assert attempt.amount == Money(17_000)


@pytest.mark.parametrize(
    ("fields", "method", "group", "reference"),
    [
        ({"method": "upi", "acquirer_data": {"rrn": "2675", "upi_transaction_id": "F5"}}, "upi", "upi", "2675"),
        ({"method": "card", "card": {"id": "card_1", "type": "credit"}}, "card", "credit_card", "0125836177"),
        ({"method": "emi", "card": {"type": "unknown"}}, "card", "emi", "0125836177"),
        ({"method": "netbanking"}, "netbanking", "netbanking", "0125836177"),
        ({"method": "wallet", "acquirer_data": {"transaction_id": None}}, "wallet", "wallet", ""),
        ({"method": "paylater", "acquirer_data": []}, "paylater", "paylater", ""),
        ({"method": "cardless_emi"}, "cardless_emi", "cardless_emi", "0125836177"),
        ({"method": "cod"}, PaymentMethod.OTHER, "cod", "0125836177"),
        ({"method": None}, "", "", "0125836177"),
        ({"method": ["upi"]}, "", "", "0125836177"),
    ],
)
def test_methods_and_references(fields: dict[str, Any], method: str, group: str, reference: str) -> None:
    listed = attempts.parse_get_payments("ord_1", OWN_ID, 200, collection(payment_entity(**fields)))
    assert not isinstance(listed, Unknown)
    assert [(each.method, each.group, each.bank_reference) for each in listed] == [(method, group, reference)]


def test_a_list_hides_nothing_that_can_be_read_and_is_in_order_of_time() -> None:
    body = collection(
        payment_entity(id="pay_2", created_at=1_767_225_592, status="failed", captured=False),
        payment_entity(id="pay_3", amount="many", created_at="soon"),
        {"id": 7},
        payment_entity(id="pay_4", order_id="order_another"),
        payment_entity(id="pay_1", created_at=1_767_225_591),
    )
    listed = attempts.parse_get_payments("ord_1", OWN_ID, 200, body)
    assert not isinstance(listed, Unknown)
    assert [(each.gateway_payment_id, each.status) for each in listed] == [
        ("pay_3", AttemptStatus.UNKNOWN),
        ("pay_1", AttemptStatus.SUCCESS),
        ("pay_2", AttemptStatus.FAILED),
    ]


def test_a_repeated_key_is_not_believed() -> None:
    item = json.dumps(payment_entity()).encode()[:-1] + b',"amount":1}'
    listed = attempts.parse_get_payments("ord_1", OWN_ID, 200, b'{"items":[' + item + b"]}")
    assert not isinstance(listed, Unknown)
    assert [each.status for each in listed] == [AttemptStatus.UNKNOWN]


@pytest.mark.parametrize(
    ("reason", "code", "ours"),
    [
        ("insufficient_funds", "BAD_REQUEST_ERROR", "insufficient_funds"),
        ("incorrect_otp", "", "authentication_failed"),
        ("incorrect_pin", "", "authentication_failed"),
        ("authentication_failed", "", "authentication_failed"),
        ("card_declined", "", "declined"),
        ("payment_risk_check_failed", "", "declined"),
        ("card_expired", "", "invalid_details"),
        ("invalid_vpa", "", "invalid_details"),
        ("payment_timed_out", "", "bank_unavailable"),
        ("bank_technical_error", "", "bank_unavailable"),
        ("gateway_technical_error", "", "bank_unavailable"),
        ("server_error", "", "bank_unavailable"),
        ("payment_cancelled", "", "dropped_by_customer"),
        ("payment_failed", "BAD_REQUEST_ERROR", "failed"),
        ("", "", "failed"),
    ],
)
def test_reasons(reason: str, code: str, ours: str) -> None:
    assert reasons.reason_of(reason, code) == ours
    assert ours in FAILURE_REASONS


# ── The checkout's proof ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("secret", "order_id", "payment_id", "signature"),
    [
        (
            *("EnLs21M47BllR3X8PSFtjtbd", "order_IEIaMR65cu6nz3", "pay_IH4NVgf4Dreq1l"),
            "0d4e745a1838664ad6c9c9902212a32d627d68e917290b0ad5f08ff4561bc50f",
        ),
        (
            *("sim_key_secret_0001", "order_SIM00000000001", "pay_SIM00000000001"),
            "132f4f25f0ddb795a759d3c73abd2b74ad08a66d7f2d5b05ef2a251a81f6cfd9",
        ),
        (
            *("key_secret", "fake_order_id", "fake_payment_id"),
            "b2335e3b0801106b84a7faff035df56ecffde06918c9ddd1f0fafbb37a51cc89",
        ),
    ],
)
def test_the_published_vectors_of_the_checkout(secret: str, order_id: str, payment_id: str, signature: str) -> None:
    assert checkout.is_signed(secret, order_id, payment_id, signature)
    for forged in (signature.upper(), signature[:-1], "", "é", "\ud800", f" {signature}"):
        assert not checkout.is_signed(secret, order_id, payment_id, forged)
    assert not checkout.is_signed(secret, payment_id, order_id, signature)
    assert not checkout.is_signed(secret, f"{order_id}|{payment_id}", "", signature)
    assert not checkout.is_signed("another", order_id, payment_id, signature)
    assert not checkout.is_signed(secret, "\ud800", payment_id, signature)


def test_without_a_secret_nobody_signs() -> None:
    assert not checkout.is_signed("", "order_1", "pay_1", checkout.sign("", "order_1", "pay_1"))
