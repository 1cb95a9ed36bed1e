"""Payments through a gateway that makes the order's id itself and never closes an order, against its simulator."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
import pytest_asyncio

from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived
from common.clock import FakeClock
from common.runtime import Resources, Service
from common.settings import read as read_settings
from common.testing import Served
from payment.__main__ import service
from payment.settings import Settings

from .test_refunds import Desk
from .test_reviews import Staff, sync
from .world import Neighbours, WebhookReceiver, World

ACCOUNT = "gwa_razorpay"
KEY_ID, KEY_SECRET, WEBHOOK_SECRET = "rzp_test_payment000001", "payment_key_secret", "payment_webhook_secret"
CONTROL = "/razorpay/control"


class RazorpayWorld(World):
    """The same hands, at the other gateway."""

    async def control(self, path: str, **command: Any) -> dict[str, Any]:
        response = await self.sandbox.post(f"{CONTROL}{path}", json=command)
        assert response.is_success, response.text
        data: dict[str, Any] = response.json()
        return data

    async def pay(self, order_id: str, **command: Any) -> None:
        """Pay at the gateway and wait for the webhooks: authorised, captured and paid, or failed."""
        await self.proof_of(order_id, **command)

    async def proof_of(self, order_id: str, **command: Any) -> dict[str, Any]:
        """As `pay`; what the gateway's checkout hands to the browser."""
        before = len(self.hooks)
        answer = await self.control(f"/orders/{order_id}/pay", **{"outcome": "success", "wait": True} | command)
        await self.hooks_arrive(before + (1 if answer["payment_status"] == "failed" else 3))
        return answer

    async def fault(self, **rule: Any) -> None:
        await self.control("/faults", **rule)

    @staticmethod
    def webhook(body: bytes, *, account: str = ACCOUNT, merchant: str = "mer_commdesk") -> WebhookReceived:
        message = World.webhook(body, account=account, merchant=merchant)
        message.gateway, message.type = "razorpay", str(json.loads(body)["event"])
        return message

    async def deliver(self, *bodies: bytes, account: str = ACCOUNT, merchant: str = "mer_commdesk") -> None:
        await super().deliver(*bodies, account=account, merchant=merchant)

    async def operations(self) -> list[str]:
        await self.write_gateway_calls()
        return [row.operation for row in await self.rows("select operation from gateway_calls order by id")]


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch, sandbox_url: str) -> Settings:
    own = {
        "DEFAULT_GATEWAY": "razorpay",
        "RAZORPAY_BASE_URL": f"{sandbox_url}/razorpay",
        "RAZORPAY_KEY_ID": KEY_ID,
        "RAZORPAY_KEY_SECRET": KEY_SECRET,
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return read_settings(Settings)


@pytest_asyncio.fixture
async def world(
    serve: Callable[[Service], AbstractAsyncContextManager[Served]],
    resources: Resources,
    settings: Settings,
    clock: FakeClock,
    sandbox_url: str,
    hooks: WebhookReceiver,
    neighbours: Neighbours,
    access_token: Callable[..., str],
) -> AsyncIterator[RazorpayWorld]:
    async with (
        httpx.AsyncClient(base_url=sandbox_url) as sandbox,
        service(settings, resources) as value,
        serve(value) as served,
    ):
        await sandbox.post(f"{CONTROL}/reset", json={})
        account = {"key_id": KEY_ID, "key_secret": KEY_SECRET, "webhook_secret": WEBHOOK_SECRET}
        response = await sandbox.put(f"{CONTROL}/accounts", json=account | {"webhook_url": hooks.url})
        assert response.is_success, response.text
        yield RazorpayWorld(served, clock, sandbox, neighbours, hooks, access_token)


async def order_at_the_gateway(world: RazorpayWorld, order_id: str) -> dict[str, Any]:
    response = await world.sandbox.get(f"{CONTROL}/orders/{order_id}")
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()
    return data


async def test_create_answers_what_the_gateways_checkout_opens_the_order_with(world: RazorpayWorld) -> None:
    data = await world.created(key="once")
    order = await order_at_the_gateway(world, data["orderId"])
    assert (data["gateway"], data["gatewayOrderId"], data["gatewayKeyId"]) == ("razorpay", order["order_id"], KEY_ID)
    assert (data["paymentSessionId"], order["amount_paise"]) == (order["order_id"], 50_000)
    [row] = await world.rows("select gateway, gateway_account_id, gateway_order_id, status from payments")
    assert tuple(row) == ("razorpay", ACCOUNT, order["order_id"], "PENDING")
    # The same key again, from the cache, from the table, and from the payment alone.
    await world.cached_responses()
    assert (await world.create(key="once")).json()["data"] == data
    await world.forget_responses()
    assert (await world.create(key="once")).json()["data"] == data


async def test_webhooks_that_name_the_gateways_order_only_find_the_payment(world: RazorpayWorld) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    assert len(world.hooks) == 3
    assert not any(data["orderId"].encode() in body for body in world.hooks[:2])
    await world.deliver(*reversed(world.hooks))
    assert await world.status(data) == "SUCCESS"
    [event] = await world.announced("payment.success")
    assert event.payment.payment_id == data["paymentId"]
    assert (await world.operations()).count("read_order") == 1
    # Once more, one by one.
    for body in world.hooks:
        await world.deliver(body)
    assert len(await world.announced("payment.success")) == 1
    processed = await world.announced("webhook.razorpay.processed")
    assert {each.payment_id for each in processed} == {data["paymentId"]}


async def test_a_webhook_that_is_faster_than_the_answer_to_create_finds_the_payment(world: RazorpayWorld) -> None:
    """No id of the gateway is stored yet."""
    await world.fault(action="apply_then_error", operation="create_order", status=500, count=1)
    response = await world.create(key="lost")
    assert response.status_code == 202, response.text
    order_id = response.json()["data"]["orderId"] if "data" in response.json() else ""
    [row] = await world.rows("select order_id, gateway_order_id from payments")
    assert row.gateway_order_id == ""
    await world.pay(order_id or row.order_id)
    await world.deliver(*world.hooks)
    [row] = await world.rows("select status, gateway_order_id from payments")
    assert row.status == "SUCCESS"
    assert row.gateway_order_id.startswith("order_")


async def test_a_create_whose_answer_was_lost_finds_the_order_by_its_receipt(world: RazorpayWorld) -> None:
    await world.fault(action="apply_then_error", operation="create_order", status=500, count=1)
    assert (await world.create(key="lost")).status_code == 202
    await world.run_intents()
    answer = await world.create(key="lost")
    assert answer.status_code == 201, answer.text
    operations = await world.operations()
    assert operations == ["create_order", "find_order"]
    order = await order_at_the_gateway(world, answer.json()["data"]["orderId"])
    assert answer.json()["data"]["gatewayOrderId"] == order["order_id"]


async def test_an_order_id_that_is_no_receipt_goes_to_the_other_gateway(world: RazorpayWorld) -> None:
    """Razorpay's receipts have at most 40 characters: a refusal for certain, before anybody is called."""
    response = await world.create(orderId="x" * 41)
    assert (response.status_code, response.json()["data"]["gateway"]) == (201, "cashfree")
    assert await world.operations() == ["create_order"]
    assert (await world.created(orderId="x" * 40))["gateway"] == "razorpay"


async def test_somebody_elses_order_under_our_receipt_is_nobodys(world: RazorpayWorld) -> None:
    order = {"amount": 50_000, "currency": "INR", "receipt": "shop-1", "notes": {"payment_id": "pay_somebody_elses"}}
    response = await world.sandbox.post("/razorpay/v1/orders", json=order, auth=(KEY_ID, KEY_SECRET))
    assert response.status_code == 200, response.text
    refused = await world.create(orderId="shop-1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "gateway_refused")
    await world.pay("shop-1")
    await world.deliver(*world.hooks)
    [row] = await world.rows("select status from payments")
    assert row.status == "FAILED"
    assert await world.announced("payment.success") == []


async def test_an_order_without_a_receipt_is_waited_for_and_never_ours(world: RazorpayWorld) -> None:
    order = {"amount": 50_000, "currency": "INR"}
    response = await world.sandbox.post("/razorpay/v1/orders", json=order, auth=(KEY_ID, KEY_SECRET))
    await world.pay(response.json()["id"])
    await world.deliver(world.hooks[1])
    [waiting] = await world.announced("webhook.razorpay.processing")
    assert waiting.reason == "order_not_known_yet"


async def test_a_failed_attempt_leaves_the_payment_open(world: RazorpayWorld) -> None:
    data = await world.created()
    await world.pay(data["orderId"], outcome="failure")
    await world.deliver(*world.hooks)
    assert await world.status(data) == "PENDING"
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks[1:])
    assert await world.status(data) == "SUCCESS"


async def test_an_unpaid_payment_expires_by_its_own_time_and_may_still_be_paid(world: RazorpayWorld) -> None:
    data = await world.created()
    world.clock.advance(31 * 60)
    assert await world.sweep() == 1
    assert await world.status(data) == "EXPIRED"
    assert (await order_at_the_gateway(world, data["orderId"]))["order_status"] == "created"
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    assert await world.status(data) == "SUCCESS"
    [line] = await world.rows("select from_status, reason from payment_history where to_status = 'SUCCESS'")
    assert tuple(line) == ("EXPIRED", "late_success")


async def test_a_payment_is_cancelled_and_late_money_is_found_without_a_webhook(world: RazorpayWorld) -> None:
    data = await world.created()
    answer = await world.cancel(data)
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "CANCELLED")
    await world.pay(data["orderId"])
    world.clock.advance(61)
    assert await world.run_job("closed_checks") == 1
    assert await world.status(data) == "SUCCESS"


