"""What payment reads from its environment, beside what every service does."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import NoDecode

from gateways.registry import GatewaySettings
from payment.domain import TaxRule, Terms


class Settings(GatewaySettings):
    wallet_address: str = "127.0.0.1:18023"
    fraud_address: str = "127.0.0.1:18033"

    gateway_timeout_seconds: float = Field(10.0, gt=0, le=30)
    # How long a webhook's batch waits for the gateway's view before it climbs the ladder.
    gateway_ask_timeout_seconds: float = Field(5.0, gt=0, le=20)
    gateway_ask_concurrency: int = Field(32, ge=1, le=64)

    enabled_currencies: Annotated[frozenset[str], NoDecode] = frozenset({"INR"})
    amount_min_minor: int = Field(100, ge=1, validation_alias=AliasChoices("AMOUNT_MIN_MINOR", "PAYMENT_AMOUNT_MIN"))
    amount_max_minor: int = Field(
        50_000_000, ge=1, validation_alias=AliasChoices("AMOUNT_MAX_MINOR", "PAYMENT_AMOUNT_MAX")
    )
    # Cashfree takes 15 minutes to 30 days.
    order_expiry_minutes: int = Field(30, ge=16, le=43_200)
    # Cashfree insists on a number; this one stands in when neither request nor profile has any. Empty: it is asked for.
    customer_phone_fallback: str = "9999999999"

    gst_rate_basis_points: int = Field(1800, ge=0, le=10_000)
    gst_inclusive: bool = True
    seller_state: str = Field("29", pattern=r"^[0-9]{2}$")
    invoice_prefix: str = Field("CD", pattern=r"^[A-Z0-9-]{1,8}$")

    fraud_fail_open: bool = True
    # A success after FAILED, EXPIRED or CANCELLED: grant it, or hold it for a person.
    late_success_policy: Literal["fulfil", "review"] = "fulfil"

    sweep_seconds: float = Field(5.0, gt=0)
    sweep_after_seconds: int = Field(60, ge=1)
    sweep_longest_seconds: int = Field(1800, ge=1)

    @field_validator("enabled_currencies", mode="before")
    @classmethod
    def _currencies_by_comma(cls, value: object) -> object:
        return frozenset(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    def terms(self, gateway: str) -> Terms:
        return Terms(
            gateway,
            self.enabled_currencies,
            self.amount_min_minor,
            self.amount_max_minor,
            self.order_expiry_minutes * 60,
            self.sweep_after_seconds,
            TaxRule(self.gst_rate_basis_points, self.gst_inclusive, self.seller_state),
        )
