"""The API of the Razorpay service (S004) at /v1/api: its examples, as the edge hands them on."""

from typing import Any

import httpx

from common import ids
from common.testing import until

from .world import World

# What Traefik leaves of the address that it replaced.
EDGE = {"x-replaced-path": "/v1/api/payments"}


async def ask(world: World, method: str, path: str, user: str = "usr_asha", **request: Any) -> httpx.Response:
    headers = world.auth(user) | EDGE
    return await world.http.request(method, f"/api/v1/payments{path}", headers=headers, **request)


async def created(world: World, **body: Any) -> dict[str, Any]:
    """S004-073 to S004-085."""
    example = {
        "amount": 50_000,
        "currency": "INR",
        "description": "Consultation",
        "providerId": "prov_1",
        "serviceType": "CONSULTATION",
        "idempotencyKey": str(ids.new()),
    }
    response = await ask(world, "POST", "/create", json=example | body)
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    assert document["success"] is True
    data: dict[str, Any] = document["data"]
    return data


async def test_create_is_answered_as_in_the_example(world: World) -> None:
    data = await created(world)
    assert {each: data[each] for each in ("amount", "currency", "status")} == {
        "amount": 50_000,
        "currency": "INR",
        "status": "pending",
    }
    prefix, name, user, timestamp, random = data["referenceId"].replace("usr_asha", "usr-asha").split("_")
    assert (prefix, name, user, timestamp.isdigit(), len(random)) == ("PAY", "user", "usr-asha", True, 26)
    assert data["orderId"]


async def test_the_same_key_gets_the_same_order(world: World) -> None:
    first = await created(world, idempotencyKey="k-1")
    again = await ask(world, "POST", "/create", json={"amount": 50_000, "currency": "INR",
                      "description": "Consultation", "providerId": "prov_1", "serviceType": "CONSULTATION",
                      "idempotencyKey": "k-1"})  # fmt: skip
    assert again.json()["data"] == first
    assert again.headers["idempotent-replayed"] == "true"
    other = await ask(world, "POST", "/create", json={"amount": 60_000, "idempotencyKey": "k-1"})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_verify_history_and_status_are_answered_as_in_the_examples(world: World) -> None:
    data = await created(world)
    await world.pay(data["orderId"], method="upi")
    verified = await ask(world, "POST", "/verify", json={"referenceId": data["referenceId"]})
    answer = verified.json()
    assert (verified.status_code, answer["success"]) == (200, True)
    assert (answer["message"], answer["paymentMethod"]) == ("Payment verified & updated", "upi")

    history = (await ask(world, "GET", "/history/usr_asha?count=10&skip=0")).json()
    [item] = history["data"]
    assert {*item} >= {"referenceId", "status", "amount", "createdAt", "razorpayOrderId"}
    assert (item["referenceId"], item["status"], item["amount"]) == (data["referenceId"], "success", 50_000)
    assert item["razorpayOrderId"]

    status = (await ask(world, "GET", f"/status/{data['referenceId']}")).json()["data"]
    assert (status["status"], status["refundStatus"]) == ("success", "not_requested")
    assert [each["status"] for each in status["history"]] == ["pending", "success"]
    assert all(each["updatedAt"].endswith("Z") for each in status["history"])


async def test_the_refund_words(world: World) -> None:
    data = await created(world)
    await world.pay(data["orderId"])
    await world.deliver(world.hooks[-1])
    read = f"/status/{data['referenceId']}"
    assert (await ask(world, "GET", read)).json()["data"]["refundStatus"] == "not_requested"
    assert (await ask(world, "GET", "/history/usr_asha")).json()["data"][0]["refundStatus"] == "not_requested"
    asked = await world.http.post(
        f"/api/v1/payments/{data['paymentId']}/refunds",
        json={"reason": "the customer asked"},
        headers=world.auth("usr_finance", "FINANCE"),
    )
    assert asked.status_code == 201, asked.text
    word = (await ask(world, "GET", read)).json()["data"]["refundStatus"]
    assert word in ("requested", "completed")
    assert (await ask(world, "GET", "/history/usr_asha")).json()["data"][0]["refundStatus"] == word


async def kept(world: World) -> list[bytes]:
    """The entries, once there are some: nobody waits for them to be written."""

    async def found() -> list[bytes]:
        return [key async for key in world.redis.scan_iter("payment_history:*")]

    keys: list[bytes] = await until(found)
    return keys


async def test_a_history_is_kept_for_two_hours_and_never_old(world: World) -> None:
    data = await created(world)
    read = "/history/usr_asha?count=10&skip=0"
    assert [each["status"] for each in (await ask(world, "GET", read)).json()["data"]] == ["pending"]
    [key] = await kept(world)
    assert 7_100 < await world.redis.ttl(key) <= 7_200
    # A changed status, and a new payment.
    await world.pay(data["orderId"])
    await world.deliver(world.hooks[-1])
    assert [each["status"] for each in (await ask(world, "GET", read)).json()["data"]] == ["success"]
    await created(world)
    assert [each["status"] for each in (await ask(world, "GET", read)).json()["data"]] == ["pending", "success"]
    assert (await ask(world, "GET", "/history/usr_asha?count=1&skip=1")).json()["data"][0]["status"] == "success"
    assert await kept(world) == [key]


async def test_an_unchanged_history_comes_out_of_redis(world: World) -> None:
    """What is kept is what is answered: rows that change without a trace are not seen, forged entries are ignored."""
    await created(world)
    first = (await ask(world, "GET", "/history/usr_asha")).json()
    await world.rows("update payments set description = 'changed without a trace' returning id")
    assert (await ask(world, "GET", "/history/usr_asha")).json() == first
    [key] = await kept(world)
    await world.redis.set(key, b"[]")
    [item] = (await ask(world, "GET", "/history/usr_asha")).json()["data"]
    assert item["description"] == "changed without a trace"


async def test_histories_of_others_do_not_exist(world: World) -> None:
    await created(world)
    assert (await ask(world, "GET", "/history/usr_asha", "usr_ravi")).status_code == 404
    assert (await ask(world, "GET", "/history/usr_asha?status=SUCCESS")).json()["data"] == []


async def test_the_job_status_is_for_test_installations(world: World) -> None:
    closed = await world.http.get("/api/v1/test/jobs/status")
    assert (closed.status_code, closed.json()["error"]["code"]) == (404, "test_mode_off")
