"""What reconciler reads from its environment."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from common.services import SERVICES
from common.setting_sources import Variables
from common.settings import ServiceSettings
from reconciler.domain.terms import Terms


class Settings(ServiceSettings):
    # The time between two full runs (deliveries and books), in seconds. Comparing books reads the rows since the
    # other services' checkpoints; once a day it adds up whole tables.
    reconciliation_seconds: float = Field(900, gt=0)
    # The time between two runs that check deliveries only, in seconds.
    delivery_check_seconds: float = Field(60, gt=0)
    # How long an envelope may be on its way before it counts as lost, and a difference stay the same before it counts,
    # in seconds.
    tolerance_seconds: float = Field(60, ge=0, validation_alias=AliasChoices("TOLERANCE_SECONDS", "SETTLE_SECONDS"))
    # How far back a window reaches into the one before: an envelope may be committed that long
    # after its id was made, in seconds.
    overlap_seconds: float = Field(120, ge=0)
    # Runs and cases are about the whole platform: only this merchant's staff may see them.
    platform_merchant_id: str = "mer_commdesk"
    # What a gateway charges by contract, in basis points by method, as JSON: {"upi": 0, "card": 190, "*": 200}. Fees of
    # a method without a rate are not checked.
    fee_basis_points: Mapping[str, Annotated[int, Field(ge=0, le=10_000)]] = {}
    # GST on the fee, in basis points; rows may also have none.
    fee_tax_basis_points: int = Field(1_800, ge=0, le=10_000)
    # By how much a fee or its tax may differ from the contract, in minor units: gateways round in their own ways.
    fee_tolerance_minor: int = Field(1, ge=0)
    # By how much a settled amount may differ from the payment's, in minor units.
    amount_tolerance_minor: int = Field(0, ge=0)
    # After how many working days in India a payment is to be settled (T+1).
    settlement_days: int = Field(1, ge=0, le=60)
    # After how many more working days a settlement is delayed.
    settlement_grace_days: int = Field(2, ge=0, le=60)
    # After how many more working days a delayed settlement is missing.
    settlement_missing_days: int = Field(5, ge=0, le=60)
    # Within how many working days a refund is taken off a settlement.
    refund_days: int = Field(15, ge=0, le=120)
    # Within how many working days the bank books a settlement.
    bank_days: int = Field(2, ge=0, le=30)
    # How long grants and journals may follow a payment, in seconds.
    transit_seconds: float = Field(300, ge=0)
    # How long a webhook may follow a success, in seconds.
    webhook_grace_seconds: float = Field(3600, ge=0)
    # How long a confirmation by the gateway may follow a success, in seconds.
    confirmation_grace_seconds: float = Field(3600, ge=0)
    # host:port of each listed service's gRPC endpoint; a service without one is not checked, and each run names it.
    addresses: Mapping[str, str] = Field({}, title="<SERVICE>_ADDRESS")

    def terms(self) -> Terms:
        """By what matching measures the gateway and time."""
        return Terms(
            fee_basis_points={method.lower(): rate for method, rate in self.fee_basis_points.items()},
            fee_tax_basis_points=self.fee_tax_basis_points,
            fee_tolerance_minor=self.fee_tolerance_minor,
            amount_tolerance_minor=self.amount_tolerance_minor,
            settlement_days=self.settlement_days,
            settlement_grace_days=self.settlement_grace_days,
            settlement_missing_days=self.settlement_missing_days,
            refund_days=self.refund_days,
            bank_days=self.bank_days,
            transit=timedelta(seconds=self.transit_seconds),
            webhook_grace=timedelta(seconds=self.webhook_grace_seconds),
            confirmation_grace=timedelta(seconds=self.confirmation_grace_seconds),
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Addresses(settings_cls), Variables(settings_cls)


class _Addresses(Variables):
    """One variable for each service of protos/services.toml."""

    def __call__(self) -> dict[str, Any]:
        return {
            "addresses": {name: self.env_vars.get(row.address_variable.lower()) or "" for name, row in SERVICES.items()}
        }
