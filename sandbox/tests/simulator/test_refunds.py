"""Refunds: never more than came in, never twice under one id, and announced when they are decided."""

from typing import Any

import pytest

from .conftest import HEADERS


async def _paid(shop: Any) -> None:
    await shop.create()
    await shop.pay(wait=True)


async def _refund(shop: Any, order_id: str = "order_1", **changes: Any) -> tuple[int, Any]:
    fields = {"refund_id": "refund_1", "refund_amount": 20, "refund_note": "changed my mind"} | changes
    return await shop.call("POST", f"/pg/orders/{order_id}/refunds", fields)  # type: ignore[no-any-return]


async def test_a_refund_is_pending_first_and_then_succeeds(shop: Any) -> None:
    await _paid(shop)
    status, refund = await _refund(shop, refund_amount=20.5, refund_speed="INSTANT")
    assert (status, refund["refund_status"], refund["refund_amount"]) == (200, "PENDING", 20.5)
    assert refund["refund_speed"] == {
        "requested": "INSTANT",
        "accepted": "STANDARD",
        "processed": None,
        "message": None,
    }
    webhook = (await shop.receiver.wait_for(2))[1]
    assert webhook["type"] == "REFUND_STATUS_WEBHOOK"
    assert (webhook["data"]["refund"]["entity"], webhook["data"]["refund"]["refund_status"]) == ("Refund", "SUCCESS")
    assert isinstance(webhook["data"]["refund"]["cf_refund_id"], int)
    assert b'"refund_amount":20.50,' in shop.receiver.got[1][1]
    refund = await shop.get(rest="/refunds/refund_1")
    assert (refund["refund_status"], refund["status_description"]) == ("SUCCESS", "Refund processed successfully")
    assert await shop.get(rest="/refunds") == [refund]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"refund_amount": 170.01}, "refund_post_failed"),
        ({"refund_amount": 0}, "refund_amount_invalid"),
        ({"refund_amount": None}, "refund_amount_missing"),
        ({"refund_id": "a-b"}, "refund_id_invalid"),
        ({"refund_id": ""}, "refund_id_missing"),
        ({"refund_speed": "WARP"}, "refund_speed_invalid"),
    ],
)
async def test_a_bad_refund_is_refused(shop: Any, change: dict[str, Any], code: str) -> None:
    await _paid(shop)
    status, error = await _refund(shop, **change)
    assert (status, error["code"]) == (400, code)


async def test_an_unpaid_order_has_nothing_to_refund(shop: Any) -> None:
    await shop.create()
    status, error = await _refund(shop)
    assert (status, error["code"], error["message"]) == (400, "order_id_not_paid", "transaction not found")


async def test_partial_refunds_add_up_to_the_payment_at_most(shop: Any) -> None:
    await _paid(shop)
    assert (await _refund(shop, refund_amount=100))[0] == 200
    status, error = await _refund(shop, refund_id="refund_2", refund_amount=70.01)
    assert (status, error["code"]) == (400, "refund_post_failed")
    assert (await _refund(shop, refund_id="refund_2", refund_amount=70))[0] == 200


async def test_a_refund_id_is_taken_once_for_all_orders(shop: Any) -> None:
    await _paid(shop)
    await shop.create(order_id="order_2")
    await shop.pay("order_2")
    assert (await _refund(shop, refund_amount=170))[0] == 200
    for order_id in ("order_1", "order_2"):
        status, error = await _refund(shop, order_id, refund_amount=170)
        assert (status, error["message"]) == (400, "Duplicate Merchant Refund Id")


@pytest.mark.parametrize("status", ["SUCCESS", "FAILED", "CANCELLED"])
async def test_a_note_forces_how_a_refund_ends_and_a_failed_one_frees_its_amount(shop: Any, status: str) -> None:
    await _paid(shop)
    await _refund(shop, refund_amount=170, refund_note=status)
    webhook = (await shop.receiver.wait_for(2))[1]
    assert webhook["data"]["refund"]["refund_status"] == status
    again, _ = await _refund(shop, refund_id="refund_2", refund_amount=170)
    assert again == (400 if status == "SUCCESS" else 200)


