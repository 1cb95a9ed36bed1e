"""Razorpay's disputes and settlements: what they take, and what the rows say."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from sandbox import clock, settling
from sandbox.clock import IST


async def _paid(razorpay: Any, *receipts: str) -> None:
    for receipt in receipts:
        await razorpay.create(receipt=receipt, amount=50_000)
        await razorpay.pay(receipt, wait=True)


async def _rows(razorpay: Any, settled: dict[str, Any]) -> list[dict[str, Any]]:
    day = "&".join(f"{name}={value}" for name, value in settled["settled_on"].items())
    rows = (await razorpay.fetch(f"/settlements/recon/combined?{day}&count=1000"))["items"]
    return [row for row in rows if row["settlement_id"] == settled["id"]]


async def test_a_lost_dispute_takes_the_money_and_a_won_one_gives_it_back(razorpay: Any) -> None:
    await _paid(razorpay, "receipt_1")
    raised = await razorpay.control("/orders/receipt_1/disputes", {"amount_paise": 10_000, "deducts_at_once": True})
    dispute = await razorpay.fetch(f"/disputes/{raised['dispute_id']}")
    assert (dispute["amount"], dispute["amount_deducted"], dispute["status"]) == (10_000, 10_000, "open")
    first = await razorpay.control("/settlements")
    assert first["amount"] == 50_000 - 1_121 - 10_000
    await razorpay.control(f"/disputes/{raised['dispute_id']}", {"status": "won"})
    second = await razorpay.control("/settlements")
    [row] = await _rows(razorpay, second)
    assert (row["type"], row["credit"], row["dispute_id"]) == ("adjustment", 10_000, raised["dispute_id"])
    assert second["amount"] == 10_000


async def test_a_dispute_costs_nothing_until_it_is_lost(razorpay: Any) -> None:
    await _paid(razorpay, "receipt_1")
    raised = await razorpay.control("/orders/receipt_1/disputes")
    assert (await razorpay.control("/settlements"))["amount"] == 48_879
    await razorpay.control(f"/disputes/{raised['dispute_id']}", {"phase": "arbitration", "respond_in_seconds": 60})
    await razorpay.control(f"/disputes/{raised['dispute_id']}", {"status": "lost"})
    assert (await razorpay.control("/settlements"))["amount"] == -50_000
    names = [it["event"] for it in await razorpay.receiver.wait_for(8) if "dispute" in it["event"]]
    assert sorted(names) == [f"payment.dispute.{name}" for name in ("action_required", "created", "lost")]
    status, _ = await razorpay.call("POST", f"/razorpay/control/disputes/{raised['dispute_id']}", {"status": "lose"})
    assert status == 400


async def test_nothing_is_settled_twice(razorpay: Any) -> None:
    await _paid(razorpay, "receipt_1")
    settled = await razorpay.control("/settlements")
    [row] = await _rows(razorpay, settled)
    assert (row["amount"], row["fee"], row["tax"], row["credit"], row["debit"]) == (50_000, 1_121, 171, 48_879, 0)
    assert (row["payment_id"], row["settled"], row["settlement_utr"]) == (None, True, settled["utr"])
    assert await razorpay.control("/settlements") == {}


async def test_a_refund_that_comes_back_is_settled_as_an_adjustment(razorpay: Any) -> None:
    await _paid(razorpay, "receipt_1")
    refund = await razorpay.control("/orders/receipt_1/refunds", {"amount_paise": 20_000})
    assert (await razorpay.control("/settlements"))["amount"] == 48_879 - 20_000
    await razorpay.control(f"/refunds/{refund['refund_id']}", {"status": "failed"})
    assert (await razorpay.control("/settlements"))["amount"] == 20_000


async def test_a_settlement_can_fail_and_be_paid_out_again_with_a_correction(razorpay: Any) -> None:
    await _paid(razorpay, "receipt_1")
    settled = await razorpay.control("/settlements", {"status": "failed"})
    assert (settled["status"], settled["utr"]) == ("failed", None)
    again = await razorpay.control(f"/settlements/{settled['id']}", {"status": "processed", "adjustment_paise": -879})
    assert (again["status"], again["amount"]) == ("processed", 48_000)
    assert again["utr"]
    [webhook] = [it for it in await razorpay.receiver.wait_for(4) if it["event"] == "settlement.processed"]
    assert webhook["payload"]["settlement"]["entity"]["utr"] == again["utr"]


async def test_fees_are_set_by_command(razorpay: Any) -> None:
    await razorpay.control("/fees", {"basis_points": 200, "tax_basis_points": 0}, "PUT")
    await _paid(razorpay, "receipt_1")
    assert (await razorpay.control("/settlements"))["amount"] == 49_000


async def test_faults_make_rows_wrong_as_ordered(razorpay: Any) -> None:
    receipts = ["missing_1", "doubled_1", "amount_1", "fee_1", "currency_1", "late_1", "utr_1", "right_1"]
    await _paid(razorpay, *receipts)
    faults: list[dict[str, Any]] = [{"kind": name.partition("_")[0], "order_id": name} for name in receipts[:-1]]
    faults.append({"kind": "foreign", "amount_paise": 12_345})
    settled = await razorpay.control("/settlements", {"faults": faults})
    rows = await _rows(razorpay, settled)
    by_receipt: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_receipt.setdefault(row["order_receipt"], []).append(row)
    assert sorted(by_receipt) == sorted(
        ["doubled_1", "amount_1", "fee_1", "currency_1", "utr_1", "right_1", "receipt_of_nobody"]
    )
    assert len(by_receipt["doubled_1"]) == 2
    assert by_receipt["amount_1"][0]["amount"] == 50_100
    assert by_receipt["fee_1"][0]["fee"] == 1_221
    assert by_receipt["currency_1"][0]["currency"] == "USD"
    assert by_receipt["utr_1"][0]["settlement_utr"] != settled["utr"]
    assert sum(row["credit"] - row["debit"] for row in rows) == settled["amount"]
    late = await razorpay.control("/settlements")
    assert [row["order_receipt"] for row in await _rows(razorpay, late)] == ["late_1"]


async def test_what_was_paid_is_settled_two_days_later_by_itself(
    razorpay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _paid(razorpay, "receipt_1")
    day = datetime.fromtimestamp(clock.now(), IST).replace(hour=0, minute=0, second=0, microsecond=0)
    for later, count in ((timedelta(days=2, hours=10, minutes=59), 0), (timedelta(days=2, hours=11), 1)):
        moment = int((day + later).timestamp())
        monkeypatch.setattr(settling, "now", lambda moment=moment: moment)
        assert (await razorpay.fetch("/settlements"))["count"] == count
    [settlement] = (await razorpay.fetch("/settlements"))["items"]
    assert settlement["amount"] == 48_879


@pytest.mark.parametrize("query", ["", "year=2026", "year=2026&month=13", "year=2026&month=1&day=32"])
async def test_rows_are_asked_for_by_month_or_day(razorpay: Any, query: str) -> None:
    assert (await razorpay.ask("GET", f"/settlements/recon/combined?{query}"))[0] == 400
