"""What the sandbox reads from its environment, once, at start."""

from collections.abc import Mapping
from random import Random
from typing import Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting by its environment name; the README explains each."""

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True, extra="ignore", env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", validation_alias="SANDBOX_HOST")
    port: int = Field(default=18010, validation_alias="SANDBOX_PORT")
    public_url: str = Field(default="", validation_alias="SANDBOX_PUBLIC_URL")

    app_id: str = Field(default="TESTsandbox", validation_alias="CASHFREE_APP_ID")
    secret_key: str = Field(default="cfsk_ma_test_sandbox", validation_alias="CASHFREE_SECRET_KEY")

    razorpay_key_id: str = Field(default="rzp_test_Sandbox0000001", validation_alias="SANDBOX_RAZORPAY_KEY_ID")
    razorpay_key_secret: str = Field(default="sandbox_key_secret", validation_alias="SANDBOX_RAZORPAY_KEY_SECRET")
    razorpay_webhook_secret: str = Field(
        default="sandbox_webhook_secret", validation_alias="SANDBOX_RAZORPAY_WEBHOOK_SECRET"
    )
    razorpay_webhook_url: str = Field(default="", validation_alias="SANDBOX_RAZORPAY_WEBHOOK_URL")
    razorpay_webhook_events: str = Field(default="", validation_alias="SANDBOX_RAZORPAY_WEBHOOK_EVENTS")
    razorpay_webhook_timeout_ms: int = Field(
        default=5_000, gt=0, validation_alias="SANDBOX_RAZORPAY_WEBHOOK_TIMEOUT_MS"
    )

    test_mode: bool = Field(default=False, validation_alias="TEST_MODE")
    test_delay_ms: int = Field(default=1000, ge=0, validation_alias="TEST_PROCESSING_DELAY")
    test_success: bool = Field(default=True, validation_alias="TEST_PAYMENT_SUCCESS")
    seed: int | None = Field(default=None, validation_alias="SANDBOX_SEED")
    delay_min_ms: int = Field(default=5_000, ge=0, validation_alias="SANDBOX_DELAY_MIN_MS")
    delay_max_ms: int = Field(default=10_000, ge=0, validation_alias="SANDBOX_DELAY_MAX_MS")
    refund_delay_min_ms: int = Field(default=3_000, ge=0, validation_alias="SANDBOX_REFUND_DELAY_MIN_MS")
    refund_delay_max_ms: int = Field(default=5_000, ge=0, validation_alias="SANDBOX_REFUND_DELAY_MAX_MS")
    upi_success_percent: int = Field(default=90, ge=0, le=100, validation_alias="SANDBOX_UPI_SUCCESS_PERCENT")
    card_success_percent: int = Field(default=95, ge=0, le=100, validation_alias="SANDBOX_CARD_SUCCESS_PERCENT")

    fee_basis_points: int = Field(default=190, ge=0, le=10_000, validation_alias="SANDBOX_FEE_BASIS_POINTS")
    fee_tax_basis_points: int = Field(default=1_800, ge=0, le=10_000, validation_alias="SANDBOX_FEE_TAX_BASIS_POINTS")

    webhook_url: str = Field(default="", validation_alias="SANDBOX_WEBHOOK_URL")
    webhook_secret: str = Field(default="", validation_alias="SANDBOX_WEBHOOK_SECRET")
    webhook_version: str = Field(default="2025-01-01", validation_alias="SANDBOX_WEBHOOK_VERSION")
    # Cashfree's own policy is 120000,600000,1800000; a local fleet that was down wants its webhooks sooner.
    webhook_retry_ms: str = Field(
        default="500,2000,5000,10000,20000,30000,60000", validation_alias="SANDBOX_WEBHOOK_RETRY_MS"
    )
    webhook_timeout_ms: int = Field(default=10_000, gt=0, validation_alias="SANDBOX_WEBHOOK_TIMEOUT_MS")
    webhook_connections: int = Field(default=64, gt=0, validation_alias="SANDBOX_WEBHOOK_CONNECTIONS")
    webhook_pending_max: int = Field(default=200_000, gt=0, validation_alias="SANDBOX_WEBHOOK_PENDING_MAX")
    webhook_log_max: int = Field(default=10_000, gt=0, validation_alias="SANDBOX_WEBHOOK_LOG_MAX")

    orders_max: int = Field(default=200_000, gt=0, validation_alias="SANDBOX_ORDERS_MAX")
    idempotency_max: int = Field(default=50_000, gt=0, validation_alias="SANDBOX_IDEMPOTENCY_MAX")
    quotas: bool = Field(default=False, validation_alias="SANDBOX_QUOTAS")

    @field_validator("webhook_retry_ms")
    @classmethod
    def _a_list_of_milliseconds(cls, text: str) -> str:
        if any(int(part) < 0 for part in text.split(",") if part.strip()):
            raise ValueError("SANDBOX_WEBHOOK_RETRY_MS takes milliseconds, such as 500,2000,5000")
        return text

    @property
    def retry_seconds(self) -> tuple[float, ...]:
        """The waits between attempts; empty means one attempt."""
        return tuple(int(part) / 1000 for part in self.webhook_retry_ms.split(",") if part.strip())

    @property
    def base_url(self) -> str:
        """Where a browser finds the hosted pages, without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    def random(self) -> Random:
        """The one source of randomness; the same seed draws the same outcomes."""
        return Random(self.seed)  # noqa: S311  (it decides outcomes, and guards nothing)


def read(environ: Mapping[str, str]) -> Settings:
    """The settings of this process; those that are files of SANDBOX_SECRETS_DIRECTORY besides."""
    # An argument that pydantic-settings gives every class, and that type checkers do not see.
    arguments: dict[str, Any] = {"_secrets_dir": environ.get("SANDBOX_SECRETS_DIRECTORY")}
    return Settings(**arguments)
