"""Orders as merchants make them: paid once, by one payment or by the next after a failed one."""

import asyncio
from typing import Any

import httpx
import pytest

from common import ids

from .world import World

ORDERS = "/api/v1/orders"


async def make(world: World, *, user: str = "usr_asha", key: str = "", **body: Any) -> httpx.Response:
    headers = world.auth(user) | ({"idempotency-key": key} if key else {})
    return await world.http.post(ORDERS, json={"amount": 50_000, "receipt": "shop-1"} | body, headers=headers)


async def made(world: World, **body: Any) -> str:
    response = await make(world, **body)
    assert response.status_code == 201, response.text
    return str(response.json()["data"]["orderId"])


async def read(world: World, order_id: str, user: str = "usr_asha", *roles: str, **who: str) -> httpx.Response:
    return await world.http.get(f"{ORDERS}/{order_id}", headers=world.auth(user, *roles, **who))


async def order_of(world: World, order_id: str) -> dict[str, Any]:
    data: dict[str, Any] = (await read(world, order_id)).json()["data"]
    return data


async def pays(world: World, order_id: str, **body: Any) -> httpx.Response:
    return await world.http.post("/api/v1/payments", json={"orderId": order_id} | body, headers=world.auth())


async def test_an_order_is_created_attempted_paid(world: World) -> None:
    response = await make(world, notes={"table": 7})
    data = response.json()["data"]
    assert response.status_code == 201
    assert data["orderId"].startswith("order_")
    assert (data["status"], data["receipt"], data["notes"]) == ("created", "shop-1", {"table": 7})
    assert (data["amount"], data["amountPaid"], data["currency"]) == (50_000, 0, "INR")
    created = (await pays(world, data["orderId"])).json()["data"]
    assert created["amount"] == 50_000
    assert created["orderId"] != data["orderId"]  # what the gateway knows it by is each payment's own
    assert (await order_of(world, data["orderId"]))["status"] == "attempted"
    await world.pay(created["orderId"])
    await world.deliver(world.hooks[-1])
    paid = await order_of(world, data["orderId"])
    assert (paid["status"], paid["amountPaid"], paid["paymentId"]) == ("paid", 50_000, created["paymentId"])
    assert [each["status"] for each in paid["payments"]] == ["success"]


async def test_the_amount_is_the_orders(world: World) -> None:
    order_id = await made(world)
    for wrong in ({"amount": 40_000}, {"packId": "pack_500"}):
        refused = await pays(world, order_id, **wrong)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "order_amount_differs")
    assert (await pays(world, order_id, amount=50_000)).status_code == 201


async def test_a_retried_payment_is_a_new_payment_of_the_same_order(world: World) -> None:
    order_id = await made(world)
    first = (await pays(world, order_id)).json()["data"]
    second = await pays(world, order_id)
    assert (second.status_code, second.json()["error"]["code"]) == (409, "order_payment_open")
    assert second.json()["error"]["fields"]["paymentId"] == first["paymentId"]
    await world.cancel(first)
    retried = (await pays(world, order_id)).json()["data"]
    await world.pay(retried["orderId"])
    await world.deliver(world.hooks[-1])
    order = await order_of(world, order_id)
    assert (order["attempts"], order["paymentId"]) == (2, retried["paymentId"])
    third = await pays(world, order_id)
    assert (third.status_code, third.json()["error"]["code"]) == (409, "order_already_paid")


