"""The official Python SDK of Razorpay drives the sandbox without change."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import razorpay
from razorpay.errors import BadRequestError, GatewayError, ServerError, SignatureVerificationError

KEY_ID, KEY_SECRET, WEBHOOK_SECRET = "rzp_test_Contract000001", "contract_key_secret", "contract_webhook_secret"


@pytest.fixture
def client(sandbox: Any, inbox: Any) -> Iterator[Any]:
    """The official client of an account whose webhooks come to the inbox."""
    sandbox.control("/razorpay/control/reset", {})
    account = {"key_id": KEY_ID, "key_secret": KEY_SECRET, "webhook_secret": WEBHOOK_SECRET, "webhook_url": inbox.url}
    sandbox.control("/razorpay/control/accounts", account)
    it = razorpay.Client(auth=(KEY_ID, KEY_SECRET), base_url=sandbox.url + "/razorpay")
    yield it
    it.session.close()


def _order(client: Any, **changes: Any) -> dict[str, Any]:
    request = {"amount": 50_000, "currency": "INR", "receipt": "receipt_1", "notes": {"pack": "starter"}}
    return dict(client.order.create(data=request | changes))


def _pay(sandbox: Any, order: dict[str, Any], **command: Any) -> dict[str, Any]:
    return dict(sandbox.control(f"/razorpay/control/orders/{order['id']}/pay", {"wait": True} | command))


def _events(inbox: Any, client: Any, count: int) -> list[str]:
    """The events that came, each checked by the SDK's own utility."""
    names = []
    for headers, body in inbox.wait_for(count):
        assert client.utility.verify_webhook_signature(body, headers["x-razorpay-signature"], WEBHOOK_SECRET)
        names.append(json.loads(body)["event"])
    return names


def test_an_order_is_created_read_found_and_changed(client: Any) -> None:
    order = _order(client)
    assert (order["status"], order["amount"], order["amount_due"], order["attempts"]) == ("created", 50_000, 50_000, 0)
    assert client.order.fetch(order["id"]) == order
    assert client.order.all({"receipt": "receipt_1"}) == {"entity": "collection", "count": 1, "items": [order]}
    assert client.order.all({"receipt": "receipt_2"})["items"] == []
    assert client.order.payments(order["id"])["count"] == 0
    assert client.order.edit(order["id"], {"notes": {}})["notes"] == []


@pytest.mark.parametrize("method", ["upi", "card", "netbanking", "wallet"])
def test_an_order_is_paid_by_every_method(client: Any, sandbox: Any, inbox: Any, method: str) -> None:
    order = _order(client)
    paid = _pay(sandbox, order, method=method)
    proof = {name: value for name, value in paid.items() if name.startswith("razorpay_")}
    assert client.utility.verify_payment_signature(proof)
    with pytest.raises(SignatureVerificationError):
        client.utility.verify_payment_signature(proof | {"razorpay_order_id": "order_other"})
    [payment] = client.order.payments(order["id"])["items"]
    assert (payment["id"], payment["method"], payment["status"]) == (proof["razorpay_payment_id"], method, "captured")
    assert (payment["fee"], payment["tax"]) == (1_121, 171)
    assert client.payment.fetch(payment["id"]) == payment
    assert client.payment.all({"count": 1})["items"] == [payment]
    assert client.order.fetch(order["id"])["status"] == "paid"
    assert sorted(_events(inbox, client, 3)) == ["order.paid", "payment.authorized", "payment.captured"]


def test_an_authorised_payment_is_captured_once_and_whole(client: Any, sandbox: Any, inbox: Any) -> None:
    order = _order(client, payment={"capture": "manual"})
    payment_id = _pay(sandbox, order)["payment_id"]
    assert client.payment.fetch(payment_id)["status"] == "authorized"
    for amount in (49_999, 50_001):
        with pytest.raises(BadRequestError, match="must be equal to the amount authorized"):
            client.payment.capture(payment_id, amount, {"currency": "INR"})
    captured = client.payment.capture(payment_id, 50_000, {"currency": "INR"})
    assert (captured["status"], captured["captured"]) == ("captured", True)
    with pytest.raises(BadRequestError, match="already paid"):
        client.payment.capture(payment_id, 50_000, {"currency": "INR"})
    assert sorted(_events(inbox, client, 3)) == ["order.paid", "payment.authorized", "payment.captured"]


def test_a_failed_payment_says_why(client: Any, sandbox: Any, inbox: Any) -> None:
    order = _order(client)
    _pay(sandbox, order, outcome="failure", handle="testinsufficientfunds@razorpay")
    [payment] = client.order.payments(order["id"])["items"]
    assert (payment["status"], payment["error_reason"], payment["fee"]) == ("failed", "insufficient_funds", None)
    assert client.order.fetch(order["id"])["status"] == "attempted"
    assert _events(inbox, client, 1) == ["payment.failed"]