async def test_a_payment_that_is_being_paid_is_not_cancelled(world: RazorpayWorld) -> None:
    data = await world.created()
    order_id = data["orderId"]
    payment = await world.control(f"/orders/{order_id}/pay", outcome="pending")
    assert payment["payment_status"] == "created"
    # Authorised, and not captured yet.
    await world.verify(paymentId=data["paymentId"])
    assert await world.status(data) == "AUTHORIZING"
    assert (await world.cancel(data)).status_code == 200
    await world.control(f"/payments/{payment['payment_id']}", status="authorized")
    await world.hooks_arrive(3)
    await world.deliver(*world.hooks)
    assert await world.status(data) == "SUCCESS"


async def test_a_payment_is_swept_and_confirmed_without_any_webhook(world: RazorpayWorld) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    world.clock.advance(61)
    assert await world.sweep() == 1
    assert await world.status(data) == "SUCCESS"


async def test_the_checkouts_proof_is_that_of_the_stored_order(world: RazorpayWorld, settings: Settings) -> None:
    from gateways.registry import open_gateways

    data = await world.created()
    proof = await world.proof_of(data["orderId"])
    async with open_gateways(settings.gateway_accounts, lambda call: None) as gateways:
        gateway = gateways[ACCOUNT]
        signed = (proof["razorpay_payment_id"], proof["razorpay_signature"])
        assert gateway.verify_checkout(data["gatewayOrderId"], *signed)
        assert not gateway.verify_checkout("order_another", *signed)
        assert not gateways["gwa_cashfree"].verify_checkout(data["gatewayOrderId"], *signed)


