"""Receipts given back through the gateway: by a person, by the policy, once; never more than they hold."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from asyncpg import PostgresError

from common import ids
from common.settings import read as read_settings
from payment.settings import Settings

from .test_late_money import closed, pay_late
from .test_reviews import Staff, duplicated, held, hold, staff
from .world import World

__all__ = ["hold", "staff"]

DAY = timedelta(days=1, seconds=1).total_seconds()


async def receipt_of(staff: Staff, payment: dict[str, Any]) -> dict[str, Any]:
    shown = (await staff.show(payment["paymentId"])).json()["data"]
    [receipt] = shown["review"]["receipts"]
    return dict(receipt)


async def refunds_of(world: World, payment: dict[str, Any]) -> list[dict[str, Any]]:
    headers = world.auth("usr_finance", "FINANCE")
    path = f"/api/v1/refunds/payment/{payment['paymentId']}"
    items: list[dict[str, Any]] = (await world.http.get(path, headers=headers)).json()["data"]["items"]
    return items


async def at_the_gateway(world: World, payment: dict[str, Any], **command: Any) -> dict[str, Any]:
    """A refund of the dashboard, or of the gateway itself."""
    response = await world.sandbox.post(f"/control/orders/{payment['orderId']}/refunds", json=command)
    assert response.status_code == 201, response.text
    return dict(response.json())


async def carry_out(world: World) -> None:
    """Ask the gateway, and take in the webhooks that it sends about it."""
    before = len(world.hooks)
    await world.run_intents()
    await world.hooks_arrive(before + 1)
    await world.deliver(*world.hooks[before:])


async def until(world: World, payment: dict[str, Any], status: str) -> None:
    """Look the payment's newest refund up until the gateway, which takes a moment, shows it in this status."""
    for _ in range(100):
        world.clock.advance(3_700)
        await world.run_job("refund_checks")
        if (await refunds_of(world, payment))[0]["status"] == status:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"the refund did not become {status}")


async def alerts(world: World, cause: str) -> list[Any]:
    return [each for each in await world.announced("email.admin.alert") if each.cause == cause]


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


# ── By a person ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_capture_goes_back_through_the_gateway(world: World, staff: Staff) -> None:
    payment = await duplicated(world)
    version = (await staff.show(payment["paymentId"])).json()["data"]["review"]["version"]
    begun = await staff.decide(payment["paymentId"], "refund", version=version)
    assert (begun.status_code, begun.json()["data"]["kinds"]) == (200, ["DUPLICATE"])
    # The same decision again is the same refund.
    assert (await staff.decide(payment["paymentId"], "refund", version=version)).status_code == 200
    [refund] = await refunds_of(world, payment)
    receipt = await receipt_of(staff, payment)
    assert (refund["status"], refund["source"], refund["requestedBy"]) == ("PROCESSING", "STAFF", "usr_finance")
    assert (refund["receiptId"], receipt["refundId"]) == (receipt["receiptId"], refund["refundId"])
    assert "refundDueAt" not in receipt
    # Nothing else is done with the money meanwhile.
    again = await staff.decide(payment["paymentId"], "refund")
    assert problem(again) == (409, "receipt_refund_pending")
    by_hand = {"receiptId": receipt["receiptId"], "gatewayRefundId": "cf_refund_1"}
    assert problem(await staff.decide(payment["paymentId"], "refunded", **by_hand)) == (409, "receipt_refund_pending")
    await carry_out(world)
    await world.deliver(*world.hooks)
    await world.run_intents()
    [event] = await world.announced("payment.receipt.refunded")
    [refund] = await refunds_of(world, payment)
    assert (refund["status"], event.gateway_refund_id, event.amount.minor) == (
        "SUCCESS",
        refund["gatewayRefundId"],
        50_000,
    )
    assert (await world.totals())["receipts.unapplied.minor"] == 0
    assert await staff.listed() == []
    # It was no success: nothing is taken of the wallet, no note, no mail, and the payment stays paid.
    assert world.wallet.holds == {} and await world.rows("select 1 from credit_notes") == []
    assert await world.announced("payment.refunded") == []
    assert await world.status(payment) == "SUCCESS"
    statuses = [row.status for row in await world.rows("select status from transactions order by status")]
    assert statuses == ["CAPTURED", "REFUNDED"]
    story = await world.timeline(refund["refundId"])
    told = [each.summary for each in story.entries if each.kind in ("refund", "receipt")]
    assert told == [
        "receipt over 500.00 INR (DUPLICATE); nothing of it is left",
        "refund of a receipt over 500.00 INR by staff: nothing → PROCESSING (staff)",
        "refund of a receipt over 500.00 INR by staff: PROCESSING → SUCCESS (success)",
    ], told
    assert payment["paymentId"] in story.references
    [stored] = await world.rows("select gateway_payment_id, returned_payment_id from refunds")
    assert stored.returned_payment_id, "the capture that the gateway picked is on record"


