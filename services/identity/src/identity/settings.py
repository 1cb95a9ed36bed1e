"""What identity reads from its environment."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator

from common.setting_checks import Secret, rule
from common.setting_keys import json_list, raw_keys, secret_raw_key
from common.settings import ServiceSettings, duration
from identity.passwords import MEMORY_KIB_MIN, PASSES_MIN


class Settings(ServiceSettings):
    required: ClassVar[frozenset[str]] = ServiceSettings.required | {"token_private_key"}

    # Ed25519, base64 of the raw 32 bytes: signs access tokens.
    token_private_key: Annotated[SecretStr, Secret(length_min=43)] = SecretStr("")
    # Public keys that are retired or not used yet, published beside the current one so that rotation breaks nobody.
    token_public_keys: tuple[str, ...] = ()
    # How long an access token is valid: 30s to 7d. Every service remembers for as long what was revoked.
    token_expiry: timedelta = Field(timedelta(minutes=15), validation_alias=AliasChoices("TOKEN_EXPIRY", "TOKEN_LIFE"))
    # A session ends when nobody has refreshed it for this long.
    refresh_expiry: timedelta = Field(
        timedelta(days=30), validation_alias=AliasChoices("REFRESH_EXPIRY", "REFRESH_LIFE")
    )
    # A session ends so long after the login however often it is refreshed.
    session_expiry: timedelta = timedelta(days=90)
    # How many sessions a user has at once; the oldest ends when another begins.
    sessions_max: int = Field(10, ge=1, le=100)
    # Users who sign up or log in belong to this merchant.
    default_merchant_id: str = "mer_commdesk"
    # How many passwords are hashed at once: each takes a core for some 25 ms and 19 MiB.
    hashing_threads: int = Field(2, ge=1, le=32)
    # How many passwords of new users are hashed at once, apart from those of logins: neither keeps the other waiting.
    sign_up_hashing_threads: int = Field(1, ge=1, le=32)
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
    # After so many attempts to log in to one account from anywhere, each makes the next wait twice as long, up to 15m.
    login_attempts_free: int = Field(10, ge=1)
    # How many sign-ups from one address an hour allows; many people may share an address.
    sign_ups_per_ip_max: int = Field(100, ge=1)
    # Whether an account can be logged in to before its address is verified. "optional" saves the mail, and lets who
    # signs up with an address learn, by logging in, whether it was taken.
    email_verification: Literal["required", "optional"] = "required"
    # How long the token that verifies an address is valid, in seconds.
    email_verification_seconds: int = Field(86_400, ge=60, le=604_800)
    # How long the token that sets a new password is valid, in seconds.
    password_reset_seconds: int = Field(1_800, ge=60, le=86_400)
    # How many mails of one kind (verify, reset, repeated sign-up) an address gets in an hour.
    account_mails_max: int = Field(5, ge=1)
    # How many mails may be requested from one network address in an hour; many people may share an address.
    account_mails_per_ip_max: int = Field(100, ge=1)
    # How long an invitation to a merchant's account is open, in seconds.
    invitation_seconds: int = Field(604_800, ge=60, le=2_592_000)
    # How many invitations an account may mail in an hour, those that are sent again included.
    invitations_max: int = Field(50, ge=1)
    # Whether staff need a second factor for acts that move money or rights. Who has one needs it in any case.
    staff_second_factor: Literal["required", "optional"] = "required"
    # Whether there is a merchant for trying things out, whose API keys everybody knows (key_test_abc123 and
    # sk_test_abc123): in local stacks. No production starts with it.
    test_merchant: bool = False
    # How old the authentication of a session may be at such an act, in seconds; after that its user steps up.
    step_up_seconds: int = Field(900, ge=60, le=86_400)
    # The window in which attempts to log in are counted.
    login_window: timedelta = timedelta(minutes=15)

    @field_validator("token_expiry", "refresh_expiry", "session_expiry", "login_window", mode="before")
    @classmethod
    def _durations(cls, value: object) -> object:
        return duration(value) if isinstance(value, str) else value

    _list = field_validator("token_public_keys", mode="before")(json_list)
    _secret = field_validator("token_private_key")(secret_raw_key)
    _keys = field_validator("token_public_keys")(raw_keys)

    @rule("token_expiry", "refresh_expiry")
    def _expiries_are_sane(self) -> Iterator[str]:
        if not timedelta(seconds=30) <= self.token_expiry <= timedelta(days=7):
            yield "TOKEN_EXPIRY lies between 30s and 7d"
        if self.refresh_expiry < self.token_expiry:
            yield "REFRESH_EXPIRY must not be shorter than TOKEN_EXPIRY"

    @rule("environment", "test_merchant")
    def _known_keys_open_no_production(self) -> Iterator[str]:
        if self.environment == "production" and self.test_merchant:
            yield "TEST_MERCHANT is for local stacks: everybody knows its API keys"

    @rule("environment", "hashing_memory_kib", "hashing_passes")
    def _hashing_is_slow_in_production(self) -> Iterator[str]:
        is_weak = self.hashing_memory_kib < MEMORY_KIB_MIN or self.hashing_passes < PASSES_MIN
        if self.environment == "production" and is_weak:
            yield "HASHING_MEMORY_KIB, HASHING_PASSES must not be below their defaults in production"
