"""Orders: what is taken, what is refused and with which words, what a key or a quota does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

ENTITY = {
    "cf_order_id": str,
    "order_id": str,
    "entity": str,
    "order_amount": int,
    "order_currency": str,
    "order_status": str,
    "order_note": type(None),
    "created_at": str,
    "order_expiry_time": str,
    "payment_session_id": str,
    "customer_details": dict,
    "order_meta": dict,
    "order_splits": list,
    "order_tags": type(None),
    "cart_details": type(None),
    "terminal_data": type(None),
}


async def test_a_new_order_reads_as_cashfree_writes_it(shop: Any) -> None:
    order = await shop.create()
    assert {name: type(value) for name, value in order.items()} == ENTITY
    assert (order["order_status"], order["order_amount"]) == ("ACTIVE", 170)
    assert order["payment_session_id"].startswith("session_")
    assert order["payment_session_id"].endswith("payment")
    assert order["cf_order_id"].isdecimal()
    assert order["created_at"].endswith("+05:30")
    assert await shop.get() == order


async def test_an_order_without_an_id_gets_one(shop: Any) -> None:
    order = await shop.create(order_id=None)
    assert order["order_id"].startswith("order_")
    assert (await shop.get(order["order_id"]))["order_id"] == order["order_id"]


@pytest.mark.parametrize("version", ["2023-08-01", "2025-01-01", "2026-01-01"])
async def test_three_versions_are_served(shop: Any, version: str) -> None:
    headers = {"x-client-id": "TESTapp", "x-client-secret": "cfsk_ma_test_secret", "x-request-id": "r-1"}
    status, _ = await shop.call("POST", "/pg/orders", shop.order(), headers=headers | {"x-api-version": version})
    assert (status, shop.headers["x-api-version"], shop.headers["x-request-id"]) == (200, version, "r-1")
    assert shop.headers["x-ratelimit-retry"] == "0"
    assert shop.headers["x-ratelimit-type"] == "app_id"


def _in(**ahead: int) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


_CUSTOMER = {"customer_id": "cust_1", "customer_phone": "9999999999"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"order_amount": 0}, "order_amount_invalid"),
        ({"order_amount": -5}, "order_amount_invalid"),
        ({"order_amount": "170"}, "order_amount_invalid"),
        ({"order_amount": None}, "order_amount_missing"),
        ({"order_currency": "XXX"}, "order_currency_invalid"),
        ({"order_id": "a b"}, "order_id_invalid"),
        ({"order_id": "x" * 46}, "order_id_invalid"),
        ({"customer_details": None}, "customer_details_missing"),
        ({"customer_details": {"customer_phone": "9999999999"}}, "customer_id_missing"),
        ({"customer_details": {"customer_id": "cust_1"}}, "customer_phone_missing"),
        ({"customer_details": _CUSTOMER | {"customer_phone": "99999999999"}}, "customer_phone_invalid"),
        ({"customer_details": _CUSTOMER | {"customer_email": "nobody"}}, "customer_email_invalid"),
        ({"order_expiry_time": _in(minutes=14)}, "order_expiry_time_invalid"),
        ({"order_expiry_time": _in(days=31)}, "order_expiry_time_invalid"),
        ({"order_expiry_time": "tomorrow"}, "order_expiry_time_invalid"),
        ({"order_note": "ab"}, "order_note_invalid"),
        ({"order_tags": {"a": 1}}, "order_tags_invalid"),
        ({"order_tags": {"sandbox_faults": "webhook:explode"}}, "order_tags_invalid"),
    ],
)
async def test_a_bad_order_is_refused_by_the_name_of_its_field(shop: Any, change: dict[str, Any], code: str) -> None:
    status, error = await shop.call("POST", "/pg/orders", shop.order(**change))
    assert (status, error["code"], error["type"]) == (400, code, "invalid_request_error")
    assert set(error) == {"message", "code", "type"}


@pytest.mark.parametrize("amount", [b"0.5", b"10.155", b"1e400", b"170.00000000000000000000001"])
async def test_an_amount_is_read_exactly(shop: Any, amount: bytes) -> None:
    body = b'{"order_amount":%s,"customer_details":{"customer_id":"cust_1","customer_phone":"9999999999"}}' % amount
    status, error = await shop.call("POST", "/pg/orders", body=body)
    assert (status, error["code"]) == (400, "order_amount_invalid")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code", "kind"),
    [
        ("GET", "/pg/orders/x", {"x-api-version": None}, 400, "request_failed", "invalid_request_error"),
        ("GET", "/pg/orders/x", {"x-api-version": "2019-01-01"}, 400, "version_invalid", "invalid_request_error"),
        ("GET", "/pg/orders/x", {"x-client-secret": "no"}, 401, "request_failed", "authentication_error"),
        ("GET", "/pg/orders/x", {"x-client-id": None}, 401, "request_failed", "authentication_error"),
        ("GET", "/pg/orders/x", {}, 404, "order_not_found", "invalid_request_error"),
        ("GET", "/pg/orders/x/payments", {}, 404, "order_not_found", "invalid_request_error"),
        ("GET", "/pg/orders/x/payments/1", {}, 404, "order_not_found", "invalid_request_error"),
        ("GET", "/pg/orders/x/refunds/r", {}, 404, "order_not_found", "invalid_request_error"),
        ("GET", "/pg/nothing", {}, 400, "request_failed", "invalid_request_error"),
        ("POST", "/pg/orders", {}, 400, "request_failed", "invalid_request_error"),
    ],
)
async def test_the_door_refuses_by_status_code_and_type(
    shop: Any, method: str, path: str, headers: dict[str, str | None], status: int, code: str, kind: str
) -> None:
    sent = {"x-api-version": "2025-01-01", "x-client-id": "TESTapp", "x-client-secret": "cfsk_ma_test_secret"} | headers
    kept = {name: value for name, value in sent.items() if value is not None}
    got, error = await shop.call(method, path, headers=kept)
    assert (got, error["code"], error["type"]) == (status, code, kind)


async def test_an_order_id_is_taken_once(shop: Any) -> None:
    await shop.create()
    status, error = await shop.call("POST", "/pg/orders", shop.order())
    assert (status, error) == (
        409,
        {
            "message": "order with same id is already present",
            "code": "order_already_exists",
            "type": "invalid_request_error",
        },
    )


async def test_a_terminated_order_takes_no_payment(shop: Any) -> None:
    order = await shop.create()
    status, closed = await shop.call("PATCH", "/pg/orders/order_1", {"order_status": "TERMINATED"})
    assert (status, closed["order_status"]) == (200, "TERMINATED")
    payment = {"upi": {"channel": "collect", "upi_id": "testsuccess@gocash"}}
    request = {"payment_session_id": order["payment_session_id"], "payment_method": payment}
    status, error = await shop.call("POST", "/pg/orders/sessions", request)
    assert (status, error["code"]) == (400, "order_inactive")


async def test_a_paid_order_cannot_be_terminated(shop: Any) -> None:
    await shop.create()
    await shop.pay()
    status, error = await shop.call("PATCH", "/pg/orders/order_1", {"order_status": "TERMINATED"})
    assert (status, error["code"]) == (400, "order_already_paid")


async def test_a_payment_in_flight_decides_a_termination(shop: Any) -> None:
    await shop.create()
    await shop.create(order_id="order_2")
    await shop.pay("order_1", delay_ms=60)
    await shop.pay("order_2", delay_ms=60, outcome="failure")
    for order_id in ("order_1", "order_2"):
        _, order = await shop.call("PATCH", f"/pg/orders/{order_id}", {"order_status": "TERMINATED"})
        assert order["order_status"] == "TERMINATION_REQUESTED"
    await shop.receiver.wait_for(2)
    assert [(await shop.get(it))["order_status"] for it in ("order_1", "order_2")] == ["PAID", "TERMINATED"]


async def test_an_expired_order_can_still_be_paid_late(shop: Any) -> None:
    await shop.create()
    await shop.control("/orders/order_1/expire")
    assert (await shop.get())["order_status"] == "EXPIRED"
    status, _ = await shop.call("POST", "/control/orders/order_1/pay", {})
    assert status == 400
    await shop.pay(force=True)
    assert (await shop.get())["order_status"] == "PAID"


async def test_a_key_replays_the_first_answer(shop: Any) -> None:
    headers = {"x-idempotency-key": "k-1"}
    sent = {"x-api-version": "2025-01-01", "x-client-id": "TESTapp", "x-client-secret": "cfsk_ma_test_secret"} | headers
    first = await shop.call("POST", "/pg/orders", shop.order(), headers=sent)
    assert shop.headers["x-idempotency-replayed"] == "false"
    again = await shop.call("POST", "/pg/orders", shop.order(), headers=sent)
    assert (first[0], again) == (200, first)
    assert (shop.headers["x-idempotency-replayed"], shop.headers["x-idempotency-key"]) == ("true", "k-1")
    status, error = await shop.call("POST", "/pg/orders", shop.order(order_amount=171), headers=sent)
    assert (status, error["code"], error["type"]) == (422, "request_invalid", "idempotency_error")


async def test_a_key_replays_even_a_500(shop: Any) -> None:
    await shop.control("/faults", {"operation": "create_order", "action": "error", "count": 1})
    headers = {"x-api-version": "2025-01-01", "x-client-id": "TESTapp", "x-client-secret": "cfsk_ma_test_secret"}
    for _ in range(2):
        status, _ = await shop.call("POST", "/pg/orders", shop.order(), headers=headers | {"x-idempotency-key": "k"})
        assert status == 500
    status, _ = await shop.call("POST", "/pg/orders", shop.order(), headers=headers | {"x-idempotency-key": "k2"})
    assert status == 200


async def test_quotas_are_off_until_somebody_turns_them_on(shop: Any) -> None:
    await shop.create()
    await shop.control("/quotas", {"limits": {"get_order": 2}}, "PUT")
    statuses = [(await shop.call("GET", "/pg/orders/order_1"))[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (shop.headers["x-ratelimit-limit"], shop.headers["x-ratelimit-remaining"]) == ("2", "0")
    assert 1 <= int(shop.headers["x-ratelimit-retry"]) <= 59
    await shop.control("/quotas", {"enabled": False}, "PUT")
    assert (await shop.get())["order_id"] == "order_1"


async def test_production_quotas_can_be_a_setting(sandbox_running: Any) -> None:
    async with sandbox_running(quotas=True) as shop:
        await shop.create()
        assert shop.headers["x-ratelimit-limit"] == "200"


async def test_memory_is_bounded_and_the_oldest_finished_order_leaves_first(sandbox_running: Any) -> None:
    async with sandbox_running(orders_max=2) as shop:
        for number in (1, 2):
            await shop.create(order_id=f"order_{number}")
        await shop.pay("order_2")
        await shop.create(order_id="order_3")
        assert (await shop.call("GET", "/pg/orders/order_2"))[0] == 404
        for order_id in ("order_1", "order_3"):
            assert (await shop.get(order_id))["order_status"] == "ACTIVE"
        await shop.create(order_id="order_4")
        assert (await shop.control("/stats", method="GET"))["orders"] == 2
