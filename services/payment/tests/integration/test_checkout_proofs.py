"""S004's flow with Razorpay, by its examples: create, pay at the checkout, verify with the signature that it made."""

from typing import Any

import httpx
import pytest

from .test_razorpay import RazorpayWorld, settings, world  # noqa: F401 - the same world

EDGE = {"x-replaced-path": "/v1/api/payments"}


async def ask(world: RazorpayWorld, method: str, path: str, user: str = "usr_asha", **request: Any) -> httpx.Response:  # noqa: F811
    return await world.http.request(method, f"/api/v1/payments{path}", headers=world.auth(user) | EDGE, **request)


async def created(world: RazorpayWorld) -> dict[str, Any]:  # noqa: F811
    example = {
        "amount": 50_000,
        "currency": "INR",
        "description": "Consultation",
        "providerId": "prov_1",
        "serviceType": "CONSULTATION",
    }
    response = await ask(world, "POST", "/create", json=example)
    assert response.status_code == 201, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def paid(world: RazorpayWorld, data: dict[str, Any]) -> dict[str, str]:  # noqa: F811
    """The body of verify, as the browser has it from the checkout."""
    [row] = await world.rows("select order_id from payments where gateway_order_id = :id", id=data["orderId"])
    proof = await world.proof_of(row.order_id)
    return {
        "razorpayOrderId": data["orderId"],
        "razorpayPaymentId": proof["razorpay_payment_id"],
        "razorpaySignature": proof["razorpay_signature"],
        "referenceId": data["referenceId"],
    }


async def test_the_whole_flow_by_the_examples(world: RazorpayWorld) -> None:  # noqa: F811
    data = await created(world)
    assert data["orderId"].startswith("order_")  # what Razorpay's checkout is opened with
    assert (data["amount"], data["currency"], data["status"]) == (50_000, "INR", "pending")
    body = await paid(world, data)
    answer = (await ask(world, "POST", "/verify", json=body)).json()
    assert (answer["success"], answer["message"]) == (True, "Payment verified & updated")
    assert answer["paymentMethod"] in ("card", "netbanking", "upi", "wallet")
    [item] = (await ask(world, "GET", "/history/usr_asha?count=10&skip=0")).json()["data"]
    assert (item["status"], item["razorpayOrderId"]) == ("success", data["orderId"])
    assert (item["paymentGateway"], item["razorpayPaymentId"]) == ("razorpay", body["razorpayPaymentId"])


@pytest.mark.parametrize("field", ["razorpayOrderId", "razorpayPaymentId", "razorpaySignature"])
async def test_a_proof_that_is_not_this_payments_moves_nothing(world: RazorpayWorld, field: str) -> None:  # noqa: F811
    data, other = await created(world), await created(world)
    body, others = await paid(world, data), await paid(world, other)
    for wrong in (others[field], "x", "é"):
        refused = await ask(world, "POST", "/verify", json=body | {field: wrong})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "checkout_signature_invalid")
    without = await ask(world, "POST", "/verify", json={key: value for key, value in body.items() if key != field})
    assert (without.status_code, without.json()["error"]["fields"]) == (400, {field: "is required"})
    assert (await ask(world, "GET", f"/status/{data['referenceId']}")).json()["data"]["status"] == "pending"
    # Whose proof it is does not open somebody else's payment.
    assert (await ask(world, "POST", "/verify", "usr_ravi", json=body)).status_code == 404


async def test_a_good_signature_is_a_claim(world: RazorpayWorld) -> None:  # noqa: F811
    """The gateway is asked before anything moves: while it does not answer, nothing does."""
    data = await created(world)
    body = await paid(world, data)
    await world.fault(action="error", operation="get_order", status=500, count=5)
    answer = (await ask(world, "POST", "/verify", json=body)).json()
    assert answer["message"] == "Payment is not completed yet"
    assert (await ask(world, "GET", f"/status/{data['referenceId']}")).json()["data"]["status"] == "pending"
