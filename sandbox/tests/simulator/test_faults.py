"""Faults: the gateway on its bad days, by rule, by order and by probability."""

import asyncio
import gzip
import random
import time
from typing import Any

import aiohttp
import pytest

from sandbox.answers import Answer
from sandbox.cashfree.webhooks import sign
from sandbox.faults import Faults, Rule, Subject
from sandbox.garbage import HUGE_BYTES, garbled

_SECRET = "cfsk_ma_test_secret"
_HEADERS = {"x-api-version": "2025-01-01", "x-client-id": "TESTapp", "x-client-secret": _SECRET}


async def test_a_webhook_can_come_before_the_create_call_returns(shop: Any) -> None:
    order = await shop.create(order_tags={"sandbox_faults": "create_order:pay_on_create"})
    assert len(shop.receiver.got) == 1
    assert order["order_status"] == "PAID"


async def test_an_amount_can_ask_for_the_same(shop: Any) -> None:
    order = await shop.create(order_amount=9911)
    assert (len(shop.receiver.got), order["order_status"]) == (1, "PAID")


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_an_error_applies_nothing(shop: Any, status: int) -> None:
    await shop.control("/faults", {"operation": "create_order", "action": "error", "status": status, "count": 1})
    got, error = await shop.call("POST", "/pg/orders", shop.order())
    assert (got, error["type"]) == (status, "api_error")
    await shop.create()


async def test_an_order_can_be_made_behind_a_500(shop: Any) -> None:
    await shop.control("/faults", {"operation": "create_order", "action": "apply_then_error", "customer_id": "cust_1"})
    status, _ = await shop.call("POST", "/pg/orders", shop.order())
    assert (status, (await shop.get())["order_status"]) == (500, "ACTIVE")


async def test_a_key_finds_the_answer_that_a_broken_connection_swallowed(shop: Any) -> None:
    rule = {"operation": "create_order", "action": "apply_then_timeout", "delay_ms": 20, "count": 1}
    await shop.control("/faults", rule)
    headers = {"x-api-version": "2025-01-01", "x-client-id": "TESTapp", "x-client-secret": _SECRET}
    first, _ = await shop.call("POST", "/pg/orders", shop.order(), headers=headers | {"x-idempotency-key": "k"})
    again, order = await shop.call("POST", "/pg/orders", shop.order(), headers=headers | {"x-idempotency-key": "k"})
    assert (first, again, order["order_id"]) == (504, 200, "order_1")
    assert shop.headers["x-idempotency-replayed"] == "true"


async def test_a_connection_can_be_reset_before_and_after_the_order_is_made(shop: Any) -> None:
    key = _HEADERS | {"x-idempotency-key": "k"}
    for action, known in (("reset", 404), ("apply_then_reset", 200)):
        await shop.control("/faults", {"operation": "create_order", "action": action, "count": 1})
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await shop.call("POST", "/pg/orders", shop.order(), headers=key)
        assert (await shop.call("GET", "/pg/orders/order_1"))[0] == known
    # What the broken connection swallowed is found under its key.
    assert (await shop.call("POST", "/pg/orders", shop.order(), headers=key))[0] == 200
    assert shop.headers["x-idempotency-replayed"] == "true"


async def test_a_caller_that_gives_up_is_let_go(shop: Any) -> None:
    await shop.create()
    await shop.control("/faults", {"operation": "get_order", "action": "timeout", "delay_ms": 60_000, "count": 1})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await shop.get()
    assert (await shop.get())["order_id"] == "order_1"


async def test_an_answer_can_be_slow(shop: Any) -> None:
    await shop.create()
    await shop.control(
        "/orders/order_1/faults", {"operation": "get_order", "action": "delay", "delay_ms": 60, "count": 1}
    )
    started = time.monotonic()
    await shop.get()
    assert time.monotonic() - started >= 0.06


async def test_the_gateway_can_report_a_wrong_amount_and_currency(shop: Any) -> None:
    await shop.create()
    await shop.pay(wait=True)
    for rule in ({"action": "wrong_amount", "amount_paise": 12345}, {"action": "wrong_currency", "currency": "USD"}):
        await shop.control("/faults", rule | {"operation": "get_order"})
        await shop.control("/faults", rule | {"operation": "get_payments"})
    order, [payment] = await shop.get(), await shop.get(rest="/payments")
    assert (order["order_amount"], order["order_currency"], order["order_status"]) == (123.45, "USD", "PAID")
    assert (payment["payment_amount"], payment["payment_currency"]) == (123.45, "USD")