async def test_a_pending_refund_is_cancelled_or_decided_by_hand(shop: Any) -> None:
    await _paid(shop)
    for refund_id in ("refund_1", "refund_2"):
        await _refund(shop, refund_id=refund_id, refund_note="PENDING")
    _, refund = await shop.call("PUT", "/pg/orders/order_1/refunds/refund_1", {"refund_status": "CANCELLED"})
    assert refund["refund_status"] == "CANCELLED"
    await shop.control("/refunds/refund_2", {"status": "SUCCESS"})
    status, _ = await shop.call("PUT", "/pg/orders/order_1/refunds/refund_2", {"refund_status": "CANCELLED"})
    assert status == 400
    assert [it["refund_status"] for it in await shop.get(rest="/refunds")] == ["CANCELLED", "SUCCESS"]


async def test_under_a_used_key_a_stored_error_is_replayed_and_the_refund_id_is_what_is_safe(shop: Any) -> None:
    await _paid(shop)
    await shop.control("/faults", {"operation": "create_refund", "action": "apply_then_error", "count": 1})
    body = {"refund_id": "refund_1", "refund_amount": 20}
    for _ in range(3):
        status, _ = await shop.call(
            "POST", "/pg/orders/order_1/refunds", body, headers={**HEADERS, "x-idempotency-key": "refund_1"}
        )
        assert status == 500
    status, error = await _refund(shop)
    assert (status, error["message"]) == (400, "Duplicate Merchant Refund Id")
    assert (await shop.get(rest="/refunds/refund_1"))["refund_amount"] == 20


async def test_a_refund_that_came_back_is_reversed_and_frees_its_amount(shop: Any) -> None:
    await _paid(shop)
    await _refund(shop, refund_amount=170)
    await shop.receiver.wait_for(2)
    await shop.control("/refunds/refund_1", {"status": "REVERSED"})
    hook = (await shop.receiver.wait_for(3))[2]
    assert (hook["type"], hook["data"]["refund"]["refund_status"]) == ("REFUND_STATUS_WEBHOOK", "REVERSED")
    assert hook["data"]["refund"]["refund_arn"]
    assert (await _refund(shop, refund_id="refund_2", refund_amount=170))[0] == 200


async def test_a_refund_of_the_dashboard_is_listed_and_announced(shop: Any) -> None:
    await _paid(shop)
    made = await shop.control("/orders/order_1/refunds", {"amount_paise": 5_000})
    hook = (await shop.receiver.wait_for(2))[1]
    assert hook["data"]["refund"]["refund_id"] == made["refund_id"]
    [listed] = await shop.get(rest="/refunds")
    assert (listed["refund_amount"], listed["refund_status"]) == (50, "SUCCESS")
    assert (await shop.call("POST", "/control/orders/order_1/refunds", {"amount_paise": 12_001}))[0] == 400


async def test_the_gateway_refunds_a_second_capture_by_itself(shop: Any) -> None:
    await _paid(shop)
    second = await shop.pay(force=True, wait=True)
    await shop.control("/orders/order_1/refunds", {"automatic": True})
    hooks = (await shop.receiver.wait_for(4))[2:]
    assert [hook["type"] for hook in hooks] == ["AUTO_REFUND_STATUS_WEBHOOK"] * 2
    refunds = [hook["data"]["auto_refund"] for hook in hooks]
    assert [refund["refund_status"] for refund in refunds] == ["INITIATED", "SUCCESS"]
    assert {refund["cf_payment_id"] for refund in refunds} == {second["cf_payment_id"]}
    assert "refund_id" not in refunds[0]
    [listed] = await shop.get(rest="/refunds")
    assert (listed["refund_id"], listed["refund_type"]) == (None, "PAYMENT_AUTO_REFUND")
