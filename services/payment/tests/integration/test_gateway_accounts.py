"""Merchants' own gateway accounts: added, rotated, disabled; nothing of one merchant reaches another."""

import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio

from commdesk.payment.v1 import payment_pb2, routing_pb2
from commdesk.payment.v1.payment_pb2_grpc import PaymentServiceStub
from commdesk.payment.v1.routing_pb2_grpc import GatewayAccountServiceStub, RoutingServiceStub
from gateways.testing import simulator
from payment.domain.gateway_accounts import KEY_SECRET, WEBHOOK_SECRET
from payment.settings import Settings

from .world import SECRET, World

ACCOUNTS, RULES = "/api/v1/gateway-accounts", "/api/v1/routing/rules"
KEY = "TEST_shop"
RAZORPAY_KEY = "rzp_test_shop0000000000"
OWN_SECRET = "cfsk_ma_test_of_the_shop"


@pytest.fixture(scope="session")
def shop_url() -> Iterator[str]:
    """A gateway at which the merchants' own accounts are."""
    account = {
        "CASHFREE_APP_ID": KEY,
        "CASHFREE_SECRET_KEY": OWN_SECRET,
        "SANDBOX_RAZORPAY_KEY_ID": RAZORPAY_KEY,
        "SANDBOX_RAZORPAY_KEY_SECRET": OWN_SECRET,
        "SANDBOX_RAZORPAY_WEBHOOK_SECRET": "whsec_of_the_shop",
    }
    with simulator(account | {"SANDBOX_WEBHOOK_RETRY_MS": "200"}) as url:
        yield url