async def test_an_answer_can_be_garbage_and_the_order_is_there_all_the_same(shop: Any) -> None:
    expected = {"html": "text/html", "truncated": "application/json", "duplicate_keys": "application/json"}
    for number, (kind, content_type) in enumerate(expected.items()):
        await shop.control("/faults", {"operation": "create_order", "action": "garble", "garbage": kind, "count": 1})
        order = shop.order(order_id=f"order_{number}")
        async with shop.http.post(shop.base_url + "/pg/orders", json=order, headers=_HEADERS) as response:
            assert (response.status, response.headers["content-type"]) == (200, content_type)
            body = await response.read()
        assert (body.count(b'"order_status"') == 2) == (kind == "duplicate_keys")
        assert (await shop.get(f"order_{number}"))["order_status"] == "ACTIVE"


def test_garbage_is_as_large_as_it_says() -> None:
    answer = Answer(200, b"{}")
    assert len(garbled("huge", answer, b"").body) == HUGE_BYTES + 2
    bomb = garbled("gzip_bomb", answer, b"")
    assert len(bomb.body) < 1 << 20 < len(gzip.decompress(bomb.body))
    assert (b"content-encoding", b"gzip") in bomb.headers


async def _told_of(shop: Any, *rules: dict[str, Any]) -> None:
    for rule in rules:
        await shop.control("/faults", rule | {"operation": "webhook"})
    await shop.create()
    await shop.pay()


async def test_a_webhook_can_come_many_times(shop: Any) -> None:
    await _told_of(shop, {"action": "duplicate", "times": 3})
    await shop.receiver.wait_for(3)
    assert len({body for _, body in shop.receiver.got}) == 1


async def test_a_webhook_can_be_lost(shop: Any) -> None:
    await _told_of(shop, {"action": "drop", "event": "PAYMENT_SUCCESS_WEBHOOK"})
    [kept] = (await shop.control("/webhooks", method="GET"))["webhooks"]
    assert (kept["attempt"], kept["error"], shop.receiver.got) == (0, "dropped by a fault", [])


async def test_a_webhook_can_be_late(shop: Any) -> None:
    await _told_of(shop, {"action": "delay", "delay_ms": 60})
    assert shop.receiver.got == []
    await shop.receiver.wait_for(1)


async def test_a_webhook_can_be_signed_by_somebody_else_or_altered(shop: Any) -> None:
    await _told_of(shop, {"action": "bad_signature", "count": 1})
    await shop.create(order_id="order_2")
    await shop.control("/orders/order_2/faults", {"operation": "webhook", "action": "alter_body"})
    await shop.pay("order_2")
    await shop.receiver.wait_for(2)
    for headers, body in shop.receiver.got:
        assert sign(_SECRET, headers["x-webhook-timestamp"], body) != headers["x-webhook-signature"]


async def test_a_webhook_can_lie_under_a_good_signature(shop: Any) -> None:
    await _told_of(shop, {"action": "wrong_amount", "amount_paise": 100})
    [webhook] = await shop.receiver.wait_for(1)
    headers, body = shop.receiver.got[0]
    assert webhook["data"]["payment"]["payment_amount"] == 1
    assert sign(_SECRET, headers["x-webhook-timestamp"], body) == headers["x-webhook-signature"]


async def test_webhooks_can_come_in_another_order(shop: Any) -> None:
    await shop.control("/faults", {"operation": "webhook", "action": "reorder", "window_ms": 100})
    for number in range(8):
        await shop.create(order_id=f"order_{number}")
        await shop.pay(f"order_{number}")
    order_ids = [it["data"]["order"]["order_id"] for it in await shop.receiver.wait_for(8)]
    assert sorted(order_ids) == [f"order_{number}" for number in range(8)] != order_ids


async def test_an_order_brings_its_own_faults_and_uses_them_up(shop: Any) -> None:
    tags = {"sandbox_faults": "create_order:error:status=503:count=1,webhook:duplicate:times=2"}
    status, _ = await shop.call("POST", "/pg/orders", shop.order(order_tags=tags))
    assert status == 503
    await shop.create(order_tags=tags)
    await shop.pay()
    await shop.receiver.wait_for(2)


async def test_a_rule_can_be_lifted(shop: Any) -> None:
    rule = await shop.control("/faults", {"operation": "get_order", "action": "error"})
    await shop.create()
    assert (await shop.call("GET", "/pg/orders/order_1"))[0] == 500
    await shop.control(f"/faults/{rule['id']}", method="DELETE")
    await shop.get()


@pytest.mark.parametrize("rule", [{"action": "explode"}, {"action": "drop", "chance": 1}, {}])
async def test_a_rule_that_makes_no_sense_is_refused(shop: Any, rule: dict[str, Any]) -> None:
    assert (await shop.call("POST", "/control/faults", rule))[0] == 400


def test_a_chance_is_drawn_from_the_seed() -> None:
    def struck(seed: int) -> list[bool]:
        faults = Faults(random.Random(seed))
        faults.add(Rule(action="drop", probability=0.3))
        return [bool(faults.fire("webhook", Subject())) for _ in range(500)]

    assert struck(5) == struck(5) != struck(6)
    assert 100 < sum(struck(5)) < 200
