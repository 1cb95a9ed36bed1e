"""What ledger reads from its environment."""

from pydantic import Field

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    # The time between two snapshots of the balances, in seconds; a trial balance adds up by entries what came since.
    snapshot_seconds: float = Field(15, gt=0)
