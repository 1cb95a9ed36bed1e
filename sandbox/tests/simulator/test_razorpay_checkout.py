"""Razorpay's hosted page, as a browser without JavaScript sees it."""

import re
from typing import Any

from sandbox.razorpay.webhooks import sign

_BACK = "https://shop.example/done?a=1"


async def _page(razorpay: Any, path: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
    method = "GET" if form is None else "POST"
    async with razorpay.http.request(method, razorpay.base_url + path, data=form) as response:
        return response.status, str(response.url).removeprefix(razorpay.base_url), await response.text()


async def _paying(razorpay: Any, form: dict[str, str]) -> tuple[dict[str, Any], str]:
    """The order, and the page of the payment that the form made, once it is decided."""
    order = await razorpay.create()
    shops = {"key_id": razorpay.key[0], "order_id": order["id"], "callback_url": _BACK, "cancel_url": _BACK}
    status, path, page = await _page(razorpay, "/razorpay/v1/checkout/embedded", shops)
    assert (status, "INR 170.00" in page) == (200, True)
    _, path, page = await _page(razorpay, path, form)
    while "Waiting for the bank" in page:
        _, path, page = await _page(razorpay, path)
    return order, page


def _hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))


async def test_a_customer_pays_and_carries_the_proof_back(razorpay: Any) -> None:
    order, page = await _paying(razorpay, {"method": "upi", "upi_id": "customer@razorpay", "outcome": "success"})
    assert 'action="https://shop.example/done?a=1"' in page
    fields = _hidden(page)
    assert fields["razorpay_order_id"] == order["id"]
    message = f"{order['id']}|{fields['razorpay_payment_id']}".encode()
    assert fields["razorpay_signature"] == sign(razorpay.key[1], message)
    assert "paid" in (await _page(razorpay, f"/razorpay/checkout/{order['id']}"))[2]


async def test_a_failure_is_carried_back_too_and_can_be_tried_again(razorpay: Any) -> None:
    order, page = await _paying(razorpay, {"method": "card", "card_number": "4100280000001007", "outcome": "failure"})
    assert _hidden(page)["error[reason]"] == "payment_failed"
    assert "Try again" in page
    assert "customer@razorpay" in (await _page(razorpay, f"/razorpay/checkout/{order['id']}"))[2]


async def test_a_mistake_is_shown_on_the_form(razorpay: Any) -> None:
    order = await razorpay.create()
    form = {"method": "upi", "upi_id": "<b>nobody", "outcome": "success"}
    status, _, page = await _page(razorpay, f"/razorpay/checkout/{order['id']}", form)
    assert (status, "Invalid VPA" in page) == (400, True)


async def test_a_stranger_sees_nothing(razorpay: Any) -> None:
    order = await razorpay.create()
    assert (await _page(razorpay, "/razorpay/checkout/order_00000000000000"))[0] == 400
    form = {"key_id": "rzp_test_nobody", "order_id": order["id"]}
    assert (await _page(razorpay, "/razorpay/v1/checkout/embedded", form))[0] == 401
    evil = f"/razorpay/checkout/{order['id']}?cancel_url=javascript:alert(1)"
    assert "javascript" not in (await _page(razorpay, evil))[2]
