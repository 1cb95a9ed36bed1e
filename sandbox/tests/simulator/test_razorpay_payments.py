"""Razorpay's payments: outcomes, automatic and manual capture, authorisations that expire, and what is drawn."""

from typing import Any

import pytest

from sandbox import clock
from sandbox.outcomes import Outcome, OutcomeDraw
from sandbox.razorpay import methods, simulator
from sandbox.razorpay.outcomes import MAGIC_HANDLES
from sandbox.settings import Settings


async def _payments(razorpay: Any, order_id: str) -> list[dict[str, Any]]:
    return list((await razorpay.fetch(f"/orders/{order_id}/payments"))["items"])


async def test_a_payment_is_authorised_and_captured(razorpay: Any) -> None:
    order = await razorpay.create()
    paid = await razorpay.pay(wait=True)
    assert (paid["payment_status"], paid["order_status"], paid["webhook"]) == ("captured", "paid", [200] * 3)
    [payment] = await _payments(razorpay, order["id"])
    assert (payment["amount"], payment["captured"], payment["order_id"]) == (17_000, True, order["id"])
    assert (payment["fee"], payment["tax"]) == (323 + 58, 58)
    assert payment["acquirer_data"]["rrn"]
    authorized, captured, order_paid = await razorpay.receiver.wait_for(3)
    assert authorized["payload"]["payment"]["entity"]["status"] == "authorized"
    assert authorized["payload"]["payment"]["entity"]["fee"] is None
    assert captured["payload"]["payment"]["entity"] == payment
    assert (order_paid["contains"], order_paid["payload"]["order"]["entity"]["amount_paid"]) == (
        ["payment", "order"],
        17_000,
    )
    assert (await razorpay.ask("PATCH", f"/payments/{payment['id']}", {"notes": {"a": "b"}}))[1]["notes"] == {"a": "b"}


OUTCOMES: dict[str, tuple[str, str | None, list[str]]] = {
    "failure": ("failed", "payment_failed", ["payment.failed"]),
    "user_dropped": ("failed", "payment_cancelled", ["payment.failed"]),
    "pending_then_failure": ("failed", "payment_timed_out", ["payment.failed"]),
    "pending_then_success": ("captured", None, ["order.paid", "payment.authorized", "payment.captured"]),
    "late_success": ("captured", None, ["order.paid", "payment.authorized", "payment.captured", "payment.failed"]),
}


@pytest.mark.parametrize(("outcome", "expected"), OUTCOMES.items(), ids=OUTCOMES)
async def test_an_outcome_is_commanded(
    razorpay: Any, outcome: str, expected: tuple[str, str | None, list[str]]
) -> None:
    order = await razorpay.create()
    await razorpay.pay(outcome=outcome)
    status, reason, events = expected
    assert await razorpay.events(len(events)) == events
    [payment] = await _payments(razorpay, order["id"])
    assert (payment["status"], payment["error_reason"]) == (status, reason)
    assert payment.get("late_authorized") == (True if outcome == "late_success" else None)


async def test_an_order_can_be_captured_twice(razorpay: Any) -> None:
    order = await razorpay.create()
    await razorpay.pay(outcome="success_twice")
    assert (await razorpay.events(5)).count("payment.captured") == 2
    assert [it["status"] for it in await _payments(razorpay, order["id"])] == ["captured", "captured"]
    await razorpay.pay(force=True, wait=True)
    assert (await razorpay.fetch(f"/orders/{order['id']}"))["attempts"] == 3
    status, body = await razorpay.call("POST", "/razorpay/control/orders/receipt_1/pay", {})
    assert (status, body["error"]["reason"]) == (400, "order_already_paid")


@pytest.mark.parametrize(
    ("outcome", "amount", "currency"), [("amount_mismatch", 16_900, "INR"), ("currency_mismatch", 17_000, "USD")]
)
async def test_a_payment_can_be_of_another_amount(razorpay: Any, outcome: str, amount: int, currency: str) -> None:
    order = await razorpay.create()
    await razorpay.pay(outcome=outcome, wait=True)
    [payment] = await _payments(razorpay, order["id"])
    assert (payment["amount"], payment["currency"], payment["status"]) == (amount, currency, "captured")


@pytest.mark.parametrize(("status", "then"), [("authorized", "captured"), ("failed", "failed")])
async def test_a_pending_payment_is_decided_by_command(razorpay: Any, status: str, then: str) -> None:
    order = await razorpay.create()
    payment_id = (await razorpay.pay(outcome="pending"))["payment_id"]
    assert [it["status"] for it in await _payments(razorpay, order["id"])] == ["created"]
    decided = await razorpay.control(f"/payments/{payment_id}", {"status": status})
    assert decided["payment_status"] == then
    assert ("razorpay_signature" in decided) == (then == "captured")


