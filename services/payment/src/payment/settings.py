"""What payment reads from its environment, beside what every service and its gateways do."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import NoDecode

from gateways.registry import GatewaySettings
from payment.domain.check_schedule import CheckSchedule
from payment.domain.pricing import TaxRule
from payment.domain.purchases import PaymentLimits
from payment.use_cases.decisions import LateSuccessPolicy


class Settings(GatewaySettings):
    wallet_address: str = "127.0.0.1:18023"
    fraud_address: str = "127.0.0.1:18033"

    gateway_timeout_seconds: float = Field(10.0, gt=0, le=30)
    # How long a webhook's batch waits for the gateway's answer before the webhook is retried later.
    gateway_ask_timeout_seconds: float = Field(5.0, gt=0, le=20)
    gateway_ask_concurrency: int = Field(32, ge=1, le=64)

    enabled_currencies: Annotated[frozenset[str], NoDecode] = frozenset({"INR"})
    amount_min_minor: int = Field(100, ge=1, validation_alias=AliasChoices("AMOUNT_MIN_MINOR", "PAYMENT_AMOUNT_MIN"))
    amount_max_minor: int = Field(
        50_000_000, ge=1, validation_alias=AliasChoices("AMOUNT_MAX_MINOR", "PAYMENT_AMOUNT_MAX")
    )
    # Cashfree takes 15 minutes to 30 days.
    order_expiry_minutes: int = Field(30, ge=16, le=43_200)

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

    @property
    def limits(self) -> PaymentLimits:
        return PaymentLimits(
            currencies=self.enabled_currencies,
            amount_min_minor=self.amount_min_minor,
            amount_max_minor=self.amount_max_minor,
            order_life_seconds=self.order_expiry_minutes * 60,
            first_check_seconds=self.sweep_after_seconds,
            tax=TaxRule(self.gst_rate_basis_points, self.gst_inclusive, self.seller_state),
        )

    @property
    def check_schedule(self) -> CheckSchedule:
        return CheckSchedule(self.sweep_after_seconds, self.sweep_longest_seconds)

    @property
    def policy(self) -> LateSuccessPolicy:
        return LateSuccessPolicy(self.late_success_policy, self.public_url)
