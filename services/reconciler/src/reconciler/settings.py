"""What reconciler reads from its environment."""

from collections.abc import Mapping
from typing import Any

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from common.services import SERVICES
from common.setting_sources import Variables
from common.settings import ServiceSettings


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
    # host:port of each listed service's gRPC endpoint; a service without one is not checked, and each run names it.
    addresses: Mapping[str, str] = Field({}, title="<SERVICE>_ADDRESS")

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