async def test_payments_of_one_order_race_and_one_starts(world: World) -> None:
    order_id = await made(world)
    answers = await asyncio.gather(*(pays(world, order_id) for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [201] + [409] * 7
    [row] = await world.rows("select count(*) as n from payments where parent_order_id is not null")
    assert row.n == 1


async def closed(world: World, payment: dict[str, Any]) -> None:
    """Seen as closed here while its order can still be paid at the gateway."""
    await world.rows(
        "update payments set status = 'FAILED', seq = seq + 1, next_check_at = null where id = :id returning id",
        id=ids.decode("pay", payment["paymentId"]),
    )


@pytest.mark.parametrize("late_first", [True, False])
async def test_at_most_one_payment_of_an_order_is_a_success(world: World, late_first: bool) -> None:
    """The gateway takes money twice, for a payment that had failed and for the next: the second is to go back."""
    order_id = await made(world)
    first = (await pays(world, order_id)).json()["data"]
    await closed(world, first)
    second = (await pays(world, order_id)).json()["data"]
    pair = [first, second] if late_first else [second, first]
    for payment in pair:
        await world.pay(payment["orderId"])
        await world.deliver(world.hooks[-1])
        await world.verify(paymentId=payment["paymentId"])
        world.clock.advance(60)
        await world.run_syncs()
    order = await order_of(world, order_id)
    assert (order["status"], order["paymentId"]) == ("paid", pair[0]["paymentId"])
    assert await world.status(pair[0]) == "SUCCESS"
    assert await world.status(pair[1]) in ("FAILED", "PENDING")
    [receipt] = await world.rows("select payment_id, reason, amount_minor from receipts")
    assert (receipt.payment_id, receipt.reason) == (ids.decode("pay", pair[1]["paymentId"]), "DUPLICATE")
    assert len(await world.announced("payment.success")) == 1
    [alert] = [each for each in await world.announced("email.admin.alert") if each.cause == "order_already_paid"]
    assert pair[1]["paymentId"] in alert.summary


async def test_both_payments_of_an_order_seen_in_one_batch(world: World) -> None:
    order_id = await made(world)
    first = (await pays(world, order_id)).json()["data"]
    await closed(world, first)
    second = (await pays(world, order_id)).json()["data"]
    for payment in (first, second):
        await world.pay(payment["orderId"])
    await world.deliver(*world.hooks)
    for payment in (first, second):
        await world.verify(paymentId=payment["paymentId"])
    assert len(await world.announced("payment.success")) == 1
    assert (await order_of(world, order_id))["status"] == "paid"


async def test_the_database_knows_one_payment_for_a_paid_order(world: World) -> None:
    await made(world)
    with pytest.raises(Exception, match="check"):
        await world.rows("update orders set status = 'PAID' returning id")


async def test_a_payment_without_an_order_is_its_own(world: World) -> None:
    data = await world.created()
    order = await order_of(world, data["orderId"])
    assert (order["orderId"], order["status"], order["attempts"]) == (data["orderId"], "attempted", 1)
    await world.pay(data["orderId"])
    await world.deliver(world.hooks[-1])
    assert (await order_of(world, data["orderId"]))["status"] == "paid"
    named = await world.created(orderId="shop-9")
    assert (await order_of(world, "shop-9"))["payments"][0]["paymentId"] == named["paymentId"]
    # A payment's id is none of an order's.
    assert (await read(world, data["paymentId"])).status_code == 404
    assert (await world.rows("select 1 from orders")) == []


async def test_the_gateways_name_leads_to_the_order(world: World) -> None:
    order_id = await made(world)
    payment = (await pays(world, order_id)).json()["data"]
    assert (await order_of(world, payment["orderId"]))["orderId"] == order_id


async def test_other_peoples_orders_do_not_exist(world: World) -> None:
    order_id = await made(world)
    for response in (
        await read(world, order_id, "usr_ravi"),
        await read(world, order_id, "usr_support", "SUPPORT", merchant="mer_other"),
        await read(world, ids.encode("order", ids.new())),
        await read(world, "'; drop table orders;--"),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (404, "order_not_found")
    assert (await read(world, order_id, "usr_support", "SUPPORT")).status_code == 200
    stranger = await world.http.post("/api/v1/payments", json={"orderId": order_id}, headers=world.auth("usr_ravi"))
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (404, "order_not_found")


async def test_orders_are_listed(world: World) -> None:
    mine = [await made(world, receipt=f"r-{number}") for number in range(3)]
    await made(world, user="usr_ravi")
    await pays(world, mine[0])

    async def listed(query: str, user: str = "usr_asha", *roles: str) -> dict[str, Any]:
        response = await world.http.get(f"{ORDERS}{query}", headers=world.auth(user, *roles))
        assert response.status_code == 200, response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    first = await listed("?limit=2")
    assert [each["orderId"] for each in first["items"]] == [mine[2], mine[1]]
    rest = await listed(f"?limit=2&cursor={first['nextCursor']}")
    assert [each["orderId"] for each in rest["items"]] == [mine[0]]
    assert [each["orderId"] for each in (await listed("?status=attempted"))["items"]] == [mine[0]]
    assert [each["orderId"] for each in (await listed("?receipt=r-1"))["items"]] == [mine[1]]
    assert len((await listed("", "usr_support", "SUPPORT"))["items"]) == 4
    wrong = await world.http.get(f"{ORDERS}?status=PAID", headers=world.auth())
    assert wrong.status_code == 400


async def test_a_key_makes_one_order(world: World) -> None:
    first, again = await make(world, key="k-1"), await make(world, key="k-1")
    assert (first.content, again.headers["idempotent-replayed"]) == (again.content, "true")
    other = await make(world, key="k-1", amount=60_000)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    [row] = await world.rows("select count(*) as n from orders")
    assert row.n == 1


@pytest.mark.parametrize(
    "body",
    [{"amount": 0}, {"amount": -1}, {"amount": "1"}, {"amount": 1.5}, {"currency": "inr"}, {"currency": "XQX"},
     {"receipt": "r" * 65}, {"notes": []}, {"notes": {"": 1}}, {"unknown": 1}],
)  # fmt: skip
async def test_bad_orders_are_refused_by_name(world: World, body: dict[str, Any]) -> None:
    response = await make(world, **body)
    assert response.status_code == 400, response.text
