"""Cashfree's official Python SDK takes the sandbox for Cashfree: it parses every answer and accepts every signature."""

import json
from typing import Any

import pytest
from cashfree_pg.exceptions import (
    ApiException,
    BadRequestException,
    NotFoundException,
    ServiceException,
    UnauthorizedException,
)
from cashfree_pg.models.app import App
from cashfree_pg.models.app_payment_method import AppPaymentMethod
from cashfree_pg.models.card import Card
from cashfree_pg.models.card_payment_method import CardPaymentMethod
from cashfree_pg.models.create_order_request import CreateOrderRequest
from cashfree_pg.models.customer_details import CustomerDetails
from cashfree_pg.models.net_banking_payment_method import NetBankingPaymentMethod
from cashfree_pg.models.netbanking import Netbanking
from cashfree_pg.models.order_create_refund_request import OrderCreateRefundRequest
from cashfree_pg.models.order_meta import OrderMeta
from cashfree_pg.models.order_update_refund_request import OrderUpdateRefundRequest
from cashfree_pg.models.pay_order_request import PayOrderRequest
from cashfree_pg.models.pay_order_request_payment_method import PayOrderRequestPaymentMethod
from cashfree_pg.models.terminate_order_request import TerminateOrderRequest
from cashfree_pg.models.upi import Upi
from cashfree_pg.models.upi_payment_method import UPIPaymentMethod

# The SDK still speaks pydantic's first dialect.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:cashfree_pg"),
    pytest.mark.filterwarnings("ignore::UserWarning:pydantic"),
]

METHODS = {
    "upi collect": UPIPaymentMethod(upi=Upi(channel="collect", upi_id="customer@gocash")),
    "upi link": UPIPaymentMethod(upi=Upi(channel="link")),
    "upi qrcode": UPIPaymentMethod(upi=Upi(channel="qrcode")),
    "card": CardPaymentMethod(
        card=Card(
            channel="link",
            card_number="4706131211212123",
            card_holder_name="Asha",
            card_expiry_mm="12",
            card_expiry_yy="31",
            card_cvv="123",
        )
    ),
    "net banking": NetBankingPaymentMethod(netbanking=Netbanking(channel="link", netbanking_bank_code=3333)),
    "wallet": AppPaymentMethod(app=App(channel="link", provider="phonepe", phone="9999999999")),
}


def _request(inbox: Any, **changes: Any) -> CreateOrderRequest:
    fields: dict[str, Any] = {
        "order_id": "order_1",
        "order_amount": 170.0,
        "order_currency": "INR",
        "customer_details": CustomerDetails(
            customer_id="cust_1", customer_phone="9999999999", customer_email="asha@example.com", customer_name="Asha"
        ),
        "order_meta": OrderMeta(notify_url=inbox.url, return_url="https://shop.example/done?id={order_id}"),
        "order_tags": {"pack": "starter"},
    }
    return CreateOrderRequest(**(fields | changes))


def _paid(cashfree: Any, sandbox: Any, inbox: Any) -> Any:
    order = cashfree.PGCreateOrder(_request(inbox)).data
    sandbox.control("/control/orders/order_1/pay", {"wait": True})
    return order


def test_an_order_is_created_and_read(cashfree: Any, inbox: Any) -> None:
    created = cashfree.PGCreateOrder(_request(inbox), x_request_id="r-1")
    assert (created.status_code, created.headers["x-request-id"]) == (200, "r-1")
    assert (created.data.order_status, created.data.order_amount) == ("ACTIVE", 170)
    assert created.data.order_tags == {"pack": "starter"}
    read = cashfree.PGFetchOrder("order_1").data
    assert read.payment_session_id == created.data.payment_session_id
    assert cashfree.PGOrderFetchPayments("order_1").data == []


