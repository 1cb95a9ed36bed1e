"""What a service reads from its environment: once, at start, all of it. Values are never printed."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from common import sealing
from common.sealing import Sealer

Port = Annotated[int, Field(ge=0, le=65535)]

# How long an event that cannot be handled yet waits before each retry, unless the environment says otherwise.
RETRY_SCHEDULE_MS = (30_000, 120_000, 600_000, 1_800_000)

_UNIT_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "": 1}
_DURATION = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[smhd]?)")

# Words that stand in examples and README files; a password that is one of them, or begins with one, is no password.
_DEFAULTS = ("change", "default", "secret", "password", "guest", "postgres", "example", "test", "dev", "your", "admin")
_SECRET_LENGTH_MIN = 16


def duration(text: str) -> timedelta:
    """`15m`, `7d`, `3600` (seconds). Raises ValueError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a duration is a number and one of s, m, h, d: for example 15m")
    return timedelta(seconds=int(match["number"]) * _UNIT_SECONDS[match["unit"]])


def duration_text(value: timedelta) -> str:
    """*value*, which is of whole seconds, as `duration` reads it, in the largest unit that fits: `15m`, `30d`."""
    seconds = int(value.total_seconds())
    unit = next(unit for unit, size in _UNIT_SECONDS.items() if (seconds and seconds % size == 0) or size == 1)
    return f"{seconds // _UNIT_SECONDS[unit]}{unit}"


class ServiceSettings(BaseSettings):
    """The settings that every service has; each service subclasses it once.

    MONGO_URI and MONGODB_URL, which older deployments set, are accepted and unused: Postgres is the only store.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True, hide_input_in_errors=True
    )

    # How short a secret may be in production, where it is not the general minimum. HS256 wants 256 bits.
    secret_length_min: ClassVar[Mapping[str, int]] = {"jwt_secret": 32, "encryption_keys": 32, "blind_index_key": 32}

    # Where this runs: development, test or production, which refuses weak secrets and test addresses.
    environment: Literal["development", "test", "production"] = Field(
        "development", validation_alias=AliasChoices("ENVIRONMENT", "NODE_ENV")
    )
    # The least severe log lines that are written.
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    # One JSON object for each line, or coloured text for people (pretty).
    log_format: Literal["json", "pretty"] = "json"

    # The address on which HTTP and gRPC listen.
    bind_host: str = "127.0.0.1"
    # The port of HTTP.
    http_port: Port = Field(8000, validation_alias=AliasChoices("HTTP_PORT", "PORT"))
    # The port of gRPC.
    grpc_port: Port = 9000
    # Where clients reach the edge; links in answers and mails begin with it.
    public_url: str = "http://127.0.0.1:18000"
    # How long running requests and deliveries may take to finish at a stop, in seconds.
    shutdown_grace_seconds: float = Field(25.0, gt=0)

    # PostgreSQL, as the service's own role.
    database_url: str = Field(repr=False)
    # PostgreSQL as the schema's owner, direct and not through a pooler, for `migrate`; DATABASE_URL unless given.
    database_migration_url: str = Field("", repr=False)
    # The most database connections of one process.
    pool_size: int = Field(4, ge=1, le=64)
    # RabbitMQ, as the service's own user.
    rabbitmq_url: str = Field(repr=False)
    # RabbitMQ as a user who may declare exchanges and queues; only `migrate` uses it.
    rabbitmq_migration_url: str = Field("", repr=False)
    # Redis: caches, limits and locks that are best effort.
    redis_url: str = Field("redis://127.0.0.1:6379/0", repr=False)
    # Older deployments give Redis in parts, used when REDIS_URL is absent: this is the host.
    redis_host: str = ""
    # The port of REDIS_HOST.
    redis_port: Port = 6379
    # The password at REDIS_HOST.
    redis_password: SecretStr = SecretStr("")

    # Ed25519, base64 of the raw 32 bytes: signs this service's calls to others.
    service_private_key: SecretStr
    # The public keys of all services and operators, a JSON object of name to base64.
    service_public_keys: dict[str, str]
    # Where identity publishes the keys of access tokens; empty accepts no such token.
    identity_jwks_url: str = ""
    # host:port of identity's gRPC endpoint: whose access was revoked is asked there.
    identity_address: str = "127.0.0.1:18035"
    # Verifies the HS256 access tokens of an older issuer, where JWT_HS256_ENABLED says so.
    jwt_secret: SecretStr | None = None
    # Whether HS256 access tokens signed with JWT_SECRET are accepted: of members only, for a day at most.
    jwt_hs256_enabled: bool = False
    # The issuer that access tokens must name.
    token_issuer: str = "commdesk-identity"  # noqa: S105 - a name
    # The audience that access tokens must name.
    token_audience: str = "commdesk"  # noqa: S105 - a name
    # Seal personal data, the same keys in every service: `id:base64,id:base64`, each of 32 bytes; the first one seals
    # and all of them open. A single key may come without id. How to rotate them: docs/operating/security.md.
    encryption_keys: SecretStr = Field(
        validation_alias=AliasChoices("ENCRYPTION_KEYS", "ENCRYPTION_KEY", "PAYMENT_ENCRYPTION_KEY")
    )
    # What sealed data is looked up by is hashed with it: base64 of 32 bytes, the same in every service, never changed.
    blind_index_key: SecretStr

    # How many HTTP requests are answered at once; beyond it 503 and Retry-After.
    in_flight_max: int = Field(2_000, ge=1)
    # The waits of an event that cannot be handled yet, in milliseconds, comma-separated and growing: after each failed
    # attempt it waits for the next of them, after the last it becomes a dead letter. The same for all services.
    retry_schedule_ms: Annotated[tuple[int, ...], NoDecode] = Field(
        RETRY_SCHEDULE_MS, validation_alias=AliasChoices("RETRY_SCHEDULE_MS", "RETRY_LADDER_MS")
    )
    # Whether GET /metrics is served.
    prometheus_enabled: bool = True
    # Where sampled traces are sent (OTLP over HTTP); empty sends none.
    otel_exporter_otlp_endpoint: str = ""
    # The share of requests that are traced, 0 to 1.
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
    def _hs256_has_a_secret(self) -> Self:
        if self.jwt_hs256_enabled and self.jwt_secret is None:
            raise ValueError("JWT_HS256_ENABLED needs JWT_SECRET")
        return self

    @model_validator(mode="after")
    def _token_keys_come_by_tls_in_production(self) -> Self:
        """Whoever can change that answer on its way can sign tokens for anybody."""
        is_plain = bool(self.identity_jwks_url) and urlsplit(self.identity_jwks_url).scheme != "https"
        if self.environment == "production" and is_plain:
            raise ValueError("IDENTITY_JWKS_URL must be https in production")
        return self

    @model_validator(mode="after")
    def _sealing_keys_are_keys(self) -> Self:
        self.sealer()
        return self

    def sealer(self) -> Sealer:
        """Seals and opens personal data with the keys of this environment."""
        keys = sealing.read_keys(self.encryption_keys.get_secret_value())
        return Sealer(keys, sealing.read_key(self.blind_index_key.get_secret_value(), "BLIND_INDEX_KEY"))

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
