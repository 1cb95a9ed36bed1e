"""From webhooks, verify, the sweep and cancel to states: one event, one grant, whichever wins."""

import asyncio
import json
from typing import Any

import pytest

from commdesk.fraud.v1.events_pb2 import FraudDecided, FraudFlagged
from commdesk.payment.v1.events_pb2 import PaymentSyncRequested
from common import ids
from payment.domain import Origin
from payment.use_cases.cancelling import request_cancel


async def test_a_webhook_leads_to_success(world: Any) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    seen = (await world.get(f"/{data['paymentId']}")).json()["data"]
    assert (seen["status"], seen["simpleStatus"], seen["paymentMethod"]) == ("SUCCESS", "success", "upi")
    assert "paymentSessionId" not in seen
    [told] = await world.announced("payment.success")
    assert (told.payment.payment_id, told.payment.credits_paid, told.payment.credits_bonus) == (
        data["paymentId"],
        5_000,
        500,
    )
    assert told.payment.tax.cgst.minor == 3_814
    [figures] = await world.announced("analytics.payment.success")
    assert figures.duration_micros >= 0
    [history] = await world.announced("webhook.cashfree.processed")
    assert (history.outcome, history.reason, history.payment_id) == ("APPLIED", "success", data["paymentId"])
    assert [audit.action for audit in await world.announced("audit.recorded")] == ["payment.create", "payment.succeed"]
    [taken] = await world.rows("select * from transactions")
    assert (taken.status, taken.amount_minor) == ("CAPTURED", 50_000)
    assert ids.encode("txn", taken.id) == told.transaction_id
    [row] = await world.rows("select webhook_verified, credits_granted, next_check_at from payments")
    assert tuple(row) == (True, 5_500, None)
    # Only the order was read: the webhook said who paid.
    await world.calls.flush(world.db)
    calls = [row.operation for row in await world.rows("select operation from gateway_calls order by id")]
    assert calls == ["create_order", "read_order"]


async def test_the_same_webhook_again_and_at_the_same_time_has_one_effect(world: Any) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    hook = world.hooks[0]
    await world.deliver(hook, hook)
    await asyncio.gather(*(world.deliver(hook) for _ in range(8)))
    await world.http.post("/api/v1/payments/verify", json={"orderId": data["orderId"]}, headers=world.auth())
    assert len(await world.announced("payment.success")) == 1
    assert len(await world.rows("select 1 from transactions")) == 1
    outcomes = [each.outcome for each in await world.announced("webhook.cashfree.processed")]
    assert outcomes.count("NO_EFFECT") == 8
    assert outcomes.count("APPLIED") == 2


async def test_webhook_verify_and_sweep_at_once_agree(world: Any) -> None:
    made = [await world.created() for _ in range(5)]
    for each in made:
        await world.pay(each["orderId"])
    world.clock.advance(120)
    await asyncio.gather(
        world.deliver(*world.hooks),
        world.sweep.sweep(),
        world.sweep.sweep(),
        *(
            world.http.post("/api/v1/payments/verify", json={"paymentId": each["paymentId"]}, headers=world.auth())
            for each in made
        ),
    )
    assert len(await world.announced("payment.success")) == 5
    assert len(await world.rows("select 1 from payment_history where to_status = 'SUCCESS'")) == 5


async def test_a_failed_attempt_then_success(world: Any) -> None:
    data = await world.created()
    await world.pay(data["orderId"], outcome="failure")
    await world.deliver(*world.hooks)
    assert await world.status(data) == "PENDING"
    assert await world.announced("payment.failed") == []
    await world.pay(data["orderId"], outcome="success", method="card")
    await world.deliver(world.hooks[-1])
    assert await world.status(data) == "SUCCESS"
    # The failure comes again, late: nothing happens.
    await world.deliver(world.hooks[0])
    assert await world.status(data) == "SUCCESS"
    attempts = await world.rows("select status, reason from payment_attempts order by created_at, id")
    assert [each.status for each in attempts] == ["FAILED", "SUCCESS"]
    assert len(await world.announced("payment.success")) == 1


async def test_a_failure_after_the_success_was_missed_finds_the_success(world: Any) -> None:
    data = await world.created()
    await world.pay(data["orderId"], outcome="failure")
    await world.pay(data["orderId"], outcome="success")
    await world.deliver(world.hooks[0])
    assert await world.status(data) == "SUCCESS"