@pytest_asyncio.fixture
async def shop(shop_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    terms = settings.merchant_accounts
    own = type(terms)(
        is_production=False,
        public_url=terms.public_url,
        test_urls={"cashfree": f"{shop_url}/pg", "razorpay": f"{shop_url}/razorpay"},
    )
    monkeypatch.setattr(Settings, "merchant_accounts", own)
    async with httpx.AsyncClient(base_url=shop_url) as client:
        await client.post("/control/reset", json={})
        await client.post("/razorpay/control/reset", json={})
        yield client


async def add(world: World, merchant: str, **body: Any) -> httpx.Response:
    usual = {"gateway": "cashfree", "keyId": KEY, "keySecret": OWN_SECRET, "contactPhone": "9876543210"}
    return await world.http.post(ACCOUNTS, json=usual | body, headers=admin(world, merchant))


async def added(world: World, merchant: str, **body: Any) -> dict[str, Any]:
    response = await add(world, merchant, **body)
    assert response.status_code == 201, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


def admin(world: World, merchant: str) -> dict[str, str]:
    return world.auth("usr_admin", "ADMIN", merchant=merchant)


async def webhook_accounts(world: World) -> dict[str, list[str]]:
    stub = PaymentServiceStub(world.served.channel("webhook-ingest"))  # type: ignore[no-untyped-call]
    answer = await stub.ListGatewayAccounts(payment_pb2.ListGatewayAccountsRequest(), timeout=5)
    return {each.gateway_account_id: list(each.webhook_secrets) for each in answer.accounts}


async def account_of(world: World, merchant: str, order_id: str) -> str:
    [row] = await world.rows(
        "select gateway_account_id from payments where merchant_id = :merchant and order_id = :order_id",
        merchant=merchant,
        order_id=order_id,
    )
    return str(row.gateway_account_id)


async def test_secrets_are_sealed_and_never_shown(shop: httpx.AsyncClient, world: World) -> None:
    account = await added(world, "mer_a", webhookSecret="whsec_first_secret")
    assert account["mode"] == "test"
    assert account["webhookPath"] == f"/api/v1/webhooks/cashfree/{account['gatewayAccountId']}"
    listed = await world.http.get(ACCOUNTS, headers=admin(world, "mer_a"))
    assert listed.json()["data"]["items"] == [account]
    assert OWN_SECRET not in listed.text and "whsec_first_secret" not in listed.text
    [row] = await world.rows("select * from gateway_accounts")
    assert OWN_SECRET not in str(dict(row)) and "whsec_first_secret" not in str(dict(row))
    assert world.db.sealer.open(KEY_SECRET, row.key_secret) == OWN_SECRET
    assert world.db.sealer.open(WEBHOOK_SECRET, row.webhook_secret) == "whsec_first_secret"
    [line] = [each for each in await world.announced("audit.recorded") if each.action == "gateway_account.create"]
    assert (line.merchant_id, line.actor_id, line.resource_id) == ("mer_a", "usr_admin", account["gatewayAccountId"])
    assert "secret" not in line.after_json.lower()


async def test_a_secret_that_was_replaced_verifies_for_a_day(shop: httpx.AsyncClient, world: World) -> None:
    account_id = (await added(world, "mer_a", webhookSecret="whsec_first_secret"))["gatewayAccountId"]
    path = f"{ACCOUNTS}/{account_id}/webhook-secret"
    body = {"webhookSecret": "whsec_second_secret"}
    assert (await world.http.post(path, json=body, headers=admin(world, "mer_b"))).status_code == 404
    assert (await world.http.post(path, json=body, headers=admin(world, "mer_a"))).is_success
    assert await webhook_accounts(world) == {account_id: ["whsec_second_secret", "whsec_first_secret"]}
    world.clock.advance(86_400)
    assert await webhook_accounts(world) == {account_id: ["whsec_second_secret"]}


async def test_only_webhook_ingest_is_told_the_secrets(shop: httpx.AsyncClient, world: World) -> None:
    await added(world, "mer_a")
    stub = PaymentServiceStub(world.served.channel("operator"))  # type: ignore[no-untyped-call]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.ListGatewayAccounts(payment_pb2.ListGatewayAccountsRequest(), timeout=5)
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"gateway": "nobody"}, 400, "gateway_unsupported"),
        ({"keyId": "live_key", "keySecret": "cfsk_ma_prod_secret"}, 400, "gateway_credentials_invalid"),
        ({"amountMin": 5, "amountMax": 4}, 400, "gateway_credentials_invalid"),
        ({"methods": ["barter"]}, 400, "request_invalid"),
        ({"keySecret": "short"}, 400, "request_invalid"),
        ({"baseUrl": "http://169.254.169.254/"}, 400, "request_invalid"),
    ],
)
async def test_what_cannot_be_an_account_is_refused(
    shop: httpx.AsyncClient, world: World, body: dict[str, Any], status: int, code: str
) -> None:
    response = await add(world, "mer_a", **body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    assert await world.rows("select 1 from gateway_accounts") == []


async def test_the_same_key_is_one_account_and_a_merchant_has_so_many(shop: httpx.AsyncClient, world: World) -> None:
    await added(world, "mer_a")
    assert (await add(world, "mer_a")).json()["error"]["code"] == "gateway_account_exists"
    for number in range(15):
        await added(world, "mer_a", keyId=f"TEST_{number}")
    assert (await add(world, "mer_a", keyId="TEST_more")).json()["error"]["code"] == "gateway_accounts_limit"
    await added(world, "mer_b")


async def test_a_disabled_account_takes_no_new_payments_and_finishes_those_it_has(
    shop: httpx.AsyncClient, world: World
) -> None:
    account_id = (await added(world, "mer_a"))["gatewayAccountId"]
    await world.created(merchant="mer_a", orderId="own-1")
    assert await account_of(world, "mer_a", "own-1") == account_id
    path = f"{ACCOUNTS}/{account_id}/disable"
    assert (await world.http.post(path, headers=admin(world, "mer_b"))).status_code == 404
    disabled = await world.http.post(path, headers=admin(world, "mer_a"))
    assert disabled.json()["data"]["status"] == "DISABLED"
    # The platform's account is nobody's who has accounts of their own.
    refused = await world.create(merchant="mer_a", orderId="own-2")
    assert refused.json()["error"]["code"] == "no_gateway_account"
    assert (await shop.post("/control/orders/own-1/pay", json={"outcome": "success"})).is_success
    await world.verify(merchant="mer_a", orderId="own-1")
    [row] = await world.rows("select status from payments where order_id = 'own-1'")
    assert row.status == "SUCCESS"


async def test_two_merchants_on_one_account_and_two_on_their_own_do_not_cross(
    shop: httpx.AsyncClient, world: World
) -> None:
    """The same order ids and amounts, webhooks shuffled and repeated, each also handed to the other accounts."""
    own_c = (await added(world, "mer_c"))["gatewayAccountId"]
    razorpay = {"gateway": "razorpay", "keyId": RAZORPAY_KEY, "webhookSecret": "whsec_of_the_shop"}
    own_d = (await added(world, "mer_d", **razorpay))["gatewayAccountId"]
    merchants = ["mer_a", "mer_b", "mer_c", "mer_d"]
    orders = [f"same-{number}" for number in range(4)]
    made: dict[tuple[str, str], dict[str, Any]] = {}
    for merchant in merchants:
        for order_id in orders:
            response = await world.create(merchant=merchant, orderId=order_id)
            if response.status_code == 201:
                made[merchant, order_id] = response.json()["data"]
            else:
                # On a shared account an order id is taken once.
                assert (merchant, response.json()["error"]["code"]) == ("mer_b", "order_id_taken")
    assert {merchant for merchant, _ in made} == {"mer_a", "mer_c", "mer_d"}
    for number in range(4):
        made["mer_b", f"b-{number}"] = await world.created(merchant="mer_b", orderId=f"b-{number}")
    for order_id in ["same-0", "same-1", "b-0", "b-1"]:
        await world.pay(order_id)
    from_platform = list(world.hooks)
    # At its own gateway only the third one's order is paid.
    assert (await shop.post("/control/orders/same-2/pay", json={"outcome": "success"})).is_success
    paid_d = await shop.post("/razorpay/control/orders/same-3/pay", json={"outcome": "success"})
    assert paid_d.is_success, paid_d.text
    mixed = [(body, account) for body in from_platform for account in ("gwa_cashfree", own_c, own_d)]
    random.Random(7).shuffle(mixed)
    for body, account in [*mixed, *mixed]:
        await world.deliver(body, account=account)
    rows = await world.rows("select merchant_id, order_id, status, gateway_account_id from payments")
    paid = {(row.merchant_id, row.order_id) for row in rows if row.status == "SUCCESS"}
    assert paid == {("mer_a", "same-0"), ("mer_a", "same-1"), ("mer_b", "b-0"), ("mer_b", "b-1")}
    assert {row.gateway_account_id for row in rows if row.merchant_id == "mer_c"} == {own_c}
    assert {row.gateway_account_id for row in rows if row.merchant_id == "mer_d"} == {own_d}
    shared = {row.gateway_account_id for row in rows if row.merchant_id in ("mer_a", "mer_b")}
    assert shared == {"gwa_cashfree"}
    for number in range(4):
        for merchant in ("mer_c", "mer_d"):
            await world.verify(merchant=merchant, orderId=f"same-{number}")
    rows = await world.rows("select merchant_id, order_id from payments where status = 'SUCCESS'")
    own = {(row.merchant_id, row.order_id) for row in rows} - paid
    assert own == {("mer_c", "same-2"), ("mer_d", "same-3")}
    succeeded = {event.payment.payment_id for event in await world.announced("payment.success")}
    assert len(succeeded) == 6


async def test_rules_are_versions_with_a_record(shop: httpx.AsyncClient, world: World) -> None:
    own = (await added(world, "mer_a"))["gatewayAccountId"]
    second = (await added(world, "mer_a", keyId="TEST_other", priority=200))["gatewayAccountId"]
    headers = world.auth("usr_finn", "FINANCE")
    assert (await world.http.get(RULES, headers=headers)).json()["data"] == {"version": 0, "rules": []}
    rule = {"priority": 1, "merchantId": "mer_a", "amountMax": 100_000, "gatewayAccountId": second}
    body = {"version": 0, "rules": [rule], "reason": "small amounts go to the second"}
    answer = await world.http.put(RULES, json=body, headers=headers)
    assert answer.json()["data"]["version"] == 1, answer.text
    # The same again is the same; another one on the version before is refused.
    assert (await world.http.put(RULES, json=body, headers=headers)).json()["data"]["version"] == 1
    stale = await world.http.put(RULES, json=body | {"rules": []}, headers=headers)
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "routing_rules_changed")
    foreign = {"priority": 1, "merchantId": "mer_b", "gatewayAccountId": own}
    refused = await world.http.put(RULES, json={"version": 1, "rules": [foreign], "reason": "no" * 3}, headers=headers)
    assert refused.json()["error"]["code"] == "routing_rule_invalid"
    [line] = [each for each in await world.announced("audit.recorded") if each.action == "routing.change"]
    assert (line.actor_id, line.resource_id) == ("usr_finn", "1")
    stub = RoutingServiceStub(world.channel())  # type: ignore[no-untyped-call]
    request = routing_pb2.ExplainRouteRequest(merchant_id="mer_a", amount=50_000)
    [decision] = (await stub.ExplainRoute(request, timeout=5)).decisions
    assert (decision.gateway_account_id, decision.reason, decision.priority) == (second, "rule", 1)
    assert dict(decision.others) == {own: "not_chosen"}
    request = routing_pb2.ExplainRouteRequest(merchant_id="mer_a", amount=100_001)
    [decision] = (await stub.ExplainRoute(request, timeout=5)).decisions
    assert (decision.gateway_account_id, decision.reason, decision.priority) == (own, "default", -1)


