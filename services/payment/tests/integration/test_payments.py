"""Who sees what: own payments only, one resolver for every id, history, public view, timeline, totals."""

from datetime import timedelta
from typing import Any

import grpc
import pytest

from commdesk.payment.v1 import payment_pb2
from commdesk.payment.v1.payment_pb2_grpc import PaymentServiceStub
from common import grpc_client, ids

from .world import World


async def test_one_resolver_for_every_id(world: World) -> None:
    data = await world.created(orderId="shop-7")
    for reference in (data["paymentId"], "shop-7", data["referenceId"]):
        seen = (await world.get(f"/status/{reference}")).json()["data"]
        assert seen["paymentId"] == data["paymentId"]
        assert seen["referenceId"].startswith("PAY_user_usr_asha_")
    assert (await world.get(f"/{data['paymentId']}")).json()["data"]["tax"] == {
        "net": 42_374,
        "cgst": 3_813,
        "sgst": 3_813,
        "igst": 0,
    }


def same_words(response: Any) -> dict[str, Any]:
    return {key: value for key, value in response.json()["error"].items() if key != "requestId"}


async def test_other_peoples_ids_do_not_exist(world: World) -> None:
    data = await world.created(orderId="shop-7")
    unknown = await world.get(f"/{ids.encode('pay', ids.new())}")
    for reference in (data["paymentId"], "shop-7", data["referenceId"]):
        for path in (f"/{reference}", f"/status/{reference}"):
            response = await world.get(path, "usr_ravi")
            assert response.status_code == 404
            assert same_words(response) == same_words(unknown)
        assert (await world.get(f"/{reference}", "usr_support", "SUPPORT")).status_code == 200
        assert (await world.get(f"/{reference}", "usr_support", "SUPPORT", merchant="mer_other")).status_code == 404


async def test_nonsense_is_not_found(world: World) -> None:
    for reference in ("x", "pay_", "pay_" + "U" * 26, "'; drop table payments;--", "a" * 300, "%00", "ordér"):
        assert (await world.get(f"/{reference}")).status_code == 404
        assert (await world.get(f"/status/{reference}")).status_code == 404
        assert (await world.get(f"/{reference}/public")).status_code == 404


async def test_the_public_view_holds_nothing_about_a_person(world: World) -> None:
    data = await world.created(description="for Asha", metadata={"name": "Asha"})
    response = await world.http.get(f"/api/v1/payments/{data['paymentId']}/public")
    assert response.json()["data"] == {
        "paymentId": data["paymentId"],
        "status": "PENDING",
        "simpleStatus": "pending",
        "amount": 50_000,
        "currency": "INR",
    }
    # An order id can be guessed, so it opens nothing here.
    assert (await world.http.get(f"/api/v1/payments/{data['orderId']}/public")).status_code == 404


async def test_history_pages_through_own_payments(world: World) -> None:
    made = [(await world.created(amount=1_000 + 10 * number))["paymentId"] for number in range(5)]
    await world.created(user="usr_ravi")
    newest_first = made[::-1]
    first = (await world.get("/history?limit=2")).json()["data"]
    assert [each["paymentId"] for each in first["items"]] == newest_first[:2]
    second = (await world.get(f"/history?limit=2&cursor={first['nextCursor']}")).json()["data"]
    third = (await world.get(f"/history?limit=2&cursor={second['nextCursor']}")).json()["data"]
    assert [each["paymentId"] for page in (second, third) for each in page["items"]] == newest_first[2:]
    assert third["nextCursor"] is None
    older = (await world.get("/history/usr_asha?count=2&skip=1")).json()["data"]
    assert [each["paymentId"] for each in older["items"]] == newest_first[1:3]


