"""What identity reads from its environment."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, ClassVar, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from common.settings import ServiceSettings
from identity.passwords import MEMORY_KIB_MIN, PASSES_MIN

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "": "seconds"}
_DURATION = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[smhd]?)")


def duration(text: str) -> timedelta:
    """`15m`, `7d`, `3600` (seconds). Raises ValueError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a duration is a number and one of s, m, h, d: for example 15m")
    return timedelta(**{_UNITS[match["unit"]]: int(match["number"])})


class Settings(ServiceSettings):
    secret_length_min: ClassVar[Mapping[str, int]] = {**ServiceSettings.secret_length_min, "token_private_key": 43}

    # Ed25519, base64 of the raw 32 bytes: signs access tokens.
    token_private_key: SecretStr
    # Public keys that are retired or not used yet, published beside the current one so that rotation breaks nobody.
    token_public_keys: tuple[str, ...] = ()
    token_life: Annotated[timedelta, NoDecode] = Field(
        timedelta(minutes=15), validation_alias=AliasChoices("TOKEN_LIFE", "TOKEN_EXPIRY")
    )
    # A session ends when nobody has refreshed it for this long.
    refresh_life: Annotated[timedelta, NoDecode] = timedelta(days=30)
    # Users who sign up or log in belong to this merchant.
    default_merchant_id: str = "mer_commdesk"
    # Each hash takes a core for some 25 ms and 19 MiB: this many at once, and this many waiting.
    hashing_threads: int = Field(2, ge=1, le=32)
    hashing_waiting_max: int = Field(128, ge=1)
    # What a hash costs; less than the defaults is for tests.
    hashing_memory_kib: int = Field(MEMORY_KIB_MIN, ge=8)
    hashing_passes: int = Field(PASSES_MIN, ge=1)
    login_attempts_max: int = Field(5, ge=1)
    # Many people may share one address; together they do not mistype this many passwords.
    login_attempts_per_ip_max: int = Field(100, ge=1)
    login_window: Annotated[timedelta, NoDecode] = timedelta(minutes=15)

    @field_validator("token_life", "refresh_life", "login_window", mode="before")
    @classmethod
    def _durations(cls, value: object) -> object:
        return duration(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _lives_are_sane(self) -> Self:
        if not timedelta(seconds=30) <= self.token_life <= timedelta(days=7):
            raise ValueError("TOKEN_EXPIRY lies between 30s and 7d: an access token cannot be revoked")
        if self.refresh_life < self.token_life:
            raise ValueError("REFRESH_LIFE must not be shorter than TOKEN_EXPIRY")
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