def test_a_payment_is_refunded_in_part_and_in_full(client: Any, sandbox: Any, inbox: Any) -> None:
    payment_id = _pay(sandbox, _order(client))["payment_id"]
    refund = client.payment.refund(payment_id, {"amount": 20_000, "speed": "optimum", "receipt": "refund_1"})
    assert (refund["status"], refund["speed_requested"]) == ("pending", "optimum")
    assert sorted(_events(inbox, client, 5))[2:] == sorted(["payment.captured", "refund.created", "refund.processed"])
    done = client.refund.fetch(refund["id"])
    assert (done["status"], done["speed_processed"]) == ("processed", "instant")
    assert client.payment.fetch(payment_id)["refund_status"] == "partial"
    client.payment.refund(payment_id, {})
    payment = client.payment.fetch(payment_id)
    assert (payment["refund_status"], payment["amount_refunded"], payment["status"]) == ("full", 50_000, "refunded")
    assert client.payment.fetch_multiple_refund(payment_id)["count"] == client.refund.all()["count"] == 2
    assert client.payment.fetch_refund_id(payment_id, refund["id"]) == client.refund.fetch(refund["id"])
    with pytest.raises(BadRequestError, match="fully refunded already"):
        client.payment.refund(payment_id, {"amount": 100})


def test_a_key_makes_a_refund_safe_to_repeat(client: Any, sandbox: Any) -> None:
    payment_id = _pay(sandbox, _order(client))["payment_id"]
    headers = {"X-Refund-Idempotency": "refund-0001"}
    first = client.payment.refund(payment_id, {"amount": 100}, headers=dict(headers))
    assert client.payment.refund(payment_id, {"amount": 100}, headers=dict(headers))["id"] == first["id"]
    with pytest.raises(BadRequestError, match="Different request with the same idempotency key"):
        client.payment.refund(payment_id, {"amount": 200}, headers=dict(headers))
    assert client.refund.all()["count"] == 1


def test_a_dispute_is_contested_and_another_one_accepted(client: Any, sandbox: Any, inbox: Any) -> None:
    order = _order(client)
    _pay(sandbox, order)
    path = f"/razorpay/control/orders/{order['id']}/disputes"
    first, second = (sandbox.control(path, {"amount_paise": 10_000})["dispute_id"] for _ in range(2))
    assert client.dispute.all()["count"] == 2
    contested = client.dispute.contest(first, {"summary": "delivered", "action": "submit"})
    assert (contested["status"], contested["evidence"]["summary"]) == ("under_review", "delivered")
    sandbox.control(f"/razorpay/control/disputes/{first}", {"status": "won"})
    assert client.dispute.fetch(first)["status"] == "won"
    accepted = client.dispute.accept(second)
    assert (accepted["status"], accepted["amount_deducted"]) == ("lost", 10_000)
    with pytest.raises(BadRequestError, match="closed"):
        client.dispute.accept(second)
    disputed = [name.rpartition(".")[2] for name in _events(inbox, client, 8) if "dispute" in name]
    assert sorted(disputed) == ["created", "created", "lost", "under_review", "won"]


def test_a_settlement_adds_up(client: Any, sandbox: Any, inbox: Any) -> None:
    order = _order(client)
    payment_id = _pay(sandbox, order)["payment_id"]
    refund = client.payment.refund(payment_id, {"amount": 20_000})
    inbox.wait_for(5)
    settled = sandbox.control("/razorpay/control/settlements", {"key_id": KEY_ID})
    settlement = client.settlement.fetch(settled["id"])
    assert (settlement["status"], settlement["amount"]) == ("processed", 50_000 - 1_121 - 20_000)
    assert client.settlement.all()["items"] == [settlement]
    day = settled["settled_on"]
    rows = client.settlement.report(day | {"count": 1000})["items"]
    assert {(row["entity_id"], row["type"], row["credit"], row["debit"]) for row in rows} == {
        (payment_id, "payment", 48_879, 0),
        (refund["id"], "refund", 0, 20_000),
    }
    assert {(row["settlement_id"], row["settlement_utr"]) for row in rows} == {(settled["id"], settlement["utr"])}
    assert {(row["order_id"], row["order_receipt"]) for row in rows} == {(order["id"], "receipt_1")}
    assert _events(inbox, client, 6)[-1] == "settlement.processed"


def test_refusals_are_the_exceptions_that_the_sdk_knows(client: Any, sandbox: Any) -> None:
    with pytest.raises(BadRequestError, match="The id provided does not exist"):
        client.order.fetch("order_00000000000000")
    with pytest.raises(BadRequestError, match="minimum amount"):
        _order(client, amount=99)
    for status, known in ((500, ServerError), (502, GatewayError), (429, BadRequestError)):
        sandbox.control(
            "/razorpay/control/faults", {"operation": "get_orders", "action": "error", "status": status, "count": 1}
        )
        with pytest.raises(known):
            client.order.all()
    client.auth = (KEY_ID, "wrong")
    with pytest.raises(BadRequestError, match="Authentication failed"):
        client.order.all()