async def test_operators_do_the_same(shop: httpx.AsyncClient, world: World) -> None:
    stub = GatewayAccountServiceStub(world.channel())  # type: ignore[no-untyped-call]
    request = routing_pb2.CreateAccountRequest(
        merchant_id="mer_a", gateway="cashfree", key_id=KEY, key_secret=SECRET, actor="operator:asha"
    )
    account = (await stub.CreateAccount(request, timeout=5)).account
    assert (account.merchant_id, account.status, account.mode) == ("mer_a", "ENABLED", "test")
    rotate = routing_pb2.RotateWebhookSecretRequest(
        gateway_account_id=account.gateway_account_id, webhook_secret="whsec_second_secret", actor="operator:asha"
    )
    await stub.RotateWebhookSecret(rotate, timeout=5)
    disable = routing_pb2.DisableAccountRequest(gateway_account_id=account.gateway_account_id, actor="operator:asha")
    assert (await stub.DisableAccount(disable, timeout=5)).account.status == "DISABLED"
    listed = (await stub.ListAccounts(routing_pb2.ListAccountsRequest(), timeout=5)).accounts
    assert [each.gateway_account_id for each in listed] == [account.gateway_account_id]
    lines = [each for each in await world.announced("audit.recorded") if each.action.startswith("gateway_account.")]
    assert [each.action.partition(".")[2] for each in lines] == ["create", "rotate_secret", "disable"]
    assert {each.actor_id for each in lines} == {"operator:asha"}