async def test_history_is_filtered_and_staff_see_others(world: World) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    world.clock.advance(3_600)
    await world.created(amount=1_000)

    async def count(query: str, user: str = "usr_asha", *roles: str) -> int:
        response = await world.get(f"/history{query}", user, *roles)
        assert response.status_code == 200, response.text
        return len(response.json()["data"]["items"])

    later = (world.clock.now() - timedelta(minutes=5)).isoformat().replace("+", "%2B")
    assert await count("") == 2
    assert await count("?status=SUCCESS") == await count("?status=success") == 1
    assert await count("?gateway=cashfree") == 2
    assert await count("?gateway=razorpay") == 0
    assert await count(f"?from={later}") == await count(f"?to={later}") == 1
    assert await count("?userId=usr_asha", "usr_finance", "FINANCE") == 2
    assert await count("/usr_asha", "usr_finance", "FINANCE") == 2
    assert (await world.get("/history?userId=usr_asha", "usr_ravi")).status_code == 404
    assert (await world.get("/history/usr_asha", "usr_ravi")).status_code == 404
    for wrong in ("limit=0", "limit=201", "skip=1", "status=PAID", "from=yesterday", "from=2026-01-01", "cursor=x",
                  "limit=x", "gateway=%00", "unknown=1", "status=SUCCESS&status=FAILED"):  # fmt: skip
        assert (await world.get(f"/history?{wrong}")).status_code == 400, wrong
    for wrong in ("count=0", "count=201", "skip=-1", "skip=10001", "userId=usr_asha"):
        assert (await world.get(f"/history/usr_asha?{wrong}")).status_code == 400, wrong


async def test_grpc_answers_with_those_that_exist(world: World) -> None:
    made = [(await world.created())["paymentId"] for _ in range(2)]
    stub = PaymentServiceStub(world.channel())  # type: ignore[no-untyped-call]
    request = payment_pb2.GetPaymentsRequest(payment_ids=[*made, ids.encode("pay", ids.new())])
    response = await stub.GetPayments(request, timeout=5)
    assert sorted(each.payment_id for each in response.payments) == sorted(made)
    assert "example.in" not in str(response)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetPayments(payment_pb2.GetPaymentsRequest(payment_ids=["x"] * 501), timeout=5)
    assert grpc_client.errors_from(refused.value).code == "limit_exceeded"


async def test_the_timeline_and_the_totals(world: World) -> None:
    data = await world.created()
    await world.created(amount=1_000)
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    await world.handle("invoice.generate", await world.announced("payment.success"))
    await world.write_gateway_calls()
    by_payment = await world.timeline(data["paymentId"])
    by_order = await world.timeline(data["orderId"])
    nothing = await world.timeline("pay_nobody")
    sums = await world.totals()
    kinds = [entry.kind for entry in by_payment.entries]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "transition": 3,
        "attempt": 1,
        "gateway_call": 2,
        "invoice": 1,
        "payment": 1,
    }
    assert len(by_order.entries) == len(by_payment.entries)
    assert data["orderId"] in by_payment.references
    assert data["paymentId"] in by_order.references
    [invoice] = [each for each in by_payment.references if each.startswith("inv_")]
    assert len((await world.timeline(invoice)).entries) == len(kinds)
    assert nothing.entries == ()
    assert "example.in" not in str(by_payment)
    assert sums["payments.success.count"] == sums["payments.paid.count"] == sums["invoices.count"] == 1
    assert sums["payments.success.credits"] == 5_500
    assert (
        sums["payments.success.minor"] == sums["payments.paid.minor"] == sums["transactions.captured.minor"] == 50_000
    )
    assert sums["payments.pending.count"] == 1


# ── Whose an order is ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["paymentId", "referenceId"])
async def test_an_order_id_that_reads_like_another_payments_id_is_refused(world: World, name: str) -> None:
    other = await world.created(user="u1")
    if len(other[name]) <= 45:
        response = await world.create(user="u2", orderId=other[name])
        assert (response.status_code, response.json()["error"]["code"]) == (400, "order_id_invalid")


async def test_an_order_id_from_before_that_reads_like_a_payments_id_hides_no_payment(world: World) -> None:
    """It was taken once: its owner finds the payment by it, and so does the owner of the other one."""
    theirs = await world.created(user="usr_ravi")
    mine = await world.created()
    async with world.db.begin() as tx:
        await tx.execute(
            "update payments set order_id = :theirs where order_id = :mine",
            theirs=theirs["paymentId"],
            mine=mine["orderId"],
        )
    for user, payment in (("usr_asha", mine), ("usr_ravi", theirs)):
        for path in (f"/status/{theirs['paymentId']}", f"/{theirs['paymentId']}"):
            response = await world.get(path, user)
            assert (response.status_code, response.json()["data"]["paymentId"]) == (200, payment["paymentId"])
        response = await world.verify(user, orderId=theirs["paymentId"])
        assert response.json()["data"]["payment"]["paymentId"] == payment["paymentId"]
    assert (await world.get(f"/status/{theirs['paymentId']}", "usr_meera")).status_code == 404
