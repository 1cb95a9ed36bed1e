"""What fraud reads from the environment."""

from pydantic import Field

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """Thresholds are not settings: they are rows of the table `rules`."""

    # The time between two reads of the table of rules, in seconds.
    rules_refresh_seconds: float = Field(10, gt=0)
    # How long a scored payment counts before its PaymentCreated has been counted, in seconds.
    in_flight_seconds: int = Field(10, ge=1, le=120)
    # How long the blind indexes of address and device are kept in decisions, in days.
    origin_keep_days: int = Field(180, ge=1)
