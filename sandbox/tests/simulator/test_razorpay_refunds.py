"""Razorpay's refunds: how they end, what is refused, and keys that make a repetition safe."""

import asyncio
from typing import Any

import pytest


async def _paid(razorpay: Any, method: str = "upi") -> str:
    await razorpay.create()
    return str((await razorpay.pay(wait=True, method=method))["payment_id"])


async def _refund(razorpay: Any, payment_id: str, request: dict[str, Any] | None = None, **headers: str) -> Any:
    return await razorpay.ask("POST", f"/payments/{payment_id}/refund", request or {}, **headers)


@pytest.mark.parametrize(
    ("request_body", "description"),
    [
        ({"amount": 99}, "The amount must be at least INR 1.00"),
        ({"amount": 17_001}, "The refund amount provided is greater than amount captured."),
        ({"amount": "much"}, "The amount must be an integer."),
        ({"speed": "at once"}, "The selected speed is invalid."),
    ],
)
async def test_a_refund_is_refused(razorpay: Any, request_body: dict[str, Any], description: str) -> None:
    payment_id = await _paid(razorpay)
    status, body = await _refund(razorpay, payment_id, request_body)
    assert (status, body["error"]["description"]) == (400, description)
    assert (await razorpay.fetch(f"/payments/{payment_id}"))["amount_refunded"] == 0


async def test_what_was_not_captured_is_not_refunded(razorpay: Any) -> None:
    await razorpay.create(payment={"capture": "manual"})
    payment_id = (await razorpay.pay(wait=True))["payment_id"]
    assert (await _refund(razorpay, payment_id))[0] == 400


async def test_a_refund_is_pending_and_then_processed(razorpay: Any) -> None:
    payment_id = await _paid(razorpay)
    status, refund = await _refund(razorpay, payment_id, {"amount": 7_000, "receipt": "refund_1"})
    assert (status, refund["status"], refund["acquirer_data"]) == (200, "pending", {"arn": None})
    created, processed = (await razorpay.receiver.wait_for(5))[3:]
    assert (created["event"], created["contains"]) == ("refund.created", ["refund", "payment"])
    entity = await razorpay.fetch(f"/refunds/{refund['id']}")
    assert (entity["status"], processed["payload"]["refund"]["entity"]) == ("processed", entity)
    assert processed["payload"]["payment"]["entity"]["refund_status"] == "partial"
    assert (await razorpay.ask("PATCH", f"/refunds/{refund['id']}", {"notes": {"a": "b"}}))[1]["notes"] == {"a": "b"}


async def test_a_refund_can_fail_at_once_or_come_back_later(razorpay: Any) -> None:
    payment_id = await _paid(razorpay)
    _, failing = await _refund(razorpay, payment_id, {"notes": {"sandbox_refund": "failed"}})
    await razorpay.receiver.wait_for(5)
    assert (await razorpay.fetch(f"/refunds/{failing['id']}"))["status"] == "failed"
    payment = await razorpay.fetch(f"/payments/{payment_id}")
    assert (payment["amount_refunded"], payment["status"]) == (0, "captured")
    _, returned = await _refund(razorpay, payment_id, {"receipt": "refund_2"})
    await razorpay.receiver.wait_for(7)
    assert (await razorpay.fetch(f"/payments/{payment_id}"))["status"] == "refunded"
    await razorpay.control("/refunds/refund_2", {"status": "failed"})
    assert (await razorpay.fetch(f"/payments/{payment_id}"))["status"] == "captured"
    names = [it["event"] for it in await razorpay.receiver.wait_for(8)]
    assert (names.count("refund.failed"), returned["receipt"]) == (2, "refund_2")


@pytest.mark.parametrize(
    ("method", "speed", "events"),
    [
        ("upi", "instant", ["refund.created", "refund.processed"]),
        ("netbanking", "normal", ["refund.created", "refund.processed", "refund.speed_changed"]),
    ],
)
async def test_a_fast_refund_is_instant_where_the_method_can(
    razorpay: Any, method: str, speed: str, events: list[str]
) -> None:
    payment_id = await _paid(razorpay, method)
    _, refund = await _refund(razorpay, payment_id, {"speed": "optimum"})
    assert (await razorpay.events(3 + len(events)))[3:] == events
    assert (await razorpay.fetch(f"/refunds/{refund['id']}"))["speed_processed"] == speed


async def test_the_dashboard_refunds_too(razorpay: Any) -> None:
    payment_id = await _paid(razorpay)
    await razorpay.control("/orders/receipt_1/refunds", {"amount_paise": 2_000})
    [refund] = (await razorpay.fetch(f"/payments/{payment_id}/refunds"))["items"]
    assert (refund["amount"], refund["status"]) == (2_000, "processed")


async def test_a_key_finds_the_refund_whose_answer_was_lost(razorpay: Any) -> None:
    payment_id = await _paid(razorpay)
    key = {"x-refund-idempotency": "refund-00001"}
    lost = {"operation": "create_refund", "action": "apply_then_error", "status": 502, "count": 1}
    await razorpay.control("/orders/receipt_1/faults", lost)
    status, body = await _refund(razorpay, payment_id, {"amount": 100}, **key)
    assert (status, body["error"]["code"]) == (502, "GATEWAY_ERROR")
    status, refund = await _refund(razorpay, payment_id, {"amount": 100}, **key)
    assert status == 200
    assert [it["id"] for it in (await razorpay.fetch("/refunds"))["items"]] == [refund["id"]]


async def test_a_key_is_for_one_request_at_a_time(razorpay: Any) -> None:
    payment_id = await _paid(razorpay)
    key = {"x-refund-idempotency": "refund-00001"}
    slow = {"operation": "create_refund", "action": "delay", "delay_ms": 100, "count": 1}
    await razorpay.control("/faults", slow)
    first = asyncio.create_task(_refund(razorpay, payment_id, {"amount": 100}, **key))
    await asyncio.sleep(0.03)
    status, body = await _refund(razorpay, payment_id, {"amount": 100}, **key)
    assert (status, body["error"]["reason"]) == (409, "NA")
    assert "still in progress" in body["error"]["description"]
    assert (await first)[0] == 200
    status, body = await _refund(razorpay, payment_id, {"amount": 101}, **key)
    assert (status, "Different request" in body["error"]["description"]) == (409, True)
    assert (await _refund(razorpay, payment_id, {"amount": 100}, **{"x-refund-idempotency": "short"}))[0] == 400
