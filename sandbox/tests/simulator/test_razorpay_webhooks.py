"""Razorpay's webhooks and faults: signatures, retries, and the bad days on demand."""

import asyncio
from typing import Any

import aiohttp
import pytest

from sandbox.razorpay.accounts import Account
from sandbox.razorpay.webhooks import proof, sign

_SECRET = "rzp_webhook_secret"
_SIGNATURE, _EVENT_ID = "x-razorpay-signature", "x-razorpay-event-id"
# Accepted by the official SDK.
_BODY = (
    b'{"entity":"event","account_id":"acc_SIM00000000001","event":"payment.captured","contains":["payment"],'
    b'"payload":{"payment":{"entity":{"id":"pay_SIM00000000001","entity":"payment","amount":50000,"currency":"INR",'
    b'"status":"captured","order_id":"order_SIM00000000001"}}},"created_at":1767225600}'
)


def test_signatures_are_those_that_the_official_sdk_makes() -> None:
    account = Account(key_id="rzp_test_1", key_secret="sim_key_secret_0001")
    assert proof(account, "order_SIM00000000001", "pay_SIM00000000001")["razorpay_signature"] == (
        "132f4f25f0ddb795a759d3c73abd2b74ad08a66d7f2d5b05ef2a251a81f6cfd9"
    )
    assert sign("whsec_sim_0001", _BODY) == "5986bb1c4cdb21015373663663a5131ff0e8e7dfd2b033cc046d540e9d8f6830"
    body = '{"notes":{"city":"ಬೆಂಗಳೂರು ₹"}}'.encode()
    assert sign("whsec_sim_0001", body) == "29f1037afa04c86053424afc89040b538194e26c25b0d5542f531a435a7c387f"


async def _failed(razorpay: Any, *rules: dict[str, Any]) -> None:
    """An order with one webhook: payment.failed."""
    for rule in rules:
        await razorpay.control("/faults", rule | {"operation": "webhook"})
    await razorpay.create()
    await razorpay.pay(outcome="failure")


async def test_a_webhook_is_signed_and_repeated_under_its_id_until_any_2xx(razorpay: Any) -> None:
    razorpay.receiver.answers = [500, 404, 204]
    await _failed(razorpay)
    await razorpay.receiver.wait_for(3)
    await asyncio.sleep(0.1)
    assert len(razorpay.receiver.got) == 3
    assert len({headers[_EVENT_ID] for headers, _ in razorpay.receiver.got}) == 1
    for headers, body in razorpay.receiver.got:
        assert headers[_SIGNATURE] == sign(_SECRET, body)
    stats = (await razorpay.control("/stats", method="GET"))["webhooks"]
    assert (stats["delivered"], stats["failed_attempts"]) == (1, 2)


async def test_a_replay_has_the_same_id_under_the_secret_of_now(razorpay: Any) -> None:
    await _failed(razorpay)
    await razorpay.receiver.wait_for(1)
    [sent] = (await razorpay.control("/webhooks?order_id=receipt_1", method="GET"))["webhooks"]
    key_id, key_secret = razorpay.key
    account = {
        "key_id": key_id,
        "key_secret": key_secret,
        "webhook_secret": "new",
        "webhook_url": razorpay.receiver.url,
    }
    await razorpay.control("/accounts", account)
    await razorpay.control(f"/webhooks/{sent['id']}/resend")
    await razorpay.receiver.wait_for(2)
    (first, body), (again, same) = razorpay.receiver.got
    assert (again[_EVENT_ID], same) == (first[_EVENT_ID], body)
    assert (first[_SIGNATURE], again[_SIGNATURE]) == (sign(_SECRET, body), sign("new", body))


async def test_the_gateways_keep_their_webhooks_faults_and_orders_apart(shop: Any, razorpay: Any) -> None:
    await shop.control("/faults", {"operation": "create_order", "action": "error"})
    order = await razorpay.create()
    await razorpay.pay(wait=True)
    assert (await shop.control("/stats", method="GET"))["orders"] == 0
    assert (await shop.control("/webhooks", method="GET"))["webhooks"] == []
    await shop.control("/reset")
    assert (await razorpay.fetch(f"/orders/{order['id']}"))["status"] == "paid"


async def test_a_webhook_can_come_many_times(razorpay: Any) -> None:
    await _failed(razorpay, {"action": "duplicate", "times": 3})
    await razorpay.receiver.wait_for(3)
    assert len({headers[_EVENT_ID] for headers, _ in razorpay.receiver.got}) == 1


async def test_a_webhook_can_be_lost(razorpay: Any) -> None:
    await _failed(razorpay, {"action": "drop", "event": "payment.failed"})
    [kept] = (await razorpay.control("/webhooks?type=payment.failed", method="GET"))["webhooks"]
    assert (kept["attempt"], razorpay.receiver.got) == (0, [])


async def test_a_webhook_can_be_late(razorpay: Any) -> None:
    await _failed(razorpay, {"action": "delay", "delay_ms": 60})
    assert razorpay.receiver.got == []
    await razorpay.receiver.wait_for(1)


@pytest.mark.parametrize("action", ["bad_signature", "alter_body"])
async def test_a_webhook_can_be_forged(razorpay: Any, action: str) -> None:
    await _failed(razorpay, {"action": action})
    await razorpay.receiver.wait_for(1)
    headers, body = razorpay.receiver.got[0]
    assert headers[_SIGNATURE] != sign(_SECRET, body)


