"""What a service reads from its environment: once, at start, all of it. Values are never printed."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal, Self, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

Port = Annotated[int, Field(ge=0, le=65535)]

# Words that stand in examples and README files; a password that is one of them, or begins with one, is no password.
_DEFAULTS = ("change", "default", "secret", "password", "guest", "postgres", "example", "test", "dev", "your", "admin")
_SECRET_LENGTH_MIN = 16


class ServiceSettings(BaseSettings):
    """The settings that every service has; each service subclasses it once.

    MONGO_URI and MONGODB_URL, which older deployments set, are accepted and unused: Postgres is the only store.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True, hide_input_in_errors=True
    )

    # How short a secret may be in production, where it is not the general minimum. HS256 wants 256 bits.
    secret_length_min: ClassVar[Mapping[str, int]] = {"jwt_secret": 32, "encryption_key": 32}

    environment: Literal["development", "test", "production"] = Field(
        "development", validation_alias=AliasChoices("ENVIRONMENT", "NODE_ENV")
    )
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["json", "pretty"] = "json"

    bind_host: str = "127.0.0.1"
    http_port: Port = Field(8000, validation_alias=AliasChoices("HTTP_PORT", "PORT"))
    grpc_port: Port = 9000
    public_url: str = "http://127.0.0.1:18000"
    shutdown_grace_seconds: float = Field(25.0, gt=0)

    database_url: str = Field(repr=False)
    database_migration_url: str = Field("", repr=False)
    pool_size: int = Field(4, ge=1, le=64)
    rabbitmq_url: str = Field(repr=False)
    rabbitmq_migration_url: str = Field("", repr=False)
    redis_url: str = Field("redis://127.0.0.1:6379/0", repr=False)
    # Older deployments give Redis in parts; they are used when REDIS_URL is absent.
    redis_host: str = ""
    redis_port: Port = 6379
    redis_password: SecretStr = SecretStr("")

    service_private_key: SecretStr
    service_public_keys: dict[str, str]
    identity_jwks_url: str = ""
    jwt_secret: SecretStr | None = None
    token_issuer: str = "commdesk-identity"  # noqa: S105 - a name
    token_audience: str = "commdesk"  # noqa: S105 - a name
    encryption_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("ENCRYPTION_KEY", "PAYMENT_ENCRYPTION_KEY")
    )

    # HTTP requests that are answered at once; beyond it 503 and Retry-After.
    in_flight_max: int = Field(2_000, ge=1)
    # RETRY_LADDER_MS is its older name.
    retry_schedule_ms: Annotated[tuple[int, ...], NoDecode] = Field(
        (30_000, 120_000, 600_000, 1_800_000), validation_alias=AliasChoices("RETRY_SCHEDULE_MS", "RETRY_LADDER_MS")
    )
    prometheus_enabled: bool = True
    otel_exporter_otlp_endpoint: str = ""
    trace_sample_ratio: float = Field(0.01, ge=0, le=1)

    @field_validator("environment", "log_level", mode="before")
    @classmethod
    def _canonical_case(cls, value: object, info: object) -> object:
        if not isinstance(value, str):
            return value
        return value.upper() if getattr(info, "field_name", "") == "log_level" else value.lower()

    @field_validator("retry_schedule_ms", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("retry_schedule_ms")
    @classmethod
    def _growing(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) <= 0 or list(value) != sorted(set(value)):
            raise ValueError("retry tiers are milliseconds, each longer than the one before")
        return value

    @model_validator(mode="before")
    @classmethod
    def _redis_from_its_parts(cls, values: object) -> object:
        """REDIS_URL wins; without it the parts make the URL."""
        if isinstance(values, dict) and "redis_url" not in values:
            lowered = {key.lower(): value for key, value in values.items()}
            host, password = lowered.get("redis_host"), lowered.get("redis_password")
            if host and "redis_url" not in lowered:
                if isinstance(password, SecretStr):
                    password = password.get_secret_value()
                login = f":{quote(str(password), safe='')}@" if password else ""
                return {**values, "redis_url": f"redis://{login}{host}:{lowered.get('redis_port') or 6379}/0"}
        return values

    @model_validator(mode="after")
    def _keys_are_keys(self) -> Self:
        named = {"SERVICE_PRIVATE_KEY": self.service_private_key.get_secret_value()}
        named |= {f"SERVICE_PUBLIC_KEYS[{name}]": key for name, key in self.service_public_keys.items()}
        wrong = [name for name, key in named.items() if not _is_raw_key(key)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: expected base64 of the 32 raw bytes of an Ed25519 key")
        return self

    @model_validator(mode="after")
    def _production_has_real_secrets(self) -> Self:
        if self.environment == "production":
            weak = self._weak_secrets()
            if weak:
                raise ValueError(f"production refuses default, short or missing secrets: {', '.join(weak)}")
        return self

    def _weak_secrets(self) -> list[str]:
        weak = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr) and value.get_secret_value():
                length_min = self.secret_length_min.get(name, _SECRET_LENGTH_MIN)
                if is_weak(value.get_secret_value(), length_min):
                    weak.append(name.upper())
            elif name.endswith("_url") and isinstance(value, str):
                url = urlsplit(value)
                password = unquote(url.password or "")
                if url.username and password and is_weak(password, 12, also=unquote(url.username)):
                    weak.append(f"{name.upper()} (its password)")
        return weak


def is_weak(secret: str, length_min: int, *, also: str = "") -> bool:
    """Whether *secret* is too short, repeats one or two characters, or is a default or *also* (the user name, say)."""
    lowered = secret.lower()
    return (
        len(secret) < length_min
        or len(set(secret.rstrip("="))) < 3
        or (bool(also) and lowered == also.lower())
        or any(lowered.startswith(word) for word in _DEFAULTS)
    )


def _is_raw_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


S = TypeVar("S", bound=ServiceSettings)


def read(settings_type: type[S]) -> S:
    """The settings from the environment; a missing or wrong one stops the process with its name, not its value."""
    try:
        return cast(Callable[[], S], settings_type)()
    except SettingsError as error:
        raise SystemExit(f"cannot start, the environment is not right: {error}") from None
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(str(part) for part in problem['loc']).upper() or 'settings'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_context=False, include_url=False)
        )
        raise SystemExit(f"cannot start, the environment is not right:\n{problems}") from None
