"""Razorpay's orders: what is refused and how, receipts, lists, and whose they are."""

from typing import Any

import pytest

REFUSALS: dict[str, tuple[dict[str, Any], str, str]] = {
    "too little": ({"amount": 99}, "amount_less_than_minimum_amount", "Order amount less than minimum amount allowed"),
    "a fraction": ({"amount": 100.5}, "input_validation_failed", "The amount must be an integer."),
    "no amount": ({"amount": None}, "input_validation_failed", "amount: is required."),
    "no currency": ({"currency": None}, "input_validation_failed", "currency: is required."),
    "a number as currency": ({"currency": 1}, "input_validation_failed", "currency: expected string but provided 1"),
    "another currency": ({"currency": "XXX"}, "input_validation_failed", "Currency is not supported"),
    "an unknown field": ({"colour": 1}, "extra_field_sent", "colour is/are not required and should not be sent"),
    "a long receipt": (
        {"receipt": "r" * 41},
        "input_validation_failed",
        "The receipt may not be greater than 40 characters.",
    ),
    "a part": (
        {"partial_payment": True},
        "input_validation_failed",
        "Partial payment is not enabled for the merchant.",
    ),
    "many notes": (
        {"notes": {str(number): "" for number in range(16)}},
        "input_validation_failed",
        "The notes may not have more than 15 pairs.",
    ),
    "capture as a word of its own": (
        {"payment": {"capture": "later"}},
        "input_validation_failed",
        "The selected payment.capture is invalid.",
    ),
    "a short expiry": (
        {
            "payment": {
                "capture": "automatic",
                "capture_options": {"automatic_expiry_period": 11, "refund_speed": "normal"},
            }
        },
        "input_validation_failed",
        "The automatic_expiry_period must be between 12 and 7200 minutes.",
    ),
}


@pytest.mark.parametrize(("changes", "reason", "description"), REFUSALS.values(), ids=REFUSALS)
async def test_an_order_is_refused(razorpay: Any, changes: dict[str, Any], reason: str, description: str) -> None:
    fields = {"amount": 17_000, "currency": "INR"} | changes
    request = {name: value for name, value in fields.items() if value is not None}
    status, body = await razorpay.ask("POST", "/orders", request)
    assert (status, body["error"]["code"], body["error"]["reason"]) == (400, "BAD_REQUEST_ERROR", reason)
    assert (body["error"]["description"], body["error"]["source"]) == (description, "business")


async def test_an_order_has_the_documented_shape(razorpay: Any) -> None:
    order = await razorpay.create(notes={"pack": "starter"})
    assert order == {
        "id": order["id"],
        "entity": "order",
        "amount": 17_000,
        "amount_paid": 0,
        "amount_due": 17_000,
        "currency": "INR",
        "receipt": "receipt_1",
        "offer_id": None,
        "status": "created",
        "attempts": 0,
        "notes": {"pack": "starter"},
        "created_at": order["created_at"],
    }
    assert len(order["id"]) == len("order_") + 14
    assert (await razorpay.create(notes=None))["notes"] == []


@pytest.mark.parametrize(
    ("path", "status", "description"),
    [
        ("/orders/order_00000000000000", 400, "The id provided does not exist"),
        ("/orders/order_1", 400, "order_1 is not a valid id"),
        ("/payments/pay_00000000000000", 400, "The id provided does not exist"),
        ("/refunds/rfnd_00000000000000", 400, "The id provided does not exist"),
        ("/disputes/nonsense", 400, "nonsense is not a valid id"),
        ("/settlements/setl_00000000000000", 400, "The id provided does not exist"),
        ("/nowhere", 400, "The requested URL was not found on the server."),
        ("/orders?count=101", 400, "count must be between 1 and 100."),
    ],
)
async def test_what_does_not_exist_is_a_bad_request(razorpay: Any, path: str, status: int, description: str) -> None:
    got, body = await razorpay.ask("GET", path)
    assert (got, body["error"]["description"]) == (status, description)


@pytest.mark.parametrize(
    ("headers", "description"),
    [
        ({}, "Please provide your api key for authentication purposes"),
        ({"authorization": "basic cnpwOnJ6cA=="}, "Please provide your api key for authentication purposes"),
        ({"authorization": "Basic cnpwOnJ6cA=="}, "Authentication failed"),
        ({"authorization": "Basic =?"}, "Authentication failed"),
    ],
)
async def test_a_stranger_is_refused(razorpay: Any, headers: dict[str, str], description: str) -> None:
    status, body = await razorpay.call("GET", "/razorpay/v1/orders", headers=headers)
    assert (status, body) == (401, {"error": {"code": "BAD_REQUEST_ERROR", "description": description}})


