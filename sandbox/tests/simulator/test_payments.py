"""Payments: every outcome on demand, by amount, by VPA, at random, and what the gateway then reports."""

from collections import Counter
from typing import Any

import pytest

from sandbox.cashfree import methods
from sandbox.cashfree.outcomes import MAGIC_HANDLES
from sandbox.outcomes import MAGIC_AMOUNTS, Outcome, OutcomeDraw
from sandbox.settings import Settings

PAYMENT_FIELDS = {
    "cf_payment_id",
    "order_id",
    "entity",
    "is_captured",
    "order_amount",
    "order_currency",
    "payment_group",
    "payment_currency",
    "payment_amount",
    "payment_time",
    "payment_completion_time",
    "payment_status",
    "payment_message",
    "bank_reference",
    "auth_id",
    "authorization",
    "payment_method",
    "error_details",
    "international_payment",
    "payment_gateway_details",
    "payment_surcharge",
    "payment_offers",
}


async def _session(shop: Any, payment_method: Any, **changes: Any) -> tuple[int, Any]:
    order = await shop.create(**changes)
    request = {"payment_session_id": order["payment_session_id"], "payment_method": payment_method}
    return await shop.call("POST", "/pg/orders/sessions", request, headers={"x-api-version": "2025-01-01"})  # type: ignore[no-any-return]


def _upi(upi_id: str) -> dict[str, Any]:
    return {"upi": {"channel": "collect", "upi_id": upi_id}}


@pytest.mark.parametrize(
    ("method", "answer", "group"),
    [
        (_upi("customer@gocash"), ("upi", "collect", "custom"), "upi"),
        ({"upi": {"channel": "link"}}, ("upi", "link", "custom"), "upi"),
        ({"upi": {"channel": "qrcode"}}, ("upi", "qrcode", "custom"), "upi"),
        ({"card": {"channel": "link", "card_number": "4706131211212123"}}, ("card", "link", "link"), "credit_card"),
        (
            {"netbanking": {"channel": "link", "netbanking_bank_code": 3333}},
            ("netbanking", "link", "link"),
            "net_banking",
        ),
        ({"app": {"channel": "link", "provider": "phonepe", "phone": "9999999999"}}, ("app", "link", "link"), "wallet"),
    ],
    ids=["upi collect", "upi link", "upi qrcode", "card", "netbanking", "wallet"],
)
async def test_an_order_is_paid_through_its_session(
    shop: Any, method: Any, answer: tuple[str, ...], group: str
) -> None:
    status, paying = await _session(shop, method)
    assert status == 200
    assert (paying["payment_method"], paying["channel"], paying["action"]) == answer
    [payment] = await shop.get(rest="/payments")
    assert payment["payment_status"] == "NOT_ATTEMPTED"
    [webhook] = await shop.receiver.wait_for(1)
    assert (webhook["type"], webhook["data"]["payment"]["payment_group"]) == ("PAYMENT_SUCCESS_WEBHOOK", group)
    [payment] = await shop.get(rest="/payments")
    assert set(payment) == PAYMENT_FIELDS
    assert (payment["payment_status"], payment["is_captured"]) == ("SUCCESS", True)
    assert await shop.get(rest=f"/payments/{paying['cf_payment_id']}") == payment
    assert (await shop.get())["order_status"] == "PAID"


@pytest.mark.parametrize(
    ("method", "code"),
    [
        (_upi("rohit@okbank"), "upi_id_invalid"),
        (_upi("testinvalid@gocash"), "upi_id_invalid"),
        ({"card": {"channel": "link", "card_number": "4706131211212124"}}, "card_number_invalid"),
        ({"app": {"channel": "link", "provider": "nobody", "phone": "9999999999"}}, "payment_method_invalid"),
        ({}, "payment_method_invalid"),
        ({"upi": {"channel": "collect", "upi_id": "a@gocash"}, "card": {}}, "payment_method_invalid"),
    ],
)
async def test_a_bad_method_is_refused(shop: Any, method: Any, code: str) -> None:
    status, error = await _session(shop, method)
    assert (status, error["code"]) == (400, code)


async def test_a_foreign_session_is_refused(shop: Any) -> None:
    request = {"payment_session_id": "session_of_somebody_else", "payment_method": _upi("a@gocash")}
    status, error = await shop.call("POST", "/pg/orders/sessions", request)
    assert (status, error["code"], error["type"]) == (400, "payment_session_id_invalid", "request_failed")


ENDS = {
    Outcome.SUCCESS: ["PAYMENT_SUCCESS_WEBHOOK"],
    Outcome.FAILURE: ["PAYMENT_FAILED_WEBHOOK"],
    Outcome.USER_DROPPED: ["PAYMENT_USER_DROPPED_WEBHOOK"],
    Outcome.PENDING: [],
    Outcome.PENDING_THEN_FAILURE: ["PAYMENT_FAILED_WEBHOOK"],
    Outcome.PENDING_THEN_SUCCESS: ["PAYMENT_SUCCESS_WEBHOOK"],
    Outcome.LATE_SUCCESS: ["PAYMENT_FAILED_WEBHOOK", "PAYMENT_SUCCESS_WEBHOOK"],
    Outcome.SUCCESS_TWICE: ["PAYMENT_SUCCESS_WEBHOOK", "PAYMENT_SUCCESS_WEBHOOK"],
    Outcome.AMOUNT_MISMATCH: ["PAYMENT_SUCCESS_WEBHOOK"],
    Outcome.CURRENCY_MISMATCH: ["PAYMENT_SUCCESS_WEBHOOK"],
}
assert ENDS.keys() == set(Outcome), "every outcome needs its webhooks"