async def test_money_that_nobody_can_fulfil_goes_back_and_fails_the_payment(world: World, staff: Staff) -> None:
    payment = await world.created()
    await world.pay(payment["orderId"], outcome="amount_mismatch")
    await world.deliver(world.hooks[-1])
    begun = await staff.decide(payment["paymentId"], "refund")
    assert begun.status_code == 200, begun.text
    receipt = await receipt_of(staff, payment)
    assert problem(await staff.decide(payment["paymentId"], "fulfil")) == (409, "receipt_refund_pending")
    await carry_out(world)
    assert await world.status(payment) == "FAILED"
    [event] = await world.announced("payment.receipt.refunded")
    assert (event.receipt_id, event.amount.minor) == (receipt["receiptId"], receipt["amount"])
    assert await world.announced("payment.success") == []
    # It comes back: somebody has to decide again.
    [refund] = await refunds_of(world, payment)
    await world.sandbox.post(f"/control/refunds/{refund['refundId']}", json={"status": "REVERSED"})
    await until(world, payment, "REVERSED")
    assert [each["kinds"] for each in await staff.listed()] == [["QUARANTINED"]]
    [row] = await world.rows("select review from payments")
    assert row.review == "QUARANTINED"


async def test_a_refund_that_fails_leaves_the_receipt_to_a_person(world: World, staff: Staff) -> None:
    payment = await duplicated(world)
    await staff.decide(payment["paymentId"], "refund", reason="FAILED")
    await carry_out(world)
    receipt = await receipt_of(staff, payment)
    assert "refundId" not in receipt and receipt["refunded"] == 0
    assert len(await alerts(world, "receipt_refund_failed")) == 1
    assert await world.announced("payment.receipt.refunded") == []
    [item] = await staff.listed()
    assert item["kinds"] == ["DUPLICATE"]
    assert (await staff.decide(payment["paymentId"], "refund")).status_code == 200
    await carry_out(world)
    assert len(await world.announced("payment.receipt.refunded")) == 1
    assert (await world.totals())["receipts.unapplied.minor"] == 0


async def test_a_refund_that_comes_back_is_owed_again(world: World, staff: Staff) -> None:
    payment = await duplicated(world)
    await staff.decide(payment["paymentId"], "refund")
    await carry_out(world)
    [refund] = await refunds_of(world, payment)
    await world.sandbox.post(f"/control/refunds/{refund['refundId']}", json={"status": "REVERSED"})
    world.clock.advance(DAY)
    await world.run_job("refund_checks")
    assert [each["status"] for each in await refunds_of(world, payment)] == ["REVERSED"]
    first, again = await world.announced("payment.received")
    assert (again.receipt_id, again.amount.minor, again.reason) == (first.receipt_id, 50_000, "REFUND_REVERSED")
    assert again.event_id != first.event_id
    assert (await world.totals())["receipts.unapplied.minor"] == 50_000
    assert [each["kinds"] for each in await staff.listed()] == [["DUPLICATE"]]
    assert len(await alerts(world, "refund_reversed")) == 1
    # Given back once more it is another movement in the books.
    await staff.decide(payment["paymentId"], "refund")
    await carry_out(world)
    events = {each.event_id for each in await world.announced("payment.receipt.refunded")}
    assert len(events) == 2
    assert (await world.totals())["receipts.unapplied.minor"] == 0


@pytest.mark.parametrize("action", ["apply_then_error", "apply_then_timeout"])
async def test_unknown_is_not_failed_and_not_asked_twice(world: World, staff: Staff, action: str) -> None:
    payment = await duplicated(world)
    await staff.decide(payment["paymentId"], "refund")
    await world.fault(operation="create_refund", action=action, status=500, count=1)
    await world.run_intents()
    assert [each["status"] for each in await refunds_of(world, payment)] == ["PROCESSING"]
    await world.run_intents()
    await until(world, payment, "SUCCESS")
    assert len(await world.announced("payment.receipt.refunded")) == 1