async def test_a_webhook_can_lie_under_a_good_signature(razorpay: Any) -> None:
    await _failed(razorpay, {"action": "wrong_amount", "amount_paise": 1}, {"action": "wrong_currency"})
    [webhook] = await razorpay.receiver.wait_for(1)
    entity = webhook["payload"]["payment"]["entity"]
    assert (entity["amount"], entity["currency"]) == (1, "USD")
    headers, body = razorpay.receiver.got[0]
    assert headers[_SIGNATURE] == sign(_SECRET, body)


@pytest.mark.parametrize(
    ("status", "code"), [(500, "SERVER_ERROR"), (502, "GATEWAY_ERROR"), (429, "BAD_REQUEST_ERROR")]
)
async def test_an_error_applies_nothing(razorpay: Any, status: int, code: str) -> None:
    await razorpay.control("/faults", {"operation": "create_order", "action": "error", "status": status, "count": 1})
    got, body = await razorpay.ask("POST", "/orders", {"amount": 17_000, "currency": "INR", "receipt": "receipt_1"})
    assert (got, body["error"]["code"]) == (status, code)
    assert (await razorpay.fetch("/orders"))["count"] == 0


@pytest.mark.parametrize("action", ["apply_then_error", "apply_then_timeout"])
async def test_an_answer_can_be_lost_after_the_order_is_made(razorpay: Any, action: str) -> None:
    rule = {"operation": "create_order", "action": action, "delay_ms": 20}
    await razorpay.control("/orders/receipt_1/faults", rule)
    status, _ = await razorpay.ask("POST", "/orders", {"amount": 17_000, "currency": "INR", "receipt": "receipt_1"})
    assert status in (500, 504)
    assert (await razorpay.fetch("/orders?receipt=receipt_1"))["count"] == 1


async def test_a_connection_can_be_reset_after_the_order_is_made(razorpay: Any) -> None:
    await razorpay.control("/faults", {"operation": "create_order", "action": "apply_then_reset", "count": 1})
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await razorpay.create()
    assert (await razorpay.fetch("/orders"))["count"] == 1


async def test_an_order_brings_its_own_faults_and_uses_them_up(razorpay: Any) -> None:
    notes = {"sandbox_faults": "create_order:error:status=503:count=1,webhook:duplicate:times=2"}
    request = {"amount": 17_000, "currency": "INR", "receipt": "receipt_1", "notes": notes}
    assert (await razorpay.ask("POST", "/orders", request))[0] == 503
    await razorpay.create(notes=notes)
    await razorpay.pay(outcome="failure")
    await razorpay.receiver.wait_for(2)
    bad = request | {"receipt": "receipt_2", "notes": {"sandbox_faults": "create_order:explode"}}
    assert (await razorpay.ask("POST", "/orders", bad))[0] == 400


async def test_a_fault_of_an_order_meets_what_is_asked_about_its_payment(razorpay: Any) -> None:
    order = await razorpay.create()
    payment_id = (await razorpay.pay(wait=True))["payment_id"]
    await razorpay.control(f"/orders/{order['id']}/faults", {"operation": "get_payment", "action": "error", "count": 1})
    assert (await razorpay.ask("GET", f"/payments/{payment_id}"))[0] == 500
    assert (await razorpay.ask("GET", f"/payments/{payment_id}"))[0] == 200


@pytest.mark.parametrize("garbage", ["html", "truncated", "duplicate_keys"])
async def test_an_answer_can_be_garbage(razorpay: Any, garbage: str) -> None:
    order = await razorpay.create()
    await razorpay.control("/faults", {"operation": "get_order", "action": "garble", "garbage": garbage})
    headers = {"authorization": razorpay.authorization}
    async with razorpay.http.get(razorpay.base_url + f"/razorpay/v1/orders/{order['id']}", headers=headers) as response:
        body = await response.read()
    assert response.status == 200
    assert (body.count(b'"status"') == 2) == (garbage == "duplicate_keys")


async def test_an_order_can_be_paid_before_it_is_answered(razorpay: Any) -> None:
    await razorpay.control("/faults", {"operation": "create_order", "action": "pay_on_create", "count": 1})
    assert (await razorpay.create())["status"] == "paid"
    assert len(razorpay.receiver.got) == 3
    assert (await razorpay.create(amount=991_100, receipt="receipt_2"))["status"] == "paid"


async def test_quotas_are_set_by_command(razorpay: Any) -> None:
    await razorpay.control("/quotas", {"limits": {"get_orders": 1}}, "PUT")
    assert [(await razorpay.ask("GET", "/orders"))[0] for _ in range(2)] == [200, 429]


async def test_a_reset_forgets_all_but_the_accounts_of_the_settings(razorpay: Any) -> None:
    await razorpay.control("/accounts", {"key_id": "rzp_test_other", "key_secret": "other"})
    await razorpay.create()
    await razorpay.control("/reset", {"seed": 3})
    assert (await razorpay.fetch("/orders"))["count"] == 0
    razorpay.key = ("rzp_test_other", "other")
    assert (await razorpay.ask("GET", "/orders"))[0] == 401
    assert (await razorpay.call("POST", "/razorpay/control/accounts", {"key_id": "live", "key_secret": "x"}))[0] == 400
