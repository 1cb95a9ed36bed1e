"""What ledger reads from its environment."""

from pydantic import Field

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    # How long the tail gets that a trial balance has to add up entry by entry.
    snapshot_seconds: float = Field(15, gt=0)