async def test_which_capture_matters_and_only_a_person_can_name_it(world: World, staff: Staff) -> None:
    """Cashfree's refund names the order: of a payment that was refunded in part it might take the rest."""
    payment = await duplicated(world)
    headers = world.auth("usr_finance", "FINANCE")
    body = {"paymentId": payment["paymentId"], "reason": "the customer asked", "amount": 10_000}
    await world.http.post("/api/v1/refunds/initiate", json=body, headers=headers)
    refused = await staff.decide(payment["paymentId"], "refund")
    assert problem(refused) == (409, "receipt_refund_ambiguous")
    world.clock.advance(DAY)
    await world.run_job("receipt_refunds")
    [alert] = await alerts(world, "receipt_refund_due")
    assert "captures" in alert.summary
    assert [each.get("receiptId") for each in await refunds_of(world, payment)] == [None]
    # In the dashboard the capture can be named; what was done there is recorded.
    receipt = await receipt_of(staff, payment)
    by_hand = {"receiptId": receipt["receiptId"], "gatewayRefundId": "cf_refund_1"}
    assert (await staff.decide(payment["paymentId"], "refunded", **by_hand)).status_code == 200


@pytest.mark.usefixtures("hold")
async def test_fraud_hears_once_that_held_money_goes_back(world: World, staff: Staff) -> None:
    payment = await held(world)
    begun = await staff.decide(payment["paymentId"], "refund")
    assert (begun.json()["data"]["fraudReview"], begun.json()["data"]["status"]) == ("BLOCKED", "PENDING")
    await carry_out(world)
    assert await world.status(payment) == "FAILED"
    [decided] = await world.announced("payment.review.decided")
    assert (decided.action, decided.actor_id) == ("REFUNDED", "usr_finance")
    [released] = await world.announced("payment.released")
    assert released.outcome == "REFUSED"
    assert await staff.listed() == []


@pytest.mark.usefixtures("hold")
async def test_fraud_hears_of_held_money_that_went_back_in_the_dashboard(world: World, staff: Staff) -> None:
    payment = await held(world)
    before = len(world.hooks)
    await at_the_gateway(world, payment)
    await world.hooks_arrive(before + 1)
    await world.deliver(*world.hooks[before:])
    assert await world.status(payment) == "FAILED"
    [decided] = await world.announced("payment.review.decided")
    assert (decided.action, decided.actor_id) == ("REFUNDED", "gateway:cashfree")
    assert await staff.listed() == []


# ── By the policy ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_policy_gives_a_second_capture_back_once(world: World, staff: Staff) -> None:
    payment = await duplicated(world)
    assert (await receipt_of(staff, payment))["refundDueAt"]
    await world.run_job("receipt_refunds")
    assert await refunds_of(world, payment) == []
    world.clock.advance(DAY)
    await world.run_job("receipt_refunds")
    await world.run_job("receipt_refunds")
    [refund] = await refunds_of(world, payment)
    assert (refund["source"], refund["requestedBy"]) == ("POLICY", "service:payment")
    await carry_out(world)
    assert len(await world.announced("payment.receipt.refunded")) == 1
    assert await staff.listed() == []
    [audit] = [each for each in await world.announced("audit.recorded") if each.action == "refund.request"]
    assert audit.resource_id == refund["refundId"]


async def test_people_and_the_policy_at_once_give_a_receipt_back_once(world: World, staff: Staff) -> None:
    payment = await duplicated(world)
    world.clock.advance(DAY)
    version = (await staff.show(payment["paymentId"])).json()["data"]["review"]["version"]
    people = [
        staff.decide(payment["paymentId"], "refund", user=f"usr_{number}", version=version) for number in range(8)
    ]
    jobs = [world.run_job("receipt_refunds") for _ in range(4)]
    answers = await asyncio.gather(*people, *jobs)
    assert {each.status_code for each in answers if isinstance(each, httpx.Response)} <= {200, 409}
    assert len(await refunds_of(world, payment)) == 1
    await carry_out(world)
    assert len(await world.announced("payment.receipt.refunded")) == 1
    assert (await world.totals())["receipts.unapplied.minor"] == 0


async def test_what_the_gateway_gave_back_by_itself_is_not_given_back_twice(world: World, staff: Staff) -> None:
    """Its webhook was lost: the order's refunds are read before the gateway is asked."""
    payment = await duplicated(world)
    await at_the_gateway(world, payment, automatic=True)
    world.clock.advance(DAY)
    await world.run_job("receipt_refunds")
    await world.run_intents()
    theirs, ours = await refunds_of(world, payment)
    assert (ours["source"], ours["status"], ours["failureReason"]) == ("POLICY", "FAILED", "given_back_already")
    assert (theirs["source"], theirs["status"]) == ("GATEWAY", "SUCCESS")
    assert len(await world.announced("payment.receipt.refunded")) == 1
    assert await alerts(world, "receipt_refund_failed") == []
    assert await staff.listed() == []
    # Nothing of the payment went back, here or there.
    with pytest.raises(AssertionError):
        await at_the_gateway(world, payment, amount_paise=50_001)
    assert await world.status(payment) == "SUCCESS"


