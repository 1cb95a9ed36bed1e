"""What reconciler reads from its environment."""

from pydantic import Field

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    # A full run: deliveries and books. Comparing books adds up whole tables in the services that are asked.
    reconciliation_seconds: float = Field(900, gt=0)
    # A run that looks at deliveries only.
    delivery_check_seconds: float = Field(60, gt=0)
    # How long an envelope may be on its way before it counts as lost, and a difference stand before it counts.
    settle_seconds: float = Field(60, ge=0)
    # How far back a window reaches into the one before: an envelope may be committed that long after its id was made.
    overlap_seconds: float = Field(120, ge=0)
    # Runs and cases are about the whole platform: only this merchant's people may see them.
    platform_merchant_id: str = "mer_commdesk"

    # host:port of each service's gRPC door. A service without an address is not looked at, and each run says so.
    payment_address: str = ""
    wallet_address: str = ""
    ledger_address: str = ""
    webhook_ingest_address: str = ""
    notifier_address: str = ""
    reconciler_address: str = ""
    fraud_address: str = ""
    identity_address: str = ""

    @property
    def addresses(self) -> dict[str, str]:
        """By service; "" for one that is not looked at."""
        return {
            "payment": self.payment_address,
            "wallet": self.wallet_address,
            "ledger": self.ledger_address,
            "webhook-ingest": self.webhook_ingest_address,
            "notifier": self.notifier_address,
            "reconciler": self.reconciler_address,
            "fraud": self.fraud_address,
            "identity": self.identity_address,
        }
