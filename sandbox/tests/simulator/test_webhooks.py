"""Webhooks: what is on the wire, how long the sandbox insists, and what can be sent again."""

import asyncio
from typing import Any

from sandbox.cashfree.webhooks import sign

_SECRET = "cfsk_ma_test_secret"


def _genuine(headers: dict[str, str], body: bytes, secret: str = _SECRET) -> bool:
    return sign(secret, headers["x-webhook-timestamp"], body) == headers["x-webhook-signature"]


async def test_a_webhook_is_on_the_wire_as_cashfree_puts_it(shop: Any) -> None:
    await shop.create(order_tags={"name": "राहुल"})
    assert (await shop.pay(wait=True))["webhook"] == [200]
    [(headers, body)] = shop.receiver.got
    assert body.startswith(
        '{"data":{"order":{"order_id":"order_1","order_amount":170.00,"order_currency":"INR",'
        '"order_tags":{"name":"राहुल"}},"payment":{"cf_payment_id":"'.encode()
    )
    assert body.endswith(b'+05:30","type":"PAYMENT_SUCCESS_WEBHOOK"}')
    assert b", " not in body
    assert headers["content-type"] == "application/json"
    assert (headers["x-webhook-version"], headers["x-webhook-attempt"]) == ("2025-01-01", "1")
    assert len(headers["x-webhook-timestamp"]) == 13
    assert len(headers["x-idempotency-key"]) == 44
    assert _genuine(headers, body)


async def test_an_older_version_leaves_out_what_came_later(sandbox_running: Any) -> None:
    async with sandbox_running(webhook_version="2023-08-01") as shop:
        await shop.create()
        await shop.pay(wait=True)
        [(headers, body)] = shop.receiver.got
        assert "x-idempotency-key" not in headers
        assert b"payment_surcharge" not in body


async def test_an_unanswered_webhook_is_sent_again_as_it_was(shop: Any) -> None:
    shop.receiver.answers = [500, 302, 204]
    await shop.create()
    await shop.pay()
    await shop.receiver.wait_for(4)
    assert [headers["x-webhook-attempt"] for headers, _ in shop.receiver.got] == ["1", "2", "3", "4"]
    assert len({(headers["x-webhook-signature"], body) for headers, body in shop.receiver.got}) == 1


async def test_it_counts_how_long_receivers_took(shop: Any) -> None:
    await shop.create()
    await shop.pay(wait=True)
    answered_in = (await shop.control("/stats", method="GET"))["webhooks"]["answered_in"]
    assert len(answered_in["counts"]) == len(answered_in["bounds_ms"]) + 1
    assert sum(answered_in["counts"]) == 1


async def test_the_ladder_ends(shop: Any) -> None:
    shop.receiver.answers = [500] * 10
    await shop.create()
    await shop.pay()

    async def given_up() -> bool:
        return bool((await shop.control("/stats", method="GET"))["webhooks"]["given_up"] == 1)

    await shop.until(given_up)
    assert len(shop.receiver.got) == 4


async def test_a_receiver_that_is_down_hears_of_it_once_it_is_up(shop: Any) -> None:
    await shop.create(order_meta={"notify_url": "http://127.0.0.1:1/hook"})
    assert (await shop.pay(wait=True))["webhook"] == [0]
    [sent] = (await shop.control("/webhooks?limit=1", method="GET"))["webhooks"]
    assert (sent["status"], sent["attempt"]) == (0, 1)
    assert "Error" in sent["error"]


async def test_an_order_without_a_notify_url_uses_the_default(sandbox_running: Any) -> None:
    async with sandbox_running() as other, sandbox_running(webhook_url=other.receiver.url) as shop:
        await shop.create(order_meta=None)
        await shop.pay()
        await other.receiver.wait_for(1)


async def test_nobody_to_tell_is_no_error(shop: Any) -> None:
    await shop.create(order_meta=None)
    assert (await shop.pay(wait=True))["webhook"] == []
    assert (await shop.control("/stats", method="GET"))["webhooks"]["pending"] == 0


async def test_what_was_sent_can_be_read_and_sent_again(shop: Any) -> None:
    await shop.create()
    await shop.pay(wait=True)
    [sent] = (await shop.control("/webhooks?order_id=order_1&type=PAYMENT_SUCCESS_WEBHOOK", method="GET"))["webhooks"]
    assert sent["body"].encode() == shop.receiver.got[0][1]
    assert sent["status"] == 200
    await asyncio.sleep(0.002)
    await shop.control(f"/webhooks/{sent['id']}/resend", {"fresh": False})
    await shop.receiver.wait_for(2)
    await shop.control(f"/webhooks/{sent['id']}/resend", {"fresh": True})
    await shop.receiver.wait_for(3)
    (first, body), (same, same_body), (fresh, fresh_body) = shop.receiver.got
    assert (same["x-webhook-signature"], same_body) == (first["x-webhook-signature"], body)
    assert fresh["x-webhook-timestamp"] != first["x-webhook-timestamp"]
    assert fresh_body == body
    assert _genuine(fresh, fresh_body)


async def test_the_dashboards_ping_carries_no_order(shop: Any) -> None:
    await shop.control("/webhooks/ping", {"url": shop.receiver.url})
    [webhook] = await shop.receiver.wait_for(1)
    assert (webhook["type"], webhook["data"]) == ("WEBHOOK", {"test_object": {"test_key": "test_value"}})


async def test_a_reset_forgets_everything(shop: Any) -> None:
    await shop.create()
    await shop.pay(delay_ms=50)
    await shop.control("/faults", {"action": "drop"})
    await shop.control("/reset", {"seed": 3})
    assert (await shop.call("GET", "/pg/orders/order_1"))[0] == 404
    assert (await shop.control("/faults", method="GET"))["faults"] == []
    await asyncio.sleep(0.08)
    assert shop.receiver.got == []
