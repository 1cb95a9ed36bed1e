"""Several accounts at Cashfree: each has its own orders, settlements and signatures."""

from typing import Any

from sandbox.cashfree.webhooks import sign

_OTHER = {"app_id": "TESTother", "secret_key": "cfsk_ma_test_other"}
_HEADERS = {"x-api-version": "2025-01-01", "x-client-id": "TESTother", "x-client-secret": "cfsk_ma_test_other"}


async def _ask(shop: Any, method: str, path: str, json: Any = None) -> tuple[int, Any]:
    """As the other account."""
    status, body = await shop.call(method, "/pg" + path, json, headers=_HEADERS)
    return status, body


async def test_an_account_is_added_and_forgotten(shop: Any) -> None:
    assert (await _ask(shop, "POST", "/orders", shop.order()))[0] == 401
    await shop.control("/accounts", _OTHER)
    assert (await _ask(shop, "POST", "/orders", shop.order()))[0] == 200
    await shop.control("/accounts", _OTHER | {"secret_key": "cfsk_ma_test_new"})
    assert (await _ask(shop, "GET", "/orders/order_1"))[0] == 401
    await shop.control("/accounts", _OTHER)
    assert (await _ask(shop, "GET", "/orders/order_1"))[0] == 200
    await shop.control("/reset")
    assert (await _ask(shop, "GET", "/orders/order_1"))[0] == 401


async def test_an_account_sees_nothing_of_another_one(shop: Any) -> None:
    await shop.control("/accounts", _OTHER)
    await shop.create()
    await shop.pay(wait=True)
    refund = {"refund_id": "refund_1", "refund_amount": 20}
    assert (await shop.call("POST", "/pg/orders/order_1/refunds", refund))[0] == 200
    dispute = await shop.control("/orders/order_1/disputes", {"amount_paise": 1_000})
    await shop.control("/settlements")
    for path in (
        "/orders/order_1",
        "/orders/order_1/payments",
        "/orders/order_1/refunds/refund_1",
        "/orders/order_1/settlements",
        "/orders/order_1/disputes",
        f"/disputes/{dispute['dispute_id']}",
    ):
        assert (await _ask(shop, "GET", path))[0] == 404, path
    for path, request in (
        ("/settlements", {"pagination": {"limit": 100}}),
        ("/settlement/recon", {"pagination": {"limit": 100}, "filters": {"start_date": "2020-01-01T00:00:00Z"}}),
    ):
        assert (await _ask(shop, "POST", path, request))[1]["data"] == []
    assert (await _ask(shop, "POST", "/orders/order_1/refunds", refund | {"refund_id": "refund_2"}))[0] == 404
    assert (await _ask(shop, "PATCH", "/orders/order_1", {"order_status": "TERMINATED"}))[0] == 404


async def test_an_accounts_own_secret_signs_and_a_settlement_is_its_own(shop: Any) -> None:
    await shop.control("/accounts", _OTHER)
    await shop.create()
    status, _ = await _ask(shop, "POST", "/orders", shop.order(order_id="order_2"))
    assert status == 200
    for order_id in ("order_1", "order_2"):
        await shop.pay(order_id, wait=True)
    secrets = ("cfsk_ma_test_secret", "cfsk_ma_test_other")
    for secret, (headers, body) in zip(secrets, shop.receiver.got, strict=True):
        assert headers["x-webhook-signature"] == sign(secret, headers["x-webhook-timestamp"], body)
    settled = await shop.control("/settlements", {"app_id": "TESTother"})
    assert settled["payment_amount"] == 170
    [row] = (await _ask(shop, "POST", "/settlements", {"pagination": {"limit": 10}}))[1]["data"]
    assert row["cf_settlement_id"] == settled["cf_settlement_id"]
    assert (await shop.control("/settlements"))["cf_settlement_id"] != settled["cf_settlement_id"]
    assert await shop.control("/settlements", {"order_ids": ["order_2"]}) == {}


async def test_a_resend_is_signed_by_the_accounts_own_secret(shop: Any) -> None:
    await shop.control("/accounts", _OTHER | {"webhook_secret": "rotated"})
    await _ask(shop, "POST", "/orders", shop.order())
    await shop.pay(wait=True)
    [sent] = (await shop.control("/webhooks", method="GET"))["webhooks"]
    await shop.control(f"/webhooks/{sent['id']}/resend")
    await shop.receiver.wait_for(2)
    for headers, body in shop.receiver.got:
        assert headers["x-webhook-signature"] == sign("rotated", headers["x-webhook-timestamp"], body)
