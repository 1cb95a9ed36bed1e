"""From webhooks, verify, the sweep and cancel to states: one event, one grant, whichever wins."""

import asyncio
import json
from typing import Any

import pytest

from commdesk.fraud.v1.events_pb2 import FraudDecided, FraudFlagged
from commdesk.payment.v1.events_pb2 import PaymentSyncRequested
from common import ids
from common.topology import retry_queues

from .world import World


async def test_a_webhook_leads_to_success(world: World) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    seen = (await world.get(f"/{data['paymentId']}")).json()["data"]
    assert (seen["status"], seen["simpleStatus"], seen["paymentMethod"]) == ("SUCCESS", "success", "upi")
    assert "paymentSessionId" not in seen
    [event] = await world.announced("payment.success")
    assert (event.payment.payment_id, event.payment.credits_paid, event.payment.credits_bonus) == (
        data["paymentId"],
        5_000,
        500,
    )
    assert event.payment.tax.cgst.minor == 3_813
    [figures] = await world.announced("analytics.payment.success")
    assert figures.duration_micros >= 0
    [history] = await world.announced("webhook.cashfree.processed")
    assert (history.outcome, history.reason, history.payment_id) == ("APPLIED", "success", data["paymentId"])
    assert [audit.action for audit in await world.announced("audit.recorded")] == ["payment.create"]
    [transaction] = await world.rows("select * from transactions")
    assert (transaction.status, transaction.amount_minor) == ("CAPTURED", 50_000)
    assert ids.encode("txn", transaction.id) == event.transaction_id
    [row] = await world.rows("select webhook_verified, credits_granted, next_check_at from payments")
    assert tuple(row) == (True, 5_500, None)
    # Only the order was read: the webhook said who paid.
    await world.write_gateway_calls()
    calls = [row.operation for row in await world.rows("select operation from gateway_calls order by id")]
    assert calls == ["create_order", "read_order"]


async def test_the_same_webhook_again_and_at_the_same_time_has_one_effect(world: World) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    hook = world.hooks[0]
    await world.deliver(hook, hook)
    await asyncio.gather(*(world.deliver(hook) for _ in range(8)))
    await world.verify(orderId=data["orderId"])
    assert len(await world.announced("payment.success")) == 1
    assert len(await world.rows("select 1 from transactions")) == 1
    outcomes = [each.outcome for each in await world.announced("webhook.cashfree.processed")]
    assert outcomes.count("NO_EFFECT") == 8
    assert outcomes.count("APPLIED") == 2


async def test_webhook_verify_and_sweep_at_once_agree(world: World) -> None:
    made = [await world.created() for _ in range(5)]
    for each in made:
        await world.pay(each["orderId"])
    world.clock.advance(120)
    await asyncio.gather(
        world.deliver(*world.hooks),
        world.sweep(),
        world.sweep(),
        *(world.verify(paymentId=each["paymentId"]) for each in made),
    )
    assert len(await world.announced("payment.success")) == 5
    assert len(await world.rows("select 1 from payment_history where to_status = 'SUCCESS'")) == 5


async def test_a_failed_attempt_then_success(world: World) -> None:
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


async def test_a_failure_after_the_success_was_missed_finds_the_success(world: World) -> None:
    data = await world.created()
    await world.pay(data["orderId"], outcome="failure")
    await world.pay(data["orderId"], outcome="success")
    await world.deliver(world.hooks[0])
    assert await world.status(data) == "SUCCESS"


async def test_a_closed_order_after_a_failed_attempt_fails_the_payment(world: World) -> None:
    data = await world.created()
    await world.pay(data["orderId"], outcome="failure")
    await world.deliver(*world.hooks)
    await world.sandbox.post(f"/control/orders/{data['orderId']}/expire")
    world.clock.advance(120)
    assert await world.sweep() == 1
    assert await world.status(data) == "FAILED"
    [event] = await world.announced("payment.failed")
    [mail] = await world.announced("email.payment.failed")
    assert event.reason == mail.reason != ""
    assert world.recipient(mail) == ("usr_asha@example.in", "Asha")
    assert await world.sweep() == 0