async def test_a_capture_that_took_the_place_of_the_one_that_went_back(world: World, staff: Staff) -> None:
    """The gateway picked the payment's own capture for the receipt: a later refund of the other is the payment's."""
    payment = await duplicated(world)
    receipt = await receipt_of(staff, payment)
    await staff.decide(payment["paymentId"], "refund")
    await carry_out(world)
    [stored] = await world.rows("select returned_payment_id from refunds")
    assert stored.returned_payment_id != receipt["gatewayPaymentId"]
    before = len(world.hooks)
    await at_the_gateway(world, payment, cf_payment_id=receipt["gatewayPaymentId"])
    await world.hooks_arrive(before + 1)
    await world.deliver(*world.hooks[before:])
    await world.run_intents()
    await world.run_job("refund_checks")
    theirs, _ = await refunds_of(world, payment)
    assert (theirs["status"], theirs["source"]) == ("SUCCESS", "GATEWAY")
    assert "receiptId" not in theirs and theirs["creditsHeld"]["paid"] == 5_000
    assert await world.status(payment) == "REFUNDED"
    assert await alerts(world, "refund_not_taken_over") == []


class TestByMerchant:
    @pytest.fixture
    def settings(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
        monkeypatch.setenv("SECOND_CAPTURE_POLICIES", "mer_commdesk=review")
        return read_settings(Settings)

    async def test_a_merchant_may_leave_second_captures_to_people(self, world: World, staff: Staff) -> None:
        payment = await duplicated(world)
        assert "refundDueAt" not in await receipt_of(staff, payment)
        world.clock.advance(DAY)
        assert await world.run_job("receipt_refunds") == 0
        assert await refunds_of(world, payment) == []


class TestLate:
    @pytest.fixture
    def settings(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
        monkeypatch.setenv("LATE_SUCCESS_POLICY", "refund")
        return read_settings(Settings)

    async def test_late_money_goes_back_at_once(self, world: World, staff: Staff) -> None:
        payment = await closed(world, "EXPIRED")
        await pay_late(world, payment)
        await world.verify(paymentId=payment["paymentId"])
        await world.run_job("receipt_refunds")
        await world.run_intents()
        await until(world, payment, "SUCCESS")
        [refund] = await refunds_of(world, payment)
        assert (refund["source"], refund["amount"]) == ("POLICY", 50_000)
        assert await world.status(payment) == "EXPIRED"
        assert await staff.listed() == []
        assert await world.announced("payment.success") == []
        assert (await world.totals())["receipts.unapplied.minor"] == 0


# ── The dashboard beside ours ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_of_the_dashboard_is_looked_at_again_when_ours_fails(world: World, staff: Staff) -> None:
    payment = await world.paid()
    headers = world.auth("usr_finance", "FINANCE")
    body = {"paymentId": payment["paymentId"], "reason": "PENDING"}
    [ours] = [(await world.http.post("/api/v1/refunds/initiate", json=body, headers=headers)).json()["data"]]
    # Ours, over all of it, is not at the gateway yet; somebody refunds a part in the dashboard.
    before = len(world.hooks)
    await at_the_gateway(world, payment, amount_paise=10_000)
    await world.hooks_arrive(before + 1)
    await world.deliver(*world.hooks[before:])
    assert len(await alerts(world, "refund_not_taken_over")) == 1
    [processed] = [each for each in await world.announced("webhook.cashfree.processed") if "refund" in each.reason]
    assert (processed.outcome, processed.reason) == ("PARKED", "refund_not_taken_over")
    # The gateway refuses ours: together they are more than it captured.
    await world.run_intents()
    assert {each["refundId"]: each["status"] for each in await refunds_of(world, payment)}[ours["refundId"]] == "FAILED"
    world.clock.advance(10)
    await world.run_job("refund_checks")
    await world.run_intents()
    world.clock.advance(DAY)
    await world.run_job("refund_checks")
    theirs = (await refunds_of(world, payment))[0]
    assert (theirs["source"], theirs["amount"], theirs["status"]) == ("GATEWAY", 10_000, "SUCCESS")
    assert await world.status(payment) == "PARTIALLY_REFUNDED"


# ── What the schema refuses ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "statement",
    [
        "update receipts set applied_minor = 1",
        "update receipts set refunded_minor = amount_minor, gateway_refund_id = 'cf_x', refund_id = null",
        "update refunds set amount_minor = amount_minor + 1 where receipt_id is not null",
        "update refunds set receipt_id = :nobody where receipt_id is not null",
    ],
)
async def test_the_schema_keeps_what_is_being_given_back(world: World, staff: Staff, statement: str) -> None:
    payment = await duplicated(world)
    await staff.decide(payment["paymentId"], "refund")
    with pytest.raises(PostgresError):
        async with world.db.begin() as tx:
            await tx.execute(statement, **({"nobody": ids.new()} if ":nobody" in statement else {}))