async def test_a_closed_order_after_a_failed_attempt_fails_the_payment(world: Any) -> None:
    data = await world.created()
    await world.pay(data["orderId"], outcome="failure")
    await world.deliver(*world.hooks)
    await world.sandbox.post(f"/control/orders/{data['orderId']}/expire")
    world.clock.advance(120)
    assert await world.sweep.sweep() == 1
    assert await world.status(data) == "FAILED"
    [told] = await world.announced("payment.failed")
    [mail] = await world.announced("email.payment.failed")
    assert told.reason == mail.reason != ""
    assert mail.recipient.email == "usr_asha@example.in"
    assert await world.sweep.sweep() == 0


async def test_an_order_that_expires_expires_the_payment_and_a_late_success_counts(world: Any) -> None:
    data = await world.created()
    await world.sandbox.post(f"/control/orders/{data['orderId']}/expire")
    world.clock.advance(120)
    await world.sweep.sweep()
    assert await world.status(data) == "EXPIRED"
    assert len(await world.announced("payment.expired")) == 1
    await world.pay(data["orderId"], force=True)
    await world.deliver(*world.hooks)
    assert await world.status(data) == "SUCCESS"
    [line] = await world.rows("select from_status, reason from payment_history where to_status = 'SUCCESS'")
    assert tuple(line) == ("EXPIRED", "late_success")


async def test_the_sweep_finds_a_success_whose_webhook_never_came_and_is_gentle(world: Any) -> None:
    data = await world.created()
    assert await world.sweep.sweep() == 0
    await world.fault(action="drop", operation="webhook", order_id=data["orderId"])
    await world.sandbox.post(f"/control/orders/{data['orderId']}/pay", json={"outcome": "success"})
    world.clock.advance(61)
    assert await world.sweep.sweep() == 1
    assert await world.status(data) == "SUCCESS"
    other = await world.created()
    waits = []
    for _ in range(4):
        [row] = await world.rows("select next_check_at from payments where order_id = :id", id=other["orderId"])
        waits.append((row.next_check_at - world.clock.now()).total_seconds())
        world.clock.advance(waits[-1] + 1)
        assert await world.sweep.sweep() == 1
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]


async def test_a_gateway_that_is_down_changes_nothing(world: Any) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    for action in ({"action": "error", "status": 500}, {"action": "timeout", "delay_ms": 3_000}):
        await world.fault(operation="get_order", count=1, **action)
        await world.deliver(*world.hooks)
        assert await world.status(data) == "PENDING"
    waiting = await world.announced("webhook.cashfree.processing")
    assert {each.reason for each in waiting} == {"facts_unknown"}
    rungs = await world.rows("select exchange from outbox where exchange like 'retry.%'")
    assert [row.exchange for row in rungs] == ["retry.100ms", "retry.100ms"]
    await world.deliver(*world.hooks)
    assert await world.status(data) == "SUCCESS"


async def test_an_unknown_order_waits_climbs_and_ends_in_the_dead_letters(world: Any) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    hook = json.loads(world.hooks[0])
    hook["data"]["order"]["order_id"] = "somebody-elses"
    body = json.dumps(hook).encode()
    await world.deliver(body)
    [waiting] = await world.announced("webhook.cashfree.processing")
    assert waiting.reason == "order_unknown"
    from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived

    event = WebhookReceived(event_id="evt_1", merchant_id="mer_commdesk", gateway="cashfree", body=body)
    await world.handle("webhook.processing", [event], attempt=1)
    await world.handle("webhook.processing", [event], attempt=2)
    assert len(await world.announced("webhook.cashfree.retry")) == 1
    assert len(await world.announced("webhook.cashfree.deadletter")) == 1
    [alert] = await world.announced("email.admin.alert")
    assert alert.cause == "webhook_failures"
    keys = [row.routing_key for row in await world.rows("select routing_key from outbox where exchange = ''")]
    assert keys == ["webhook.processing.dlq"]


async def test_another_merchants_webhook_moves_nothing_of_ours(world: Any) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks, merchant="mer_other")
    assert await world.status(data) == "PENDING"


