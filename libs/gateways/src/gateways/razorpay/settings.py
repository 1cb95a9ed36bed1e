"""The platform's own Razorpay account, as the environment names it."""

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from common.setting_checks import HttpsUrl, Secret, host_of, rule
from common.settings import ServiceSettings
from gateways import GatewayAccount, Network
from gateways.razorpay.adapter import HOST, LIVE_KEY, NAME, TEST_KEY


class RazorpaySettings(ServiceSettings):
    """The account exists where a secret is set. RAZORPAY_WEBHOOK_SECRET, which is chosen beside the webhook's URL in
    Razorpay's dashboard, may name two, comma-separated, while one replaces the other."""

    # The id of this account here, gwa_…; payments and webhooks name it.
    razorpay_account_id: str = Field("gwa_razorpay", pattern=r"^gwa_[0-9A-Za-z]{1,60}$")
    # Whether the account moves real money (live) or not (test): the id of its key and the API's host must agree.
    razorpay_account_mode: Literal["live", "test"] = "test"
    # Where Razorpay's API is: api.razorpay.com or, outside production and for a test account, the local simulator.
    razorpay_base_url: Annotated[str, HttpsUrl()] = ""
    # The id of the account's key, rzp_test_… or rzp_live_…: public, checkouts are opened with it.
    razorpay_key_id: str = ""
    # The key's secret: without it no order is made, and it proves what the checkout says.
    razorpay_key_secret: Annotated[SecretStr, Secret()] = SecretStr("")
    # What Razorpay signs webhooks with; two, comma-separated, while one replaces another. It is not the key's secret.
    razorpay_webhook_secret: Annotated[SecretStr, Secret(separator=",")] = SecretStr("")
    # Addresses or networks, comma-separated; empty admits everybody with a good signature.
    razorpay_webhook_ips: tuple[Network, ...] = ()

    @field_validator("razorpay_webhook_ips", mode="before")
    @classmethod
    def _razorpay_networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
        return value

    @rule("environment", "razorpay_account_mode", "razorpay_base_url", "razorpay_key_id")
    def _razorpay_account_and_host_agree(self) -> Iterator[str]:
        """A live account on Razorpay's host only, and with live keys: test money buys no real credits."""
        is_live, host = self.razorpay_account_mode == "live", host_of(self.razorpay_base_url)
        must_be_razorpay = is_live or self.environment == "production"
        if self.razorpay_base_url and must_be_razorpay and host != HOST:
            yield f"RAZORPAY_BASE_URL: with RAZORPAY_ACCOUNT_MODE={self.razorpay_account_mode} it is {HOST} only"
        if self.razorpay_key_id and not self.razorpay_key_id.startswith(LIVE_KEY if is_live else TEST_KEY):
            yield f"RAZORPAY_KEY_ID is not of a {self.razorpay_account_mode} account (RAZORPAY_ACCOUNT_MODE)"

    def razorpay_account(self) -> GatewayAccount | None:
        key_secret = self.razorpay_key_secret.get_secret_value()
        webhook_secret = self.razorpay_webhook_secret.get_secret_value()
        if not key_secret and not webhook_secret:
            return None
        return GatewayAccount(
            id=self.razorpay_account_id,
            gateway=NAME,
            base_url=self.razorpay_base_url or f"https://{HOST}",
            key_id=self.razorpay_key_id,
            key_secret=key_secret,
            webhook_secrets=tuple(part.strip() for part in webhook_secret.split(",") if part.strip()),
            webhook_networks=self.razorpay_webhook_ips,
        )
