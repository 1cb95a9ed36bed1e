"""The platform's own Cashfree account, as the environment names it."""

import ipaddress
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from common.settings import ServiceSettings
from gateways import GatewayAccount, Network
from gateways.cashfree.adapter import NAME


class CashfreeSettings(ServiceSettings):
    """The account exists where a secret is set. CASHFREE_WEBHOOK_SECRET may name two, comma-separated, while one
    replaces the other; without it the client secret, with which Cashfree signs by default, verifies."""

    # The id of this account here, gwa_…; payments and webhooks name it.
    cashfree_account_id: str = Field("gwa_cashfree", pattern=r"^gwa_[0-9A-Za-z]{1,60}$")
    # Where Cashfree's API is: sandbox, production or the local simulator.
    cashfree_base_url: str = "https://sandbox.cashfree.com/pg"
    # The client id of the account.
    cashfree_app_id: str = ""
    # The client secret of the account: without it no order is made, and it verifies webhooks by default.
    cashfree_secret_key: SecretStr = SecretStr("")
    # The version of Cashfree's API that requests ask for, a date.
    cashfree_api_version: str = "2025-01-01"
    # The URL to which Cashfree sends webhooks; empty leaves it to the account's dashboard.
    cashfree_notify_url: str = ""
    # What webhooks are signed with where it is not the client secret; two, comma-separated, while one replaces another.
    cashfree_webhook_secret: SecretStr = SecretStr("")
    # Addresses or networks, comma-separated; empty admits everybody with a good signature.
    cashfree_webhook_ips: Annotated[tuple[Network, ...], NoDecode] = ()

    @field_validator("cashfree_webhook_ips", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
        return value

    def cashfree_account(self) -> GatewayAccount | None:
        key_secret = self.cashfree_secret_key.get_secret_value()
        webhook_secret = self.cashfree_webhook_secret.get_secret_value() or key_secret
        if not webhook_secret:
            return None
        return GatewayAccount(
            id=self.cashfree_account_id,
            gateway=NAME,
            base_url=self.cashfree_base_url,
            key_id=self.cashfree_app_id,
            key_secret=key_secret,
            api_version=self.cashfree_api_version,
            notify_url=self.cashfree_notify_url,
            webhook_secrets=tuple(part.strip() for part in webhook_secret.split(",") if part.strip()),
            webhook_networks=self.cashfree_webhook_ips,
        )
