"""The hosted page, as a browser without JavaScript sees it."""

from typing import Any


async def _page(shop: Any, path: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
    method = "GET" if form is None else "POST"
    async with shop.http.request(method, shop.base_url + path, data=form) as response:
        return response.status, str(response.url), await response.text()


async def test_a_customer_pays_by_upi_and_is_led_back(shop: Any) -> None:
    meta = {"notify_url": shop.receiver.url, "return_url": "https://shop.example/done?id={order_id}"}
    order = await shop.create(order_meta=meta, order_amount=170.5)
    path = f"/checkout/{order['payment_session_id']}"
    status, _, page = await _page(shop, path)
    assert status == 200
    assert "INR 170.50" in page
    form = {"method": "upi", "upi_id": "customer@gocash", "outcome": "success"}
    status, url, page = await _page(shop, path, form)
    assert status == 200
    assert "/payments/" in url
    assert 'http-equiv="refresh"' in page
    await shop.receiver.wait_for(1)
    _, _, page = await _page(shop, url.removeprefix(shop.base_url))
    assert "SUCCESS" in page
    assert "https://shop.example/done?id=order_1" in page
    assert "PAID" in (await _page(shop, path))[2]


async def test_a_card_can_fail_and_be_tried_again(shop: Any) -> None:
    order = await shop.create()
    path = f"/checkout/{order['payment_session_id']}"
    _, url, _ = await _page(shop, path, {"method": "card", "card_number": "4706131211212123", "outcome": "failure"})
    await shop.receiver.wait_for(1)
    _, _, page = await _page(shop, url.removeprefix(shop.base_url))
    assert "Try again" in page
    assert "customer@gocash" in (await _page(shop, path))[2]


async def test_a_mistake_is_shown_on_the_form(shop: Any) -> None:
    order = await shop.create()
    form = {"method": "upi", "upi_id": "<b>nobody", "outcome": "success"}
    status, _, page = await _page(shop, f"/checkout/{order['payment_session_id']}", form)
    assert status == 400
    assert "Invalid UPI ID entered" in page


async def test_a_stranger_sees_nothing(shop: Any) -> None:
    assert (await _page(shop, "/checkout/session_of_nobody"))[0] == 400
