"""What identity reads from its environment."""

import base64
import binascii
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, ClassVar, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from common.settings import ServiceSettings, duration
from identity.passwords import MEMORY_KIB_MIN, PASSES_MIN


class Settings(ServiceSettings):
    secret_length_min: ClassVar[Mapping[str, int]] = {**ServiceSettings.secret_length_min, "token_private_key": 43}

    # Ed25519, base64 of the raw 32 bytes: signs access tokens.
    token_private_key: SecretStr
    # Public keys that are retired or not used yet, published beside the current one so that rotation breaks nobody.
    token_public_keys: tuple[str, ...] = ()
    # How long an access token is valid: 30s to 7d, because it cannot be revoked.
    token_expiry: Annotated[timedelta, NoDecode] = Field(
        timedelta(minutes=15), validation_alias=AliasChoices("TOKEN_EXPIRY", "TOKEN_LIFE")
    )
    # A session ends when nobody has refreshed it for this long.
    refresh_expiry: Annotated[timedelta, NoDecode] = Field(
        timedelta(days=30), validation_alias=AliasChoices("REFRESH_EXPIRY", "REFRESH_LIFE")
    )
    # Users who sign up or log in belong to this merchant.
    default_merchant_id: str = "mer_commdesk"
    # How many passwords are hashed at once: each takes a core for some 25 ms and 19 MiB.
    hashing_threads: int = Field(2, ge=1, le=32)
    # How many requests wait for a hash; beyond it 503 and Retry-After.
    hashing_waiting_max: int = Field(128, ge=1)
    # The memory that a hash takes, in KiB; less than the default is for tests.
    hashing_memory_kib: int = Field(MEMORY_KIB_MIN, ge=8)
    # How often a hash goes over its memory; less than the default is for tests.
    hashing_passes: int = Field(PASSES_MIN, ge=1)
    # How many attempts to log in to one account the window allows.
    login_attempts_max: int = Field(5, ge=1)
    # How many attempts to log in from one address the window allows; many people may share an address.
    login_attempts_per_ip_max: int = Field(100, ge=1)
    # The window in which attempts to log in are counted.
    login_window: Annotated[timedelta, NoDecode] = timedelta(minutes=15)

    @field_validator("token_expiry", "refresh_expiry", "login_window", mode="before")
    @classmethod
    def _durations(cls, value: object) -> object:
        return duration(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _expiries_are_sane(self) -> Self:
        if not timedelta(seconds=30) <= self.token_expiry <= timedelta(days=7):
            raise ValueError("TOKEN_EXPIRY lies between 30s and 7d: an access token cannot be revoked")
        if self.refresh_expiry < self.token_expiry:
            raise ValueError("REFRESH_EXPIRY must not be shorter than TOKEN_EXPIRY")
        return self

    @model_validator(mode="after")
    def _hashing_is_slow_in_production(self) -> Self:
        is_weak = self.hashing_memory_kib < MEMORY_KIB_MIN or self.hashing_passes < PASSES_MIN
        if self.environment == "production" and is_weak:
            raise ValueError("HASHING_MEMORY_KIB, HASHING_PASSES must not be below their defaults in production")
        return self

    @model_validator(mode="after")
    def _token_keys_are_keys(self) -> Self:
        for key in (self.token_private_key.get_secret_value(), *self.token_public_keys):
            try:
                is_key = len(base64.b64decode(key, validate=True)) == 32
            except (binascii.Error, ValueError):
                is_key = False
            if not is_key:
                raise ValueError("TOKEN_PRIVATE_KEY, TOKEN_PUBLIC_KEYS: expected base64 of 32 raw bytes")
        return self
