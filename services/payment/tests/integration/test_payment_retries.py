"""POST /payments/{paymentId}/retry: the same order while it is open, the next payment of it afterwards."""

import asyncio
from typing import Any

import httpx
import pytest

from common import ids

from .world import World


async def retry(world: World, payment: dict[str, Any], user: str = "usr_asha", key: str = "") -> httpx.Response:
    headers = world.auth(user) | ({"idempotency-key": key} if key else {})
    return await world.http.post(f"/api/v1/payments/{payment['paymentId']}/retry", headers=headers)


async def test_an_open_payment_goes_on_with_its_order(world: World) -> None:
    data = await world.created()
    again = await retry(world, data)
    assert (again.status_code, again.json()["data"]["paymentSessionId"]) == (200, data["paymentSessionId"])
    [row] = await world.rows("select count(*) as payments from payments")
    assert row.payments == 1


async def test_a_closed_payment_is_followed_by_another_of_the_same_order(world: World) -> None:
    data = await world.created(packId="pack_500", description="Consultation", metadata={"room": 7})
    await world.cancel(data)
    answer = await retry(world, data)
    assert answer.status_code == 201, answer.text
    again = answer.json()["data"]
    assert again["paymentId"] != data["paymentId"]
    assert (again["amount"], again["credits"]) == (data["amount"], data["credits"])
    seen = (await world.get(f"/{again['paymentId']}")).json()["data"]
    assert (seen["description"], seen["metadata"], seen["packId"]) == ("Consultation", {"room": 7}, "pack_500")
    await world.pay(again["orderId"])
    await world.deliver(world.hooks[-1])
    order = (await world.http.get(f"/api/v1/orders/{data['orderId']}", headers=world.auth())).json()["data"]
    assert (order["status"], order["attempts"], order["paymentId"]) == ("paid", 2, again["paymentId"])
    paid = await retry(world, again)
    assert (paid.status_code, paid.json()["error"]["code"]) == (409, "payment_not_retryable")
    first = await retry(world, data)
    assert (first.status_code, first.json()["error"]["code"]) == (409, "order_already_paid")


async def test_retries_race_and_one_payment_starts(world: World) -> None:
    data = await world.created()
    await world.cancel(data)
    answers = await asyncio.gather(*(retry(world, data) for _ in range(6)))
    assert sorted(each.status_code for each in answers) == [201] + [409] * 5
    [row] = await world.rows("select count(*) as orders from orders")
    assert row.orders == 1


async def test_a_key_makes_one_retry(world: World) -> None:
    data = await world.created()
    await world.cancel(data)
    first, again = await retry(world, data, key="r-1"), await retry(world, data, key="r-1")
    assert (first.content, again.headers["idempotent-replayed"]) == (again.content, "true")


@pytest.mark.parametrize("user", ["usr_ravi"])
async def test_only_the_payer_tries_again(world: World, user: str) -> None:
    data = await world.created()
    await world.cancel(data)
    assert (await retry(world, data, user)).status_code == 404
    unknown = {"paymentId": ids.encode("pay", ids.new())}
    assert (await retry(world, unknown)).status_code == 404
