"""What is taken about customers, and who is mailed before anything is paid."""

import pytest

from .world import World


async def fail(world: World, **body: str) -> list[str]:
    """Whom the mail about a payment goes to whose order the gateway refuses."""
    await world.fault(action="error", operation="create_order", status=400, count=1)
    assert (await world.create(**body)).status_code == 409
    return [world.recipient(mail)[0] for mail in await world.announced("email.payment.failed")]


async def test_a_failure_is_mailed_to_the_accounts_own_address_with_a_link_to_our_page(world: World) -> None:
    assert await fail(world, returnUrl="https://evil.example/phish") == ["usr_asha@example.in"]
    [mail] = await world.announced("email.payment.failed")
    assert mail.retry_url == "http://127.0.0.1:18000"


async def test_a_stranger_is_not_mailed_about_a_payment_that_failed(world: World) -> None:
    assert await fail(world, customerEmail="stranger@example.in") == []
    assert await fail(world, customerEmail="USR_ASHA@EXAMPLE.IN") == []


async def test_an_address_that_is_not_verified_is_not_mailed_about_a_payment_that_failed(world: World) -> None:
    """Anybody signs up with a stranger's address: the token says it, and that it is not verified."""
    await world.fault(action="error", operation="create_order", status=400, count=1)
    headers = world.auth(email="stranger@example.in", email_verified=False)
    response = await world.http.post("/api/v1/payments", json={"packId": "pack_500"}, headers=headers)
    assert response.status_code == 409
    assert await world.announced("email.payment.failed") == []


async def test_the_customer_of_a_paid_order_is_mailed(world: World) -> None:
    data = await world.created(customerEmail="ravi@example.in", customerName="علی\u200cرضا")
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    await world.handle("invoice.generate", await world.announced("payment.success"))
    [mail] = await world.announced("email.payment.success")
    assert world.recipient(mail) == ("ravi@example.in", "علی\u200cرضا")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"customerName": "URGENT: your account is blocked, verify at http://evil.example/login"}, "customerName"),
        ({"customerName": "Asha\u202egnp"}, "customerName"),
        ({"description": "\u202egnp.exe"}, "description"),
        ({"returnUrl": "https://user:pw@evil.example/"}, "returnUrl"),
        ({"returnUrl": "https://10.0.0.1/"}, "returnUrl"),
        ({"customerEmail": "asha.rao.@example.com"}, "customerEmail"),
        ({"customerEmail": "a\u202e@b.com"}, "customerEmail"),
        ({"customerPhone": "+1 415 555 2671"}, "customerPhone"),
        ({"customerPhone": "+971 50 123 4567"}, "customerPhone"),
        *(({"placeOfSupply": code}, "placeOfSupply") for code in ("00", "25", "28", "39", "50", "96", "98", "99")),
    ],
)
async def test_what_is_wrong_is_named(world: World, body: dict[str, str], field: str) -> None:
    response = await world.create(**body)
    assert response.status_code == 400, response.text
    assert list(response.json()["error"]["fields"]) == [field]


@pytest.mark.parametrize("phone", ["+14155552671", "+971501234567"])
async def test_an_account_abroad_is_asked_for_a_number_that_the_gateway_takes(world: World, phone: str) -> None:
    response = await world.http.post("/api/v1/payments", json={"amount": 1000}, headers=world.auth(phone=phone))
    assert response.status_code == 400
    assert "+91" in response.json()["error"]["fields"]["customerPhone"]


@pytest.mark.parametrize("code", ["29", "27", "97", "38"])
async def test_a_state_in_use_is_taken(world: World, code: str) -> None:
    await world.created(placeOfSupply=code)
    [row] = await world.rows("select igst_minor = 0 as is_local, cgst_minor = sgst_minor as is_halved from payments")
    assert tuple(row) == (code == "29", True)
