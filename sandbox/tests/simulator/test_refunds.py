"""Refunds: never more than came in, never twice under one id, and announced when they are decided."""

from typing import Any

import pytest


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
