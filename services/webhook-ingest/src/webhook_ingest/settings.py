"""What webhook-ingest reads from the environment."""

import ipaddress
from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from common.settings import ServiceSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Settings(ServiceSettings):
    """CASHFREE_WEBHOOK_SECRET may name two secrets, comma-separated, while one replaces the other."""

    cashfree_webhook_secret: SecretStr | None = None
    # Cashfree signs with the account's (oldest active) client secret unless it is told otherwise.
    cashfree_secret_key: SecretStr | None = None
    cashfree_webhook_ips: Annotated[tuple[Network, ...], NoDecode] = ()
    webhook_window_seconds: int = Field(86_400, ge=60, le=7 * 86_400)
    # How many proxies of ours stand in front: Traefik.
    trusted_proxy_hops: int = Field(1, ge=0, le=8)
    # Two batches, one being written and one that gathers: more would only wait longer, and who would wait for a quarter
    # of a second is better told to come back.
    in_flight_max: int = Field(96, ge=1)
    # The account whose webhooks come in here.
    webhook_merchant_id: str = "mer_commdesk"

    @field_validator("cashfree_webhook_ips", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _has_a_secret(self) -> Self:
        if not self.cashfree_secrets:
            raise ValueError("CASHFREE_WEBHOOK_SECRET or CASHFREE_SECRET_KEY is needed")
        return self

    @property
    def cashfree_secrets(self) -> tuple[str, ...]:
        secret = self.cashfree_webhook_secret or self.cashfree_secret_key
        parts = secret.get_secret_value().split(",") if secret is not None else []
        return tuple(part.strip() for part in parts if part.strip())

    @property
    def webhook_window(self) -> timedelta:
        return timedelta(seconds=self.webhook_window_seconds)