async def test_an_order_that_expires_expires_the_payment_and_a_late_success_counts(world: World) -> None:
    data = await world.created()
    await world.sandbox.post(f"/control/orders/{data['orderId']}/expire")
    world.clock.advance(120)
    await world.sweep()
    assert await world.status(data) == "EXPIRED"
    assert len(await world.announced("payment.expired")) == 1
    await world.pay(data["orderId"], force=True)
    await world.deliver(*world.hooks)
    assert await world.status(data) == "SUCCESS"
    [line] = await world.rows("select from_status, reason from payment_history where to_status = 'SUCCESS'")
    assert tuple(line) == ("EXPIRED", "late_success")


async def test_the_sweep_finds_a_success_whose_webhook_never_came_and_is_gentle(world: World) -> None:
    data = await world.created()
    assert await world.sweep() == 0
    await world.fault(action="drop", operation="webhook", order_id=data["orderId"])
    await world.pay_unnoticed(data["orderId"])
    world.clock.advance(61)
    assert await world.sweep() == 1
    assert await world.status(data) == "SUCCESS"
    other = await world.created()
    waits = []
    for _ in range(4):
        [row] = await world.rows("select next_check_at from payments where order_id = :id", id=other["orderId"])
        waits.append((row.next_check_at - world.clock.now()).total_seconds())
        world.clock.advance(waits[-1] + 1)
        assert await world.sweep() == 1
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]


async def test_a_gateway_that_is_down_changes_nothing(world: World) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    for action in ({"action": "error", "status": 500}, {"action": "timeout", "delay_ms": 3_000}):
        await world.fault(operation="get_order", count=1, **action)
        await world.deliver(*world.hooks)
        assert await world.status(data) == "PENDING"
    waiting = await world.announced("webhook.cashfree.processing")
    assert {each.reason for each in waiting} == {"order_state_unknown"}
    tiers = await world.rows("select exchange from outbox where exchange like 'retry.%'")
    assert len(tiers) == 2
    assert {row.exchange for row in tiers} <= {*retry_queues(100)}
    await world.deliver(*world.hooks)
    assert await world.status(data) == "SUCCESS"


async def test_an_unknown_order_waits_is_retried_and_ends_in_the_dead_letters(world: World) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    hook = json.loads(world.hooks[0])
    hook["data"]["order"]["order_id"] = "somebody-elses"
    body = json.dumps(hook).encode()
    await world.deliver(body)
    [waiting] = await world.announced("webhook.cashfree.processing")
    assert waiting.reason == "order_not_known_yet"
    event = world.webhook(body)
    await world.handle("webhook.processing", [event], attempt=1)
    await world.handle("webhook.processing", [event], attempt=4)
    assert len(await world.announced("webhook.cashfree.retry")) == 1
    assert await world.announced("webhook.cashfree.deadletter") == []
    for _ in range(2):
        assert await world.keep_dead_letters() == 1
    [dead] = await world.announced("webhook.cashfree.deadletter")
    assert (dead.webhook_id, dead.reason) == (event.event_id, "order_not_known_yet")
    rows = await world.rows("select routing_key from outbox where exchange = 'requeue.exchange'")
    keys = [row.routing_key for row in rows]
    assert keys == ["webhook.processing.dlq"]
    # One alert in the fleet: where the dead letter is kept, however often it arrives there.
    [alert] = await world.announced("email.admin.alert")
    assert alert.cause == "dead_letter"


async def test_the_merchant_of_a_webhook_is_that_of_its_payment(world: World) -> None:
    """Whatever merchant the message names: the account and the order id find the payment."""
    response = await world.create(merchant="mer_other", amount=1_000)
    data = response.json()["data"]
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    assert await world.status(data, merchant="mer_other") == "SUCCESS"
    [event] = await world.announced("payment.success")
    assert event.payment.merchant_id == "mer_other"


async def test_a_webhook_that_cannot_be_read_fails_permanently(world: World) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(b"<html>", world.hooks[0])
    assert await world.status(data) == "SUCCESS"
    await world.keep_dead_letters()
    [failed] = await world.announced("webhook.cashfree.failed")
    assert failed.reason == "webhook_unreadable"
    [alert] = await world.announced("email.admin.alert")
    assert alert.cause == "dead_letter"
    [row] = await world.rows("select routing_key from outbox where exchange = 'requeue.exchange'")
    assert row.routing_key == "webhook.processing.dlq"


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "get_order", "action": "wrong_amount", "amount_paise": 100},
        {"operation": "get_order", "action": "wrong_currency", "currency": "USD"},
    ],
    ids=lambda fault: f"{fault['operation']}-{fault['action']}",
)
async def test_a_mismatch_is_quarantined_and_raises_an_alert(world: World, fault: dict[str, Any]) -> None:
    data = await world.created()
    await world.fault(order_id=data["orderId"], **fault)
    await world.pay(data["orderId"])
    for _ in range(2):
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


