"""The registry: names, accounts from the environment, and what must not be shown."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from gateways import GatewayAccount, GatewayUnsupported
from gateways.registry import ADAPTERS, GatewaySettings, adapter, open_gateways

KEY = base64.b64encode(bytes(32)).decode()


def settings(**fields: Any) -> GatewaySettings:
    usual: dict[str, Any] = {
        "environment": "test",
        "database_url": "postgresql://x/y",
        "rabbitmq_url": "amqp://x",
        "service_private_key": KEY,
        "service_public_keys": {},
        "encryption_keys": base64.b64encode(bytes(range(32))).decode(),
        "blind_index_key": base64.b64encode(bytes(range(32))).decode(),
        "cashfree_secret_key": "cfsk_ma_test_key",
    }
    return GatewaySettings(**usual | fields)


def test_an_unknown_gateway_is_refused_by_name() -> None:
    assert adapter("cashfree").name == "cashfree"
    with pytest.raises(GatewayUnsupported):
        adapter("nobody")


def test_adapters_are_found_under_their_own_names() -> None:
    assert {name: row.name for name, row in ADAPTERS.items()} == {name: name for name in ADAPTERS}


def test_the_client_secret_verifies_webhooks_unless_another_is_named() -> None:
    [account] = settings().gateway_accounts
    assert (account.id, account.gateway, account.webhook_secrets) == ("gwa_cashfree", "cashfree", ("cfsk_ma_test_key",))
    [rotating] = settings(cashfree_webhook_secret="new, old,", cashfree_account_id="gwa_01j").gateway_accounts
    assert (rotating.id, rotating.webhook_secrets, rotating.key_secret) == (
        "gwa_01j",
        ("new", "old"),
        "cfsk_ma_test_key",
    )


def test_networks_are_read_from_one_line() -> None:
    [account] = settings(cashfree_webhook_ips="52.66.101.190, 10.0.0.0/8").gateway_accounts
    assert [str(network) for network in account.webhook_networks] == ["52.66.101.190/32", "10.0.0.0/8"]


def test_a_service_without_any_account_does_not_start() -> None:
    with pytest.raises(ValidationError, match=r"CASHFREE_SECRET_KEY.*RAZORPAY_KEY_SECRET"):
        settings(cashfree_secret_key="")


RAZORPAY = {"razorpay_key_id": "rzp_test_1DP5mmOlF5G5ag", "razorpay_key_secret": "thisisthekeysecret"}


def test_each_gateway_whose_secrets_are_set_has_an_account() -> None:
    cashfree, razorpay = settings(**RAZORPAY, razorpay_webhook_secret="new, old,").gateway_accounts
    assert (cashfree.id, razorpay.id, razorpay.gateway) == ("gwa_cashfree", "gwa_razorpay", "razorpay")
    assert (razorpay.key_id, razorpay.key_secret) == tuple(RAZORPAY.values())
    assert (razorpay.webhook_secrets, razorpay.base_url) == (("new", "old"), "https://api.razorpay.com")
    [alone] = settings(cashfree_secret_key="", **RAZORPAY, razorpay_webhook_ips="52.66.75.174").gateway_accounts
    # The key's secret signs no webhook.
    assert (alone.id, alone.webhook_secrets) == ("gwa_razorpay", ())
    assert [str(network) for network in alone.webhook_networks] == ["52.66.75.174/32"]
    [ingest] = settings(cashfree_secret_key="", razorpay_webhook_secret="whsec_1").gateway_accounts
    assert ingest.webhook_secrets == ("whsec_1",)


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"razorpay_key_id": "rzp_live_1"}, "RAZORPAY_KEY_ID"),
        ({"razorpay_key_id": "1DP5mmOlF5G5ag"}, "RAZORPAY_KEY_ID"),
        ({"razorpay_account_mode": "live"}, "RAZORPAY_KEY_ID"),
        (
            {
                "razorpay_account_mode": "live",
                "razorpay_key_id": "rzp_live_1",
                "razorpay_base_url": "http://127.0.0.1:18010/razorpay",
            },
            "RAZORPAY_BASE_URL",
        ),
        (
            {
                "razorpay_account_mode": "live",
                "razorpay_key_id": "rzp_live_1",
                "razorpay_base_url": "https://api.razorpay.com.evil.example",
            },
            "RAZORPAY_BASE_URL",
        ),
        ({"environment": "production", "razorpay_base_url": "https://simulator.example/razorpay"}, "RAZORPAY_BASE_URL"),
        ({"environment": "production", "razorpay_key_secret": "short"}, "RAZORPAY_KEY_SECRET"),
        ({"environment": "production", "razorpay_webhook_secret": "x,y"}, "RAZORPAY_WEBHOOK_SECRET"),
        (
            {"environment": "production", "razorpay_webhook_secret": RAZORPAY["razorpay_key_secret"]},
            "RAZORPAY_WEBHOOK_SECRET",
        ),
        ({"environment": "production", "razorpay_base_url": "http://api.razorpay.com"}, "RAZORPAY_BASE_URL"),
    ],
    ids=str,
)
def test_a_razorpay_account_has_a_key_and_a_host_of_its_mode(changes: dict[str, str], variable: str) -> None:
    with pytest.raises(ValidationError, match=variable):
        settings(**RAZORPAY | changes)
    settings(**RAZORPAY, razorpay_base_url="http://127.0.0.1:18010/razorpay")
    settings(**RAZORPAY | {"razorpay_account_mode": "live", "razorpay_key_id": "rzp_live_1"})


TEST_SECRET = "cfsk_ma_test_8f3a91c07be24d65_1b7e90d2"
LIVE_SECRET = TEST_SECRET.replace("test", "prod")


@pytest.mark.parametrize(
    ("mode", "url", "agree"),
    [
        ("live", "https://api.cashfree.com/pg", True),
        ("live", "https://sandbox.cashfree.com/pg", False),
        ("live", "https://api.cashfree.com.evil.example/pg", False),
        ("live", "https://api.cashfree.com@evil.example/pg", False),
        ("live", "http://127.0.0.1:18010/pg", False),
        ("live", "", True),
        ("test", "https://sandbox.cashfree.com/pg", True),
        ("test", "http://127.0.0.1:18010/pg", True),
        ("test", "https://api.cashfree.com/pg", False),
        ("test", "https://API.cashfree.com./pg", False),
        ("test", "https://x@api.cashfree.com:443/pg", False),
        ("test", "", True),
    ],
)
def test_an_account_speaks_only_to_hosts_of_its_mode(mode: str, url: str, agree: bool) -> None:
    secret = LIVE_SECRET if mode == "live" else TEST_SECRET
    fields = {"cashfree_account_mode": mode, "cashfree_base_url": url, "cashfree_secret_key": secret}
    if not agree:
        with pytest.raises(ValidationError, match="CASHFREE_BASE_URL"):
            settings(**fields)
        return
    [account] = settings(**fields).gateway_accounts
    assert account.base_url == url or (not url and ("sandbox" in account.base_url) == (mode == "test"))


@pytest.mark.parametrize(
    ("mode", "changes", "variable"),
    [
        ("live", {"cashfree_secret_key": TEST_SECRET}, "CASHFREE_SECRET_KEY"),
        ("test", {"cashfree_secret_key": LIVE_SECRET}, "CASHFREE_SECRET_KEY"),
        ("live", {"cashfree_webhook_secret": f"{LIVE_SECRET}, {TEST_SECRET}"}, "CASHFREE_WEBHOOK_SECRET"),
        ("test", {"cashfree_webhook_secret": f"{TEST_SECRET},{LIVE_SECRET}"}, "CASHFREE_WEBHOOK_SECRET"),
        ("live", {"cashfree_app_id": "TEST10012345"}, "CASHFREE_APP_ID"),
    ],
)
def test_an_account_has_credentials_of_its_mode(mode: str, changes: dict[str, str], variable: str) -> None:
    usual = {"cashfree_account_mode": mode, "cashfree_secret_key": LIVE_SECRET if mode == "live" else TEST_SECRET}
    with pytest.raises(ValidationError, match=variable):
        settings(**usual | changes)


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"cashfree_account_mode": None}, "CASHFREE_ACCOUNT_MODE"),
        ({"cashfree_base_url": "http://api.cashfree.com/pg"}, "CASHFREE_BASE_URL"),
        ({"cashfree_account_mode": "test", "cashfree_base_url": "https://simulator.example/pg"}, "CASHFREE_BASE_URL"),
        ({"cashfree_secret_key": "cfsk_ma_prod_short"}, "CASHFREE_SECRET_KEY"),
        ({"cashfree_webhook_secret": f"x,{LIVE_SECRET}"}, "CASHFREE_WEBHOOK_SECRET"),
        ({"cashfree_webhook_secret": ",,,,,,,,,,,,,,,,,,,,x1y"}, "CASHFREE_WEBHOOK_SECRET"),
        ({"cashfree_notify_url": "http://pay.example/hook"}, "CASHFREE_NOTIFY_URL"),
    ],
)
def test_production_refuses_an_account(changes: dict[str, Any], variable: str) -> None:
    good = {
        "environment": "production",
        "cashfree_account_mode": "live",
        "cashfree_base_url": "https://api.cashfree.com/pg",
        "cashfree_secret_key": LIVE_SECRET,
    }

    def complaints(fields: dict[str, Any]) -> set[str]:
        with pytest.raises(ValidationError) as refused:
            settings(**{name: value for name, value in fields.items() if value is not None})
        lines = [(".".join(map(str, each["loc"])), each["msg"]) for each in refused.value.errors()]
        return {name or text.partition(":")[0] for name, text in lines if "CASHFREE" in name + text}

    assert not complaints(good)
    assert variable in complaints(good | changes)


def test_an_account_shows_no_secret() -> None:
    account = GatewayAccount(id="gwa_1", gateway="cashfree", key_secret="hush", webhook_secrets=("hush",))
    assert "hush" not in repr(account) + str(account) + f"{account}"


async def test_each_account_is_a_gateway_of_its_own() -> None:
    accounts = [GatewayAccount(id=f"gwa_{number}", gateway="cashfree") for number in range(2)]
    async with open_gateways(accounts, lambda call: None) as gateways:
        assert {account_id: gateway.account for account_id, gateway in gateways.items()} == {
            account.id: account for account in accounts
        }
