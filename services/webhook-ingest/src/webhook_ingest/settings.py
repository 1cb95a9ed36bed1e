"""What webhook-ingest reads from the environment."""

from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from gateways.registry import GatewaySettings


class Settings(GatewaySettings):
    required_in_production: ClassVar[frozenset[str]] = GatewaySettings.required_in_production | {"payment_address"}

    # host:port of payment's gRPC endpoint, or several, comma-separated IP addresses: it tells of merchants' accounts.
    payment_address: str = "127.0.0.1:18021"
    # How old a webhook may be by its own time, in seconds; an older one is refused.
    webhook_window_seconds: int = Field(86_400, ge=60, le=7 * 86_400)
    # How long the raw bodies and headers of webhooks are kept, in days; what was read from them stays.
    webhook_bodies_keep_days: int = Field(90, ge=7)
    # HTTP requests that are answered at once: two batches, one that is written and one that fills. A caller beyond them
    # would wait for a quarter of a second; 503 and Retry-After at once is better.
    in_flight_max: int = Field(96, ge=1)

    @property
    def webhook_window(self) -> timedelta:
        return timedelta(seconds=self.webhook_window_seconds)