async def test_a_second_capture_raises_an_alert_and_is_not_granted(world: World) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    await world.pay(data["orderId"], force=True)
    for _ in range(2):
        await world.deliver(world.hooks[-1])
        await world.run_syncs()
    assert len(await world.announced("payment.success")) == 1
    [alert] = await world.announced("email.admin.alert")
    assert alert.cause == "duplicate_capture"
    transactions = await world.rows("select status from transactions order by created_at, id")
    assert sorted(row.status for row in transactions) == ["CAPTURED", "DUPLICATE"]


# ── Verify ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_verify_asks_the_gateway_at_once(world: World) -> None:
    data = await world.created()
    before = (await world.verify(paymentId=data["paymentId"])).json()["data"]
    assert (before["message"], before["payment"]["status"]) == ("Payment is not completed yet", "PENDING")
    await world.pay_unnoticed(data["orderId"])
    for reference in ({"orderId": data["orderId"]}, {"referenceId": data["referenceId"]}):
        after = (await world.verify(**reference)).json()["data"]
        assert (after["message"], after["paymentMethod"]) == ("Payment verified & updated", "upi")
    assert len(await world.announced("payment.success")) == 1


async def test_verify_while_the_gateway_is_down_goes_on_by_itself(world: World) -> None:
    data = await world.created()
    await world.pay_unnoticed(data["orderId"])
    await world.fault(operation="get_order", action="error", status=500, count=1)
    response = await world.verify(orderId=data["orderId"])
    assert (response.status_code, response.json()["data"]["payment"]["status"]) == (200, "PENDING")
    [command] = await world.announced("payment.sync.requested")
    assert isinstance(command, PaymentSyncRequested)
    await world.handle("payment.processing", [command])
    assert await world.status(data) == "SUCCESS"


async def test_verify_is_for_the_owner_and_takes_a_proof_only_where_the_checkout_signs(world: World) -> None:
    data = await world.created()
    assert (await world.verify("usr_ravi", paymentId=data["paymentId"])).status_code == 404
    proof = {"razorpayOrderId": "order_1", "razorpayPaymentId": "pay_1", "razorpaySignature": "x"}
    response = await world.verify(**proof, paymentId=data["paymentId"])
    assert (response.status_code, response.json()["error"]["code"]) == (400, "gateway_unsupported")
    assert (await world.verify()).status_code == 400
    assert (await world.verify(**proof)).status_code == 400


# ── Cancel ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_cancel_closes_the_gateways_order(world: World) -> None:
    data = await world.created()
    for _ in range(2):
        response = await world.cancel(data)
        assert (response.status_code, response.json()["data"]["status"]) == (200, "CANCELLED")
    order = (await world.sandbox.get(f"/control/orders/{data['orderId']}")).json()
    assert order["order_status"] == "TERMINATED"
    assert len(await world.announced("payment.cancelled")) == 1
    audits = [(audit.action, audit.actor_id) for audit in await world.announced("audit.recorded")]
    assert ("payment.cancel.request", "usr_asha") in audits
    assert ("payment.cancel", "service:payment") in audits


async def test_a_paid_payment_is_not_cancelled_even_when_we_have_not_heard(world: World) -> None:
    data = await world.created()
    await world.pay_unnoticed(data["orderId"])
    response = await world.cancel(data)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "payment_not_cancellable")
    assert await world.status(data) == "SUCCESS"
    assert len(await world.announced("payment.success")) == 1


async def test_a_cancel_whose_answer_is_lost_is_carried_out_later(world: World) -> None:
    data = await world.created()
    await world.fault(operation="terminate_order", action="error", status=500, count=1)
    response = await world.cancel(data)
    assert response.status_code == 202
    assert await world.status(data) == "PENDING"
    await world.run_intents()
    assert await world.status(data) == "CANCELLED"