@pytest.mark.parametrize(("amount_paise", "outcome"), MAGIC_AMOUNTS.items())
async def test_an_amount_can_force_every_outcome(shop: Any, amount_paise: int, outcome: Outcome) -> None:
    status, _ = await _session(shop, _upi("customer@gocash"), order_amount=amount_paise // 100)
    assert status == 200
    webhooks = await shop.receiver.wait_for(len(ENDS[outcome]))
    assert [it["type"] for it in webhooks] == ENDS[outcome]
    paid = "PAYMENT_SUCCESS_WEBHOOK" in ENDS[outcome]
    assert (await shop.get())["order_status"] == ("PAID" if paid else "ACTIVE")


async def test_a_pending_payment_fails_when_its_order_is_closed(shop: Any) -> None:
    await shop.create()
    await shop.pay(outcome="pending")
    [payment] = await shop.get(rest="/payments")
    assert payment["payment_status"] == "PENDING"
    _, order = await shop.call("PATCH", "/pg/orders/order_1", {"order_status": "TERMINATED"})
    assert order["order_status"] == "TERMINATED"
    [webhook] = await shop.receiver.wait_for(1)
    assert webhook["type"] == "PAYMENT_FAILED_WEBHOOK"


async def test_a_failed_payment_says_why_and_the_order_can_be_tried_again(shop: Any) -> None:
    await _session(shop, _upi("testinsufficientfunds@gocash"))
    [webhook] = await shop.receiver.wait_for(1)
    assert webhook["data"]["error_details"]["error_reason"] == "insufficient_funds"
    [payment] = await shop.get(rest="/payments")
    assert payment["error_details"]["error_reason"] == "insufficient_funds"
    await shop.pay()
    assert [it["payment_status"] for it in await shop.get(rest="/payments")] == ["FAILED", "SUCCESS"]


async def test_a_mismatch_shows_in_the_payment_and_not_in_the_order(shop: Any) -> None:
    await shop.create()
    await shop.pay(outcome="amount_mismatch")
    [payment] = await shop.get(rest="/payments")
    assert (payment["payment_amount"], payment["order_amount"]) == (169, 170)


async def test_a_second_capture_is_a_second_payment(shop: Any) -> None:
    await shop.create()
    await shop.pay()
    await shop.pay(force=True)
    webhooks = await shop.receiver.wait_for(2)
    assert len({it["data"]["payment"]["cf_payment_id"] for it in webhooks}) == 2


async def test_many_orders_are_paid_in_one_call(shop: Any) -> None:
    for number in range(3):
        await shop.create(order_id=f"order_{number}")
    answer = await shop.control("/pay", {"order_ids": ["order_0", "order_1", "order_2", "order_9", "order_0"]})
    assert answer == {"paid": 3, "refused": {"order_9": "order_not_found", "order_0": "order_inactive"}}
    await shop.receiver.wait_for(3)


@pytest.mark.parametrize(
    "command", [{"outcome": "maybe"}, {"outcom": "success"}, {"outcome": "late_success", "wait": True}]
)
async def test_a_command_that_makes_no_sense_is_refused(shop: Any, command: dict[str, Any]) -> None:
    await shop.create()
    status, _ = await shop.call("POST", "/control/orders/order_1/pay", command)
    assert status == 400


def _drawn(seed: int, kind: str, count: int = 2_000) -> list[Outcome]:
    settings = Settings(seed=seed, test_mode=False)
    draw = OutcomeDraw(settings, settings.random(), MAGIC_HANDLES)
    return [draw.outcome(methods.named(kind, "x@gocash" if kind == "upi" else ""), 17000) for _ in range(count)]


@pytest.mark.parametrize(("kind", "percent"), [("upi", 90), ("card", 95)])
def test_chance_is_as_published_and_repeatable(kind: str, percent: int) -> None:
    drawn = _drawn(1, kind)
    assert drawn == _drawn(1, kind) != _drawn(2, kind)
    assert abs(Counter(drawn)[Outcome.SUCCESS] / 20 - percent) < 2


def test_delays_are_as_published() -> None:
    settings = Settings(seed=1, test_mode=False)
    draw = OutcomeDraw(settings, settings.random(), MAGIC_HANDLES)
    assert all(5_000 <= draw.delay_ms() <= 10_000 for _ in range(200))
    assert OutcomeDraw(Settings(test_mode=True, test_delay_ms=70), settings.random(), MAGIC_HANDLES).delay_ms() == 70


def test_test_mode_forces_the_outcome_unless_magic_does() -> None:
    settings = Settings(test_mode=True, test_success=False)
    draw = OutcomeDraw(settings, settings.random(), MAGIC_HANDLES)
    assert draw.outcome(methods.upi("x@gocash"), 17000) is Outcome.FAILURE
    assert draw.outcome(methods.upi("testsuccess@gocash"), 17000) is Outcome.SUCCESS