def test_a_key_makes_a_repetition_safe(cashfree: Any, inbox: Any) -> None:
    key = "5b1f0b2e-0000-4000-8000-000000000000"
    first = cashfree.PGCreateOrder(_request(inbox), x_idempotency_key=key)
    again = cashfree.PGCreateOrder(_request(inbox), x_idempotency_key=key)
    assert again.data == first.data
    assert again.headers["x-idempotency-replayed"] == "true"
    with pytest.raises(ApiException) as refused:
        cashfree.PGCreateOrder(_request(inbox, order_amount=171.0), x_idempotency_key=key)
    assert (refused.value.status, json.loads(refused.value.body)["type"]) == (422, "idempotency_error")


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_an_order_is_paid_by_every_method(cashfree: Any, inbox: Any, method: Any) -> None:
    session = cashfree.PGCreateOrder(_request(inbox)).data.payment_session_id
    either = PayOrderRequestPaymentMethod(method)  # type: ignore[no-untyped-call]
    request = PayOrderRequest(payment_session_id=session, payment_method=either)
    paying = cashfree.PGPayOrder(request).data
    assert paying.payment_amount == 170
    inbox.wait_for(1)
    [payment] = cashfree.PGOrderFetchPayments("order_1").data
    assert (payment.payment_status, payment.is_captured) == ("SUCCESS", True)
    assert cashfree.PGOrderFetchPayment("order_1", paying.cf_payment_id).data.to_str() == payment.to_str()
    assert cashfree.PGFetchOrder("order_1").data.order_status == "PAID"


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        ("success", "PAYMENT_SUCCESS_WEBHOOK"),
        ("failure", "PAYMENT_FAILED_WEBHOOK"),
        ("user_dropped", "PAYMENT_USER_DROPPED_WEBHOOK"),
    ],
)
def test_a_payments_webhook_is_genuine(cashfree: Any, sandbox: Any, inbox: Any, outcome: str, event: str) -> None:
    cashfree.PGCreateOrder(_request(inbox))
    sandbox.control("/control/orders/order_1/pay", {"outcome": outcome})
    [(headers, body)] = inbox.wait_for(1)
    signature, timestamp = headers["x-webhook-signature"], headers["x-webhook-timestamp"]
    assert cashfree.PGVerifyWebhookSignature(signature, body, timestamp).type == event
    for altered in (body.replace("170.00", "170.0"), body + "\n"):
        with pytest.raises(Exception, match="did not match"):
            cashfree.PGVerifyWebhookSignature(signature, altered, timestamp)
    [payment] = cashfree.PGOrderFetchPayments("order_1").data
    assert str(payment.cf_payment_id) == json.loads(body)["data"]["payment"]["cf_payment_id"]


def test_a_payment_is_refunded(cashfree: Any, sandbox: Any, inbox: Any) -> None:
    _paid(cashfree, sandbox, inbox)
    request = OrderCreateRefundRequest(refund_id="refund_1", refund_amount=20.5, refund_note="changed my mind")
    assert cashfree.PGOrderCreateRefund("order_1", request).data.refund_status == "PENDING"
    headers, body = inbox.wait_for(2)[1]
    event = cashfree.PGVerifyWebhookSignature(headers["x-webhook-signature"], body, headers["x-webhook-timestamp"])
    assert event.type == "REFUND_STATUS_WEBHOOK"
    refund = cashfree.PGOrderFetchRefund("order_1", "refund_1").data
    assert (refund.refund_status, refund.refund_amount) == ("SUCCESS", 20.5)
    assert cashfree.PGOrderFetchRefunds("order_1").data == [refund]


def test_a_pending_refund_is_cancelled(cashfree: Any, sandbox: Any, inbox: Any) -> None:
    _paid(cashfree, sandbox, inbox)
    request = OrderCreateRefundRequest(refund_id="refund_1", refund_amount=20.5, refund_note="PENDING")
    cashfree.PGOrderCreateRefund("order_1", request)
    cancel = OrderUpdateRefundRequest(refund_status="CANCELLED", remarks="not needed")
    assert cashfree.PGOrderUpdateRefund("order_1", "refund_1", cancel).data.refund_status == "CANCELLED"


def test_an_order_is_terminated(cashfree: Any, inbox: Any) -> None:
    cashfree.PGCreateOrder(_request(inbox))
    terminated = cashfree.PGTerminateOrder("order_1", TerminateOrderRequest(order_status="TERMINATED"))
    assert terminated.data.order_status == "TERMINATED"


def test_refusals_are_the_exceptions_that_the_sdk_knows(cashfree: Any, sandbox: Any, inbox: Any) -> None:
    _paid(cashfree, sandbox, inbox)
    with pytest.raises(ApiException) as taken:
        cashfree.PGCreateOrder(_request(inbox))
    assert (taken.value.status, json.loads(taken.value.body)["code"]) == (409, "order_already_exists")
    with pytest.raises(NotFoundException) as unknown:
        cashfree.PGFetchOrder("order_9")
    assert json.loads(unknown.value.body)["code"] == "order_not_found"
    with pytest.raises(BadRequestException) as too_much:
        request = OrderCreateRefundRequest(refund_id="refund_1", refund_amount=170.01, refund_note="too much")
        cashfree.PGOrderCreateRefund("order_1", request)
    assert json.loads(too_much.value.body)["code"] == "refund_post_failed"
    sandbox.control("/control/faults", {"operation": "get_order", "action": "error"})
    with pytest.raises(ServiceException):
        cashfree.PGFetchOrder("order_1")


def test_a_wrong_secret_is_unauthorised(cashfree: Any) -> None:
    cashfree.XClientSecret = "cfsk_ma_test_wrong"
    with pytest.raises(UnauthorizedException):
        cashfree.PGFetchOrder("order_1")