async def test_a_refund_names_the_payment_and_its_webhook_finds_it(world: RazorpayWorld) -> None:
    data = await world.paid()
    desk = Desk(world)
    refund = await desk.requested(data, 20_000)
    before = len(world.hooks)
    await world.run_intents()
    await world.hooks_arrive(before + 2)
    await world.deliver(*world.hooks[before:])
    shown = await desk.read(refund)
    assert shown["status"] == "SUCCESS"
    assert shown["gatewayRefundId"].startswith("rfnd_")
    assert await world.status(data) == "PARTIALLY_REFUNDED"
    order = await order_at_the_gateway(world, data["orderId"])
    assert [(each["receipt"], each["amount_paise"]) for each in order["refunds"]] == [(refund["refundId"], 20_000)]


async def test_a_refund_whose_answer_was_lost_is_made_once(world: RazorpayWorld) -> None:
    data = await world.paid()
    desk = Desk(world)
    await desk.requested(data)
    await world.fault(action="apply_then_error", operation="create_refund", status=500, count=1)
    await world.run_intents()
    await world.run_intents()
    order = await order_at_the_gateway(world, data["orderId"])
    assert len(order["refunds"]) == 1


async def test_a_second_capture_is_refunded_by_its_own_id(world: RazorpayWorld) -> None:
    """Also of a payment of which a part went back: where the refund names the capture, nothing is ambiguous."""
    data = await world.paid()
    desk, staff = Desk(world), Staff(world)
    await desk.requested(data, 10_000)
    await world.run_intents()
    before = len(world.hooks)
    await world.control(f"/orders/{data['orderId']}/pay", outcome="success", wait=True, force=True)
    await world.hooks_arrive(before + 2)
    await world.deliver(*world.hooks[before:])
    await sync(world)
    [receipt] = (await staff.show(data["paymentId"])).json()["data"]["review"]["receipts"]
    begun = await staff.decide(data["paymentId"], "refund")
    assert begun.status_code == 200, begun.text
    await world.run_intents()
    for _ in range(200):
        # The gateway takes a moment.
        world.clock.advance(3_700)
        await world.run_job("refund_checks")
        [stored] = await world.rows("select status, returned_payment_id from refunds where receipt_id is not null")
        if stored.status == "SUCCESS":
            break
        await asyncio.sleep(0.02)
    assert tuple(stored) == ("SUCCESS", receipt["gatewayPaymentId"])
    assert len(await world.announced("payment.receipt.refunded")) == 1
    # The part of the payment that goes back is another refund, whenever it succeeds.
    assert await world.status(data) in ("SUCCESS", "PARTIALLY_REFUNDED")
    assert await staff.listed() == []


async def test_both_gateways_are_configured_and_the_setting_names_the_one_for_new_payments(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [account.gateway for account in settings.gateway_accounts] == ["cashfree", "razorpay"]
    for wrong in ("stripe", "Razorpay"):
        monkeypatch.setenv("DEFAULT_GATEWAY", wrong)
        with pytest.raises(SystemExit):
            read_settings(Settings)
