"""The platform's own Cashfree account, as the environment names it."""

import ipaddress
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from common import contacts
from common.errors import RequestInvalid
from common.setting_checks import HttpsUrl, Secret, host_of, rule
from common.settings import ServiceSettings
from gateways import GatewayAccount, Network
from gateways.cashfree.adapter import API_VERSION, LIVE_HOST, LIVE_SECRET, NAME, TEST_APP_ID, TEST_HOST, TEST_SECRET

ISSUED = r"cfsk_ma_(?:test|prod)_"


class CashfreeSettings(ServiceSettings):
    """The account exists where a secret is set. CASHFREE_WEBHOOK_SECRET may name two, comma-separated, while one
    replaces the other; without it the client secret, with which Cashfree signs by default, verifies."""

    required_in_production: ClassVar[frozenset[str]] = ServiceSettings.required_in_production | {
        "cashfree_account_mode"
    }

    # The id of this account here, gwa_…; payments and webhooks name it.
    cashfree_account_id: str = Field("gwa_cashfree", pattern=r"^gwa_[0-9A-Za-z]{1,60}$")
    # Whether the account moves real money (live) or not (test): its id, its secrets and the API's host must agree.
    cashfree_account_mode: Literal["live", "test"] = "test"
    # Where Cashfree's API is: api.cashfree.com for a live account, sandbox.cashfree.com or, outside production, the
    # local simulator for a test account. Outside production it may be left to the account's mode.
    cashfree_base_url: Annotated[str, HttpsUrl()] = ""
    # The client id of the account.
    cashfree_app_id: str = ""
    # The client secret of the account: without it no order is made, and it verifies webhooks by default.
    cashfree_secret_key: Annotated[SecretStr, Secret(prefix=ISSUED)] = SecretStr("")
    # The version of Cashfree's API that requests ask for, a date.
    cashfree_api_version: str = API_VERSION
    # The URL to which Cashfree sends webhooks; empty leaves it to the account's dashboard.
    cashfree_notify_url: Annotated[str, HttpsUrl()] = ""
    # The merchant's own contact number: Cashfree takes no order without an Indian number, and this one is sent for
    # customers who have none. Empty asks those customers for one.
    cashfree_contact_phone: str = ""
    # What webhooks are signed with where it is not the client secret; two, comma-separated, while one replaces another.
    cashfree_webhook_secret: Annotated[
        SecretStr, Secret(separator=",", prefix=ISSUED, same_as="cashfree_secret_key")
    ] = SecretStr("")
    # Addresses or networks, comma-separated; empty admits everybody with a good signature.
    cashfree_webhook_ips: tuple[Network, ...] = ()

    @field_validator("cashfree_contact_phone")
    @classmethod
    def _contact_phone(cls, value: str) -> str:
        try:
            return contacts.phone_number(value) if value else ""
        except RequestInvalid:
            raise ValueError("CASHFREE_CONTACT_PHONE is not a phone number") from None

    @field_validator("cashfree_webhook_ips", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
        return value

    @rule(
        *("environment", "cashfree_account_mode", "cashfree_base_url", "cashfree_app_id"),
        *("cashfree_secret_key", "cashfree_webhook_secret"),
    )
    def _account_and_host_agree(self) -> Iterator[str]:
        """A live account on live hosts only, a test account on test hosts only: test money buys no real credits."""
        is_live, host = self.cashfree_account_mode == "live", host_of(self.cashfree_base_url)
        is_host_wrong = host != LIVE_HOST if is_live else host == LIVE_HOST
        if self.environment == "production" and not is_live:
            is_host_wrong = host != TEST_HOST
        if self.cashfree_base_url and is_host_wrong:
            only = LIVE_HOST if is_live else TEST_HOST
            yield f"CASHFREE_BASE_URL: with CASHFREE_ACCOUNT_MODE={self.cashfree_account_mode} it is {only} only"
        if is_live and self.cashfree_app_id.startswith(TEST_APP_ID):
            yield "CASHFREE_ACCOUNT_MODE=live, but CASHFREE_APP_ID is of a test account"
        for name in ("cashfree_secret_key", "cashfree_webhook_secret"):
            secrets = getattr(self, name).get_secret_value().split(",")
            if any(secret.strip().startswith(TEST_SECRET if is_live else LIVE_SECRET) for secret in secrets):
                yield f"{name.upper()} is not of a {self.cashfree_account_mode} account (CASHFREE_ACCOUNT_MODE)"

    def cashfree_account(self) -> GatewayAccount | None:
        key_secret = self.cashfree_secret_key.get_secret_value()
        webhook_secret = self.cashfree_webhook_secret.get_secret_value() or key_secret
        if not webhook_secret:
            return None
        is_live = self.cashfree_account_mode == "live"
        return GatewayAccount(
            id=self.cashfree_account_id,
            gateway=NAME,
            base_url=self.cashfree_base_url or f"https://{LIVE_HOST if is_live else TEST_HOST}/pg",
            key_id=self.cashfree_app_id,
            key_secret=key_secret,
            api_version=self.cashfree_api_version,
            contact_phone=self.cashfree_contact_phone,
            notify_url=self.cashfree_notify_url,
            webhook_secrets=tuple(part.strip() for part in webhook_secret.split(",") if part.strip()),
            webhook_networks=self.cashfree_webhook_ips,
        )