async def test_webhooks_that_are_not_for_us_are_parked(world: Any) -> None:
    await world.deliver(b'{"type":"WEBHOOK","data":{"test_object":{}}}', b'{"type":"SETTLEMENT_SUCCESS","data":{}}')
    told = await world.announced("webhook.cashfree.processed")
    assert [(each.outcome, each.reason) for each in told] == [("PARKED", "unsupported_type")] * 2


async def test_a_webhook_that_cannot_be_read_fails_for_good_and_is_told(world: Any) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(b"<html>", world.hooks[0])
    assert await world.status(data) == "SUCCESS"
    [failed] = await world.announced("webhook.cashfree.failed")
    assert failed.reason == "webhook_unreadable"
    [alert] = await world.announced("email.admin.alert")
    assert alert.cause == "webhook_failures"
    [row] = await world.rows("select routing_key from outbox where exchange = ''")
    assert row.routing_key == "webhook.processing.dlq"


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "get_order", "action": "wrong_amount", "amount_paise": 100},
        {"operation": "get_order", "action": "wrong_currency", "currency": "USD"},
        {"operation": "webhook", "action": "wrong_amount", "amount_paise": 100},
    ],
    ids=lambda fault: f"{fault['operation']}-{fault['action']}",
)
async def test_a_mismatch_is_quarantined_and_told(world: Any, fault: dict[str, Any]) -> None:
    data = await world.created()
    await world.fault(order_id=data["orderId"], **fault)
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    await world.deliver(*world.hooks)
    assert await world.status(data) == "PENDING"
    assert await world.announced("payment.success") == []
    [alert] = await world.announced("email.admin.alert")
    assert (alert.cause, alert.fields["paymentId"]) == ("amount_mismatch", data["paymentId"])
    [row] = await world.rows("select review, next_check_at from payments")
    assert tuple(row) == ("QUARANTINED", None)
    assert [row.status for row in await world.rows("select status from payment_attempts")] == ["UNKNOWN"]
    [history, _] = await world.announced("webhook.cashfree.processed")
    assert (history.outcome, history.reason) == ("NO_EFFECT", "amount_mismatch")


async def test_a_second_capture_is_told_and_not_granted(world: Any) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    await world.pay(data["orderId"], force=True)
    await world.deliver(world.hooks[-1])
    await world.deliver(world.hooks[-1])
    assert len(await world.announced("payment.success")) == 1
    [alert] = await world.announced("email.admin.alert")
    assert alert.cause == "duplicate_capture"
    taken = await world.rows("select status from transactions order by created_at, id")
    assert sorted(row.status for row in taken) == ["CAPTURED", "DUPLICATE"]


# ── Verify ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def verify(world: Any, user: str = "usr_asha", **body: Any) -> Any:
    return await world.http.post("/api/v1/payments/verify", json=body, headers=world.auth(user))


async def test_verify_asks_the_gateway_at_once(world: Any) -> None:
    data = await world.created()
    before = (await verify(world, paymentId=data["paymentId"])).json()["data"]
    assert (before["message"], before["payment"]["status"]) == ("Payment is not completed yet", "PENDING")
    await world.sandbox.post(f"/control/orders/{data['orderId']}/pay", json={"outcome": "success"})
    for reference in ({"orderId": data["orderId"]}, {"referenceId": data["referenceId"]}):
        after = (await verify(world, **reference)).json()["data"]
        assert (after["message"], after["paymentMethod"]) == ("Payment verified & updated", "upi")
    assert len(await world.announced("payment.success")) == 1


async def test_verify_while_the_gateway_is_down_goes_on_by_itself(world: Any) -> None:
    data = await world.created()
    await world.sandbox.post(f"/control/orders/{data['orderId']}/pay", json={"outcome": "success"})
    await world.fault(operation="get_order", action="error", status=500, count=1)
    response = await verify(world, orderId=data["orderId"])
    assert (response.status_code, response.json()["data"]["payment"]["status"]) == (200, "PENDING")
    [command] = await world.announced("payment.sync.requested")
    assert isinstance(command, PaymentSyncRequested)
    await world.handle("payment.processing", [command])
    assert await world.status(data) == "SUCCESS"


async def test_verify_is_for_the_owner_and_knows_no_razorpay_yet(world: Any) -> None:
    data = await world.created()
    assert (await verify(world, "usr_ravi", paymentId=data["paymentId"])).status_code == 404
    response = await verify(world, razorpayOrderId="order_1", razorpayPaymentId="pay_1", razorpaySignature="x")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "gateway_unsupported")
    assert (await verify(world)).status_code == 400


