"""What notifier reads from the environment."""

import ipaddress
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from common import contacts
from common.destinations import Network
from common.errors import RequestInvalid
from common.setting_checks import HttpsUrl, rule
from common.settings import ServiceSettings
from notifier.domain.webhook_deliveries import SCHEDULE, TEST_SCHEDULE
from notifier.domain.webhook_endpoints import UrlRules


class Settings(ServiceSettings):
    required_in_production: ClassVar[frozenset[str]] = ServiceSettings.required_in_production | {
        *("smtp_host", "sender_email", "support_email", "account_page_url")
    }

    # The mail relay's host.
    smtp_host: str = "127.0.0.1"
    # The mail relay's port.
    smtp_port: int = Field(25, ge=1, le=65535)
    # The login at the relay; empty logs nobody in.
    smtp_username: str = ""
    # The password of that login.
    smtp_password: SecretStr = SecretStr("")
    # "auto" upgrades when the server offers it; "starttls" insists; "implicit" speaks TLS from the first byte.
    smtp_tls: Literal["auto", "starttls", "implicit", "none"] = "auto"
    # Certificate authorities to trust instead of the system's, for a relay of our own.
    smtp_ca_file: str = ""
    # How many connections to the relay are open at most.
    smtp_connections: int = Field(8, ge=1, le=64)
    # The address that mails come from.
    sender_email: str = "billing@commdesk.example"
    # The name that mails come from.
    sender_name: str = "CommDesk"
    # The address that mails name for questions.
    support_email: str = "support@commdesk.example"
    # Our page where users verify their address and set new passwords; links in mails about accounts begin with it.
    account_page_url: Annotated[str, HttpsUrl()] = "http://127.0.0.1:18000/account"
    # The operators who get alerts: addresses, comma-separated; empty mails nobody.
    admin_email: tuple[str, ...] = ()
    # After an alert was mailed, others of its cause are gathered into one mail for this long, in seconds.
    alert_digest_seconds: int = Field(300, ge=1)

    # How long it is kept to whom a mail went, in days; that it was sent stays.
    mail_recipients_keep_days: int = Field(180, ge=1)

    # Webhooks are tried after 0, 5, 10, 15 and 20 seconds, instead of 0 s, 1 min, 5 min, 30 min and 2 h; for tests.
    webhook_retry_intervals_test: bool = False
    # How long a merchant's server may take to answer a webhook, in seconds.
    webhook_timeout_seconds: float = Field(5, gt=0, le=15)
    # Networks of ours that merchants' webhooks may reach, comma-separated, for servers on a developer's machine.
    webhook_private_networks: tuple[Network, ...] = ()

    @field_validator("webhook_private_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
        return value

    @rule("environment", "webhook_private_networks", "webhook_retry_intervals_test")
    def _webhooks_stay_outside(self) -> Iterator[str]:
        if self.environment == "production" and self.webhook_private_networks:
            yield "WEBHOOK_PRIVATE_NETWORKS: in production webhooks reach public addresses only"
        if self.environment == "production" and self.webhook_retry_intervals_test:
            yield "WEBHOOK_RETRY_INTERVALS_TEST: not in production"

    @property
    def webhook_schedule(self) -> tuple[timedelta, ...]:
        return TEST_SCHEDULE if self.webhook_retry_intervals_test else SCHEDULE

    @property
    def webhook_url_rules(self) -> UrlRules:
        return UrlRules(allows_http=self.environment != "production")

    @field_validator("admin_email", mode="before")
    @classmethod
    def _several_admins(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @rule("environment", "sender_email", "support_email", "admin_email", "sender_name")
    def _addresses_are_addresses(self) -> Iterator[str]:
        try:
            for address in (self.sender_email, self.support_email, *self.admin_email):
                contacts.email_address(address, test_domains=self.environment != "production")
        except RequestInvalid:
            yield "SENDER_EMAIL, SUPPORT_EMAIL and ADMIN_EMAIL must be e-mail addresses"
        if not self.sender_name.isprintable():
            yield "SENDER_NAME must be one printable line"

    @rule("environment", "smtp_host", "smtp_tls", "smtp_username")
    def _mails_travel_encrypted(self) -> Iterator[str]:
        leaves = bool(self.smtp_username) or self.smtp_host not in ("localhost", "127.0.0.1", "::1")
        if self.environment == "production" and leaves and self.smtp_tls not in ("starttls", "implicit"):
            yield "in production a login, and a relay on another machine, need SMTP_TLS=starttls or implicit"
