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
    with pytest.raises(ValidationError, match="CASHFREE_SECRET_KEY"):
        settings(cashfree_secret_key="")


def test_an_account_shows_no_secret() -> None:
    account = GatewayAccount(id="gwa_1", gateway="cashfree", key_secret="hush", webhook_secrets=("hush",))
    assert "hush" not in repr(account) + str(account) + f"{account}"


async def test_each_account_is_a_gateway_of_its_own() -> None:
    accounts = [GatewayAccount(id=f"gwa_{number}", gateway="cashfree") for number in range(2)]
    async with open_gateways(accounts, lambda call: None) as gateways:
        assert {account_id: gateway.account for account_id, gateway in gateways.items()} == {
            account.id: account for account in accounts
        }
