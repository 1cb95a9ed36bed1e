"""Settlements: what was paid, given back and disputed adds up to what reaches the bank, and faults are as ordered."""

import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from sandbox import clock
from sandbox.clock import IST

PAGE = {"limit": 1000}


async def _settlements(shop: Any, **filters: Any) -> list[dict[str, Any]]:
    status, body = await shop.call("POST", "/pg/settlements", {"pagination": PAGE, "filters": filters})
    assert status == 200, body
    return list(body["data"])


async def _rows(shop: Any, cf_settlement_id: str) -> list[dict[str, Any]]:
    request = {"pagination": PAGE, "filters": {"cf_settlement_ids": [int(cf_settlement_id)]}}
    status, body = await shop.call("POST", "/pg/settlement/recon", request)
    assert status == 200, body
    return list(body["data"])


async def _paid(shop: Any, *order_ids: str, amount: float = 500) -> None:
    for order_id in order_ids:
        await shop.create(order_id=order_id, order_amount=amount)
        await shop.pay(order_id, wait=True)


def _add_up(settlement: dict[str, Any]) -> None:
    charges = settlement["pg_service_charge"] + settlement["pg_service_tax"]
    expected = settlement["payment_amount"] - charges + settlement["adjustment"]
    assert settlement["amount_settled"] == pytest.approx(expected)


async def test_a_payment_reaches_the_bank_less_fee_and_gst(shop: Any) -> None:
    await _paid(shop, "order_1")
    settled = await shop.control("/settlements")
    assert (settled["payment_amount"], settled["pg_service_charge"], settled["pg_service_tax"]) == (500, 9.5, 1.71)
    assert (settled["amount_settled"], settled["status"]) == (488.79, "SUCCESS")
    assert settled["settlement_utr"]
    [row] = await _rows(shop, settled["cf_settlement_id"])
    assert row["event_details"]["event_type"] == "PAYMENT"
    assert (row["event_details"]["event_amount"], row["event_details"]["event_settlement_amount"]) == (500, 488.79)
    assert row["order_details"]["order_id"] == "order_1"
    assert row["settlement_details"]["utr"] == settled["settlement_utr"]
    assert (await shop.get(rest="/settlements"))["settlement_amount"] == 488.79
    # Nothing is settled twice.
    assert await shop.control("/settlements") == {}


async def test_the_fee_and_its_gst_are_set_and_may_be_zero(shop: Any) -> None:
    await shop.control("/fees", {"basis_points": 200, "tax_basis_points": 0}, "PUT")
    await _paid(shop, "order_1")
    settled = await shop.control("/settlements")
    assert (settled["pg_service_charge"], settled["pg_service_tax"], settled["amount_settled"]) == (10, 0, 490)


async def test_refunds_disputes_and_their_reversals_are_rows(shop: Any) -> None:
    await _paid(shop, "order_1", "order_2")
    await shop.call("POST", "/pg/orders/order_1/refunds", {"refund_id": "refund_1", "refund_amount": 100})
    await shop.receiver.wait_for(3)
    dispute = await shop.control("/orders/order_2/disputes", {"amount_paise": 20_000})
    first = await shop.control("/settlements")
    assert first["payment_amount"] == 1000 - 100 - 200
    _add_up(first)
    types = [row["event_details"]["event_type"] for row in await _rows(shop, first["cf_settlement_id"])]
    assert sorted(types) == ["DISPUTE", "PAYMENT", "PAYMENT", "REFUND"]
    await shop.control("/refunds/refund_1", {"status": "REVERSED"})
    await shop.control(f"/disputes/{dispute['dispute_id']}", {"step": "WON"})
    second = await shop.control("/settlements")
    assert second["payment_amount"] == 100 + 200
    rows = await _rows(shop, second["cf_settlement_id"])
    assert {row["event_details"]["sale_type"] for row in rows} == {"CREDIT"}
    assert [row["refund_details"]["refund_id"] for row in rows if row["refund_details"]["refund_id"]] == ["refund_1"]