async def test_a_unique_receipt_finds_the_order_that_it_made(razorpay: Any) -> None:
    plain = await razorpay.create()
    assert (await razorpay.create())["id"] != plain["id"]
    first = await razorpay.create(receipt="unique_1", unique_receipt=True)
    assert (await razorpay.create(receipt="unique_1", unique_receipt=True)) == first
    request = {"amount": 18_000, "currency": "INR", "receipt": "unique_1", "unique_receipt": True}
    status, body = await razorpay.ask("POST", "/orders", request)
    assert (status, body["error"]["description"]) == (400, "Order receipt should be unique.")


async def test_an_account_may_refuse_a_repeated_receipt(razorpay: Any) -> None:
    key_id, key_secret = razorpay.key
    account = {"key_id": key_id, "key_secret": key_secret, "requires_unique_receipts": True}
    await razorpay.control("/accounts", account)
    await razorpay.create()
    status, body = await razorpay.ask("POST", "/orders", {"amount": 17_000, "currency": "INR", "receipt": "receipt_1"})
    assert (status, body["error"]["description"]) == (400, "Order receipt should be unique.")


async def test_lists_are_newest_first_and_by_page(razorpay: Any) -> None:
    ids = [(await razorpay.create(receipt=f"receipt_{number}"))["id"] for number in range(12)]
    newest_first = ids[::-1]
    page = await razorpay.fetch("/orders")
    assert (page["entity"], page["count"]) == ("collection", 10)
    assert [it["id"] for it in page["items"]] == newest_first[:10]
    assert [it["id"] for it in (await razorpay.fetch("/orders?count=5&skip=9"))["items"]] == newest_first[9:]
    assert [it["id"] for it in (await razorpay.fetch("/orders?receipt=receipt_3"))["items"]] == [ids[3]]
    assert (await razorpay.fetch("/orders?to=1000000000"))["items"] == []
    await razorpay.pay("receipt_3", wait=True)
    assert [it["id"] for it in (await razorpay.fetch("/orders?authorized=1"))["items"]] == [ids[3]]
    [expanded] = (await razorpay.fetch("/orders?receipt=receipt_3&expand%5B%5D=payments"))["items"]
    assert expanded["payments"]["count"] == 1


async def test_an_account_sees_nothing_of_another_one(razorpay: Any) -> None:
    order = await razorpay.create()
    payment_id = (await razorpay.pay(wait=True))["payment_id"]
    status, refund = await razorpay.ask("POST", f"/payments/{payment_id}/refund", {"amount": 100})
    assert status == 200
    dispute = await razorpay.control("/orders/receipt_1/disputes")
    await razorpay.control("/settlements", {"order_ids": ["receipt_1"]})
    razorpay.key = ("rzp_test_Other000000001", "other")
    await razorpay.control("/accounts", {"key_id": razorpay.key[0], "key_secret": razorpay.key[1]})
    for kind in ("orders", "payments", "refunds", "disputes", "settlements"):
        assert (await razorpay.fetch(f"/{kind}"))["items"] == []
    for path in (
        f"/orders/{order['id']}",
        f"/orders/{order['id']}/payments",
        f"/payments/{payment_id}",
        f"/refunds/{refund['id']}",
        f"/disputes/{dispute['dispute_id']}",
    ):
        assert (await razorpay.ask("GET", path))[0] == 400
    assert (await razorpay.ask("POST", f"/payments/{payment_id}/refund", {}))[0] == 400


async def test_the_oldest_finished_order_is_forgotten_first(razorpay: Any, sandbox_running: Any) -> None:
    async with sandbox_running(orders_max=2) as shop:
        razorpay = razorpay.of(shop)
        open_order = await razorpay.create(receipt="open")
        paid = await razorpay.create(receipt="paid")
        await razorpay.pay("paid", wait=True)
        await razorpay.create(receipt="new")
        assert (await razorpay.ask("GET", f"/orders/{paid['id']}"))[0] == 400
        assert (await razorpay.fetch(f"/orders/{open_order['id']}"))["receipt"] == "open"
