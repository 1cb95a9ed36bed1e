"""Disputes: raised, moved, won, lost and accepted, each announced as Cashfree announces it."""

from typing import Any

import pytest


async def _disputed(shop: Any, **command: Any) -> str:
    await shop.create()
    await shop.pay(wait=True)
    return str((await shop.control("/orders/order_1/disputes", command))["dispute_id"])


async def test_a_dispute_is_listed_with_its_deadline_and_announced(shop: Any) -> None:
    dispute_id = await _disputed(shop, amount_paise=5_000, stage="CHARGEBACK", reason_code="4855")
    [listed] = await shop.get(rest="/disputes")
    assert (listed["dispute_id"], listed["dispute_amount"]) == (int(dispute_id), 50)
    assert (listed["dispute_status"], listed["reason_code"]) == ("CHARGEBACK_CREATED", 4855)
    assert (listed["resolved_at"], listed["respond_by"].count("+")) == ("9999-09-09T00:00:00", 0)
    assert (await shop.call("GET", f"/pg/disputes/{dispute_id}"))[1] == listed
    hook = (await shop.receiver.wait_for(2))[1]
    assert (hook["type"], hook["data"]["dispute"]["dispute_id"]) == ("DISPUTE_CREATED", dispute_id)
    assert hook["data"]["order_details"]["order_id"] == "order_1"
    assert hook["data"]["dispute"]["respond_by"].endswith("+05:30")


async def test_steps_stages_and_comments_are_updates_and_an_end_closes(shop: Any) -> None:
    dispute_id = await _disputed(shop, stage="DISPUTE")
    moves = [
        {"step": "DOCS_RECEIVED"},
        {"step": "UNDER_REVIEW"},
        {"step": "INSUFFICIENT_EVIDENCE", "respond_in_seconds": 60},
        {},
        {"stage": "CHARGEBACK", "step": "CREATED"},
        {"step": "LOST"},
    ]
    for move in moves:
        await shop.control(f"/disputes/{dispute_id}", move)
    hooks = (await shop.receiver.wait_for(2 + len(moves)))[2:]
    assert [(hook["type"], hook["data"]["dispute"]["dispute_update"]) for hook in hooks] == [
        ("DISPUTE_UPDATED", "STATUS_UPDATE"),
        ("DISPUTE_UPDATED", "STATUS_UPDATE"),
        ("DISPUTE_UPDATED", "STATUS_UPDATE"),
        ("DISPUTE_UPDATED", "COMMENT_UPDATE"),
        ("DISPUTE_UPDATED", "TYPE_UPDATE"),
        ("DISPUTE_CLOSED", "STATUS_UPDATE"),
    ]
    assert hooks[-1]["data"]["dispute"]["dispute_status"] == "CHARGEBACK_MERCHANT_LOST"
    assert hooks[-1]["data"]["dispute"]["resolved_at"]
    assert len({hook["data"]["dispute"]["updated_at"] for hook in hooks}) == len(moves)


async def test_a_dispute_is_accepted_once(shop: Any) -> None:
    dispute_id = await _disputed(shop)
    status, accepted = await shop.call("PUT", f"/pg/disputes/{dispute_id}/accept")
    assert (status, accepted["dispute_status"]) == (200, "CHARGEBACK_MERCHANT_ACCEPTED")
    assert (await shop.call("PUT", f"/pg/disputes/{dispute_id}/accept"))[0] == 400


@pytest.mark.parametrize("path", ["/pg/disputes/1", "/pg/disputes/x", "/pg/orders/nobody/disputes"])
async def test_what_nobody_disputed_is_not_found(shop: Any, path: str) -> None:
    assert (await shop.call("GET", path))[0] == 404


async def test_an_unpaid_order_cannot_be_disputed(shop: Any) -> None:
    await shop.create()
    status, error = await shop.call("POST", "/control/orders/order_1/disputes", {})
    assert (status, error["code"]) == (400, "order_id_not_paid")