async def test_what_happened_on_a_day_is_settled_on_the_next(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    noon = datetime.now(IST).replace(hour=12, minute=0)
    moment = [noon]
    monkeypatch.setattr(time, "time", lambda: moment[0].timestamp())
    assert clock.now() == int(noon.timestamp())
    await shop.create(order_id="order_1")
    await shop.pay("order_1", wait=True)
    assert await _settlements(shop) == []
    moment[0] = (noon + timedelta(days=1)).replace(hour=10)
    assert await _settlements(shop) == []
    moment[0] = (noon + timedelta(days=1)).replace(hour=11)
    [settled] = await _settlements(shop)
    assert settled["payment_amount"] == 170
    assert await _settlements(shop) == [settled]


async def test_days_and_cursor_page_through_all(shop: Any) -> None:
    for number in range(12):
        await _paid(shop, f"order_{number}")
        await shop.control("/settlements")
    today = datetime.now(IST).date()
    filters = {"start_date": f"{today}T00:00:00+05:30", "end_date": f"{today}T23:59:59+05:30"}
    assert len(await _settlements(shop, **filters)) == 12
    assert await _settlements(shop, start_date=f"{today + timedelta(days=1)}T00:00:00+05:30") == []
    first = {"pagination": {"limit": 10}, "filters": filters}
    _, page = await shop.call("POST", "/pg/settlements", first)
    assert len(page["data"]) == 10
    following = {"pagination": {"limit": 10, "cursor": page["cursor"]}, "filters": filters}
    _, last = await shop.call("POST", "/pg/settlements", following)
    assert (len(last["data"]), last["cursor"]) == (2, None)


@pytest.mark.parametrize(
    ("request_body", "code"),
    [
        ({}, "pagination_missing"),
        ({"pagination": {"limit": 9}}, "pagination.limit_invalid"),
        ({"pagination": {"limit": 1001}}, "pagination.limit_invalid"),
        ({"pagination": {"limit": 10, "cursor": "no"}}, "pagination.cursor_invalid"),
        ({"pagination": {"limit": 10}}, "filters_missing"),
    ],
)  # fmt: skip
async def test_a_bad_request_is_refused(shop: Any, request_body: dict[str, Any], code: str) -> None:
    filters = {} if code == "filters_missing" else {"cf_settlement_ids": [1]}
    status, error = await shop.call("POST", "/pg/settlement/recon", request_body | {"filters": filters})
    assert (status, error["code"]) == (400, code)


async def test_faults_make_rows_wrong_as_ordered(shop: Any) -> None:
    orders = ["missing_1", "doubled_1", "amount_1", "fee_1", "currency_1", "late_1", "utr_1", "right_1"]
    await _paid(shop, *orders)
    faults: list[dict[str, Any]] = [{"kind": order.partition("_")[0], "order_id": order} for order in orders[:-1]]
    faults.append({"kind": "foreign", "amount_paise": 12_345})
    settled = await shop.control("/settlements", {"faults": faults})
    _add_up(settled)
    rows = await _rows(shop, settled["cf_settlement_id"])
    by_order: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_order.setdefault(row["order_details"]["order_id"], []).append(row)
    foreign = set(by_order) - set(orders)
    assert len(foreign) == 1
    assert by_order.keys() - foreign == set(orders) - {"missing_1", "late_1"}
    doubled = by_order["doubled_1"]
    assert len(doubled) == 2
    assert len({row["event_details"]["event_id"] for row in doubled}) == 2
    assert by_order["amount_1"][0]["event_details"]["event_amount"] == 501
    assert by_order["fee_1"][0]["event_details"]["event_service_charge"] == 10.5
    assert by_order["currency_1"][0]["event_details"]["event_currency"] == "USD"
    assert by_order["utr_1"][0]["settlement_details"]["utr"] != settled["settlement_utr"]
    # What was late comes with the next; what is missing never does.
    late = await shop.control("/settlements")
    assert [row["order_details"]["order_id"] for row in await _rows(shop, late["cf_settlement_id"])] == ["late_1"]


async def test_a_settlement_is_held_reversed_paid_again_and_corrected(shop: Any) -> None:
    await _paid(shop, "order_1")
    settled = await shop.control("/settlements", {"status": "PENDING"})
    assert (settled["status"], settled["settlement_utr"]) == ("PENDING", None)
    path = f"/settlements/{settled['cf_settlement_id']}"
    assert (await shop.control(path, {"status": "FAILED"}))["status"] == "FAILED"
    paid = await shop.control(path, {"status": "SUCCESS"})
    reversed_ = await shop.control(path, {"status": "REVERSED"})
    again = await shop.control(path, {"status": "SUCCESS", "adjustment_paise": -1_000})
    assert reversed_["settlement_utr"] == paid["settlement_utr"] != again["settlement_utr"]
    assert again["adjustment"] == -10
    _add_up(again)
    hooks = (await shop.receiver.wait_for(6))[1:]
    assert [hook["type"] for hook in hooks] == [
        "SETTLEMENT_INITIATED",
        "SETTLEMENT_FAILED",
        "SETTLEMENT_SUCCESS",
        "SETTLEMENT_REVERSED",
        "SETTLEMENT_SUCCESS",
    ]
    assert hooks[0]["data"]["settlement"]["utr"] is None
    assert hooks[-1]["data"]["settlement"]["utr"] == int(again["settlement_utr"])