async def test_what_is_captured_by_hand_waits_and_then_goes_back(razorpay: Any) -> None:
    order = await razorpay.create(payment_capture=0)
    await razorpay.pay(wait=True)
    assert (await razorpay.fetch(f"/orders/{order['id']}"))["status"] == "attempted"
    status, body = await razorpay.call("POST", "/razorpay/control/orders/receipt_1/pay", {})
    assert (status, body["error"]["reason"]) == (400, "order_payment_authorized")
    await razorpay.control("/orders/receipt_1/expire")
    [payment] = await _payments(razorpay, order["id"])
    assert (payment["status"], payment["captured"], payment["refund_status"]) == ("refunded", False, "full")
    assert await razorpay.events(3) == ["payment.authorized", "refund.created", "refund.processed"]
    status, body = await razorpay.ask(
        "POST", f"/payments/{payment['id']}/capture", {"amount": 17_000, "currency": "INR"}
    )
    assert (status, body["error"]["step"]) == (400, "payment_capture")


@pytest.mark.parametrize(
    ("request_body", "description"),
    [
        ({"currency": "INR"}, "amount: is required."),
        ({"amount": {"amount": 17_000}, "currency": "INR"}, "The amount must be an integer."),
        ({"amount": 17_000}, "currency: is required."),
        ({"amount": 17_000, "currency": "USD"}, "The currency must be the one of the payment."),
        ({"amount": 8_500, "currency": "INR"}, "Capture amount must be equal to the amount authorized."),
    ],
)
async def test_a_capture_is_refused(razorpay: Any, request_body: dict[str, Any], description: str) -> None:
    await razorpay.create(payment={"capture": "manual"})
    payment_id = (await razorpay.pay(wait=True))["payment_id"]
    status, body = await razorpay.ask("POST", f"/payments/{payment_id}/capture", request_body)
    assert (status, body["error"]["description"]) == (400, description)
    assert (await razorpay.fetch(f"/payments/{payment_id}"))["status"] == "authorized"


async def test_a_payment_confirmed_after_the_automatic_period_is_not_captured(
    razorpay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"automatic_expiry_period": 12, "manual_expiry_period": 7_200, "refund_speed": "normal"}
    await razorpay.create(payment={"capture": "automatic", "capture_options": options})
    payment_id = (await razorpay.pay(outcome="pending"))["payment_id"]
    later = clock.now() + 12 * 60
    monkeypatch.setattr(simulator, "now", lambda: later)
    decided = await razorpay.control(f"/payments/{payment_id}", {"status": "authorized"})
    assert decided["payment_status"] == "authorized"


async def test_an_account_chooses_its_events(razorpay: Any) -> None:
    key_id, key_secret = razorpay.key
    account = {"key_id": key_id, "key_secret": key_secret, "webhook_url": razorpay.receiver.url}
    await razorpay.control("/accounts", account | {"events": ["order.paid"]})
    await razorpay.create()
    assert (await razorpay.pay(wait=True))["webhook"] == [200]
    assert await razorpay.events(1) == ["order.paid"]


async def test_many_orders_are_paid_at_once(razorpay: Any) -> None:
    for number in range(3):
        await razorpay.create(receipt=f"receipt_{number}")
    answer = await razorpay.control("/pay", {"order_ids": ["receipt_0", "receipt_1", "receipt_9"]})
    assert answer == {"paid": 2, "refused": {"receipt_9": "input_validation_failed"}}


@pytest.mark.parametrize(
    ("kind", "handle", "reason"),
    [
        ("upi", "nobody", "invalid_vpa"),
        ("card", "4100280000001008", "card_number_invalid"),
        ("cheque", "", "input_validation_failed"),
    ],
)
async def test_a_method_is_checked(razorpay: Any, kind: str, handle: str, reason: str) -> None:
    await razorpay.create()
    command = {"method": kind, "handle": handle}
    status, body = await razorpay.call("POST", "/razorpay/control/orders/receipt_1/pay", command)
    assert (status, body["error"]["reason"]) == (400, reason)


async def test_a_card_is_shown_by_its_last_digits(razorpay: Any) -> None:
    await razorpay.create()
    payment_id = (await razorpay.pay(method="card", wait=True))["payment_id"]
    card = await razorpay.fetch(f"/payments/{payment_id}/card")
    assert (card["last4"], card["network"]) == ("1007", "Visa")
    assert (await razorpay.fetch(f"/payments/{payment_id}"))["card"] == card


@pytest.mark.parametrize(("method", "percent"), [(methods.upi("a@bank"), 90), (methods.card(), 95)])
def test_outcomes_are_drawn_with_the_documents_probability(method: Any, percent: int) -> None:
    settings = Settings(test_mode=False, seed=7)
    draw = OutcomeDraw(settings, settings.random(), MAGIC_HANDLES)
    drawn = [draw.outcome(method, 17_000) for _ in range(4_000)]
    assert abs(drawn.count(Outcome.SUCCESS) / 40 - percent) < 1.5


@pytest.mark.parametrize(("is_success", "outcome"), [(True, Outcome.SUCCESS), (False, Outcome.FAILURE)])
def test_in_test_mode_the_outcome_is_set(is_success: bool, outcome: Outcome) -> None:
    settings = Settings(test_mode=True, test_success=is_success, test_delay_ms=70)
    draw = OutcomeDraw(settings, settings.random(), MAGIC_HANDLES)
    assert (draw.outcome(methods.upi("a@bank"), 17_000), draw.delay_ms()) == (outcome, 70)
    assert draw.outcome(methods.upi("failure@razorpay"), 17_000) is Outcome.FAILURE
    assert draw.outcome(methods.upi("success@razorpay"), 17_000) is Outcome.SUCCESS