# ── Cancel ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def cancel(world: Any, payment: Any, user: str = "usr_asha") -> Any:
    return await world.http.post(f"/api/v1/payments/{payment['paymentId']}/cancel", headers=world.auth(user))


async def test_cancel_closes_the_gateways_order(world: Any) -> None:
    data = await world.created()
    for _ in range(2):
        response = await cancel(world, data)
        assert (response.status_code, response.json()["data"]["status"]) == (200, "CANCELLED")
    order = (await world.sandbox.get(f"/control/orders/{data['orderId']}")).json()
    assert order["order_status"] == "TERMINATED"
    assert len(await world.announced("payment.cancelled")) == 1
    audits = [(audit.action, audit.actor_id) for audit in await world.announced("audit.recorded")]
    assert ("payment.cancel.request", "usr_asha") in audits
    assert ("payment.cancel", "service:payment") in audits


async def test_a_paid_payment_is_not_cancelled_even_when_we_have_not_heard(world: Any) -> None:
    data = await world.created()
    await world.sandbox.post(f"/control/orders/{data['orderId']}/pay", json={"outcome": "success"})
    response = await cancel(world, data)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "payment_not_cancellable")
    assert await world.status(data) == "SUCCESS"
    assert len(await world.announced("payment.success")) == 1


async def test_a_cancel_whose_answer_is_lost_is_carried_out_later(world: Any) -> None:
    data = await world.created()
    await world.fault(operation="terminate_order", action="error", status=500, count=1)
    response = await cancel(world, data)
    assert response.status_code == 202
    assert await world.status(data) == "PENDING"
    await world.work_intents()
    assert await world.status(data) == "CANCELLED"


async def test_cancelling_again_does_not_wait_for_whoever_settles_the_first(world: Any) -> None:
    """Who settles has the intent and then wants the payment: to wait the other way round would be a deadlock."""
    data = await world.created()
    await world.fault(operation="terminate_order", action="error", status=500, count=1)
    assert (await cancel(world, data)).status_code == 202
    payment_id = ids.decode("pay", data["paymentId"])
    async with world.db.begin() as settling:
        await settling.execute("update intents set done_at = now() where kind = 'terminate_order'")
        async with asyncio.timeout(3):
            await request_cancel(world.db, world.cancellation.orders, payment_id, Origin(), world.clock)
        await settling.execute("select id from payments where id = :id for no key update", id=payment_id)


async def test_a_payment_may_be_cancelled_before_its_order_is_there(world: Any) -> None:
    await world.fault(operation="create_order", action="error", status=500, count=1)
    fields = (await world.create()).json()["error"]["fields"]
    assert (await cancel(world, fields)).status_code == 202
    await world.work_intents()
    await world.work_intents()
    assert await world.status(fields) == "CANCELLED"


async def test_cancel_is_for_the_owner(world: Any) -> None:
    data = await world.created()
    assert (await cancel(world, data, "usr_ravi")).status_code == 404
    assert await world.status(data) == "PENDING"


# ── Fraud's opinion ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_opinions_are_noted_and_one_that_comes_too_early_waits(world: Any) -> None:
    data = await world.created()
    unknown = ids.encode("pay", ids.new())
    await world.handle(
        "payment.processing",
        [
            FraudFlagged(payment_id=data["paymentId"], score=700, reasons=["velocity", "device"]),
            FraudFlagged(payment_id=unknown, score=700),
        ],
    )
    [row] = await world.rows("select review, review_reason, fraud_score from payments")
    assert tuple(row) == ("FLAGGED", "velocity,device", 700)
    assert len(await world.rows("select 1 from outbox where exchange like 'retry.%'")) == 1
    await world.handle(
        "payment.processing", [FraudDecided(payment_id=data["paymentId"], decision="BLOCK", actor_id="usr_admin")]
    )
    [row] = await world.rows("select review from payments")
    assert row.review == "BLOCKED"


async def test_a_command_about_nothing_waits(world: Any) -> None:
    await world.handle("payment.processing", [PaymentSyncRequested(payment_id=ids.encode("pay", ids.new()))])
    assert len(await world.rows("select 1 from outbox where exchange like 'retry.%'")) == 1