async def test_cancelling_again_does_not_wait_for_the_recording_of_the_first(world: World) -> None:
    """Recording holds the intent and then wants the payment: to wait the other way round would be a deadlock."""
    data = await world.created()
    await world.fault(operation="terminate_order", action="error", status=500, count=1)
    assert (await world.cancel(data)).status_code == 202
    payment_id = ids.decode("pay", data["paymentId"])
    async with world.db.begin() as recording:
        await recording.execute("update intents set done_at = now() where kind = 'terminate_order'")
        again = asyncio.create_task(world.cancel(data))
        # The second request has stored its audit line and recorded nothing: it waited for nobody.
        async with asyncio.timeout(3):
            while len(await world.rows("select 1 from outbox where type like '%AuditRecorded'")) < 3:
                await asyncio.sleep(0.02)
        await recording.execute("select id from payments where id = :id for no key update", id=payment_id)
    await again


async def test_a_payment_may_be_cancelled_before_its_order_is_there(world: World) -> None:
    await world.fault(operation="create_order", action="error", status=500, count=1)
    fields = (await world.create()).json()["error"]["fields"]
    assert (await world.cancel(fields)).status_code == 202
    await world.run_intents()
    await world.run_intents()
    assert await world.status(fields) == "CANCELLED"


async def test_cancel_is_for_the_owner(world: World) -> None:
    data = await world.created()
    assert (await world.cancel(data, "usr_ravi")).status_code == 404
    assert await world.status(data) == "PENDING"


# Who looks at Asha's open payment: whether they see it, its checkout session, and may cancel it.
@pytest.mark.parametrize(
    ("user", "roles", "reads", "sees_session", "cancels"),
    [
        ("usr_asha", ["USER"], 200, True, 200),
        ("usr_asha", ["SUPPORT"], 200, True, 200),
        ("usr_ravi", ["USER"], 404, False, 404),
        ("usr_ravi", ["PROVIDER", "LAB_ASSISTANT"], 404, False, 404),
        ("usr_ravi", ["SUPPORT"], 200, False, 403),
        ("usr_ravi", ["SUPPORT", "USER"], 200, False, 403),
        ("usr_ravi", ["FINANCE"], 200, False, 200),
        ("usr_ravi", ["ADMIN"], 200, False, 200),
        ("usr_ravi", ["OPERATOR"], 200, False, 200),
        ("usr_ravi", ["ADMINISTRATOR"], 404, False, 404),
    ],
)
async def test_who_sees_the_checkout_session_and_who_cancels(
    world: World, user: str, roles: list[str], reads: int, sees_session: bool, cancels: int
) -> None:
    data = await world.created()
    for path in (f"/{data['paymentId']}", f"/status/{data['orderId']}", f"/{data['referenceId']}"):
        response = await world.get(path, user, *roles)
        assert response.status_code == reads, response.text
        assert (data["paymentSessionId"] in response.text) is sees_session
    for path in ("/history?userId=usr_asha", "/history/usr_asha"):
        response = await world.get(path, user, *roles)
        assert response.status_code == reads, response.text
        assert (data["paymentSessionId"] in response.text) is sees_session
    response = await world.cancel(data, user, *roles)
    assert response.status_code == cancels, response.text
    assert data["paymentSessionId"] not in response.text
    if cancels == 403:
        assert response.json()["error"]["code"] == "cancel_not_allowed"
    assert await world.status(data) == ("CANCELLED" if cancels == 200 else "PENDING")


async def test_staff_cancel_only_with_rights_that_they_have_now(world: World) -> None:
    data = await world.created()
    world.identity.dismissed.add("usr_finance")
    response = await world.cancel(data, "usr_finance", "FINANCE")
    assert (response.status_code, response.json()["error"]["code"]) == (403, "rights_outdated")
    [act] = world.identity.acts
    assert (act.user_id, act.merchant_id, list(act.roles)) == ("usr_finance", "mer_commdesk", ["ADMIN", "FINANCE"])
    assert await world.status(data) == "PENDING"
    # Without an answer nothing is done, and the owner needs none.
    await world.neighbours.stop(0)
    response = await world.cancel(data, "usr_admin", "ADMIN")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "callee_unavailable")
    assert await world.status(data) == "PENDING"
    assert (await world.cancel(data)).status_code == 200


# ── Fraud's reviews ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_reviews_are_recorded_and_one_that_comes_too_early_waits(world: World) -> None:
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


async def test_a_command_about_nothing_waits(world: World) -> None:
    await world.handle("payment.processing", [PaymentSyncRequested(payment_id=ids.encode("pay", ids.new()))])
    assert len(await world.rows("select 1 from outbox where exchange like 'retry.%'")) == 1
