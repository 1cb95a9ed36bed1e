"""What a service reads from its environment: once, at start, all of it. Values are never printed.

A missing or wrong value stops the process, in production also a weak or unsafe one, with every problem at once. What
production demands of a field is the field's kind (common.setting_checks); what lies between fields is a `rule`.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, cast
from urllib.parse import quote

from pydantic import (
    AliasChoices,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from common import seals
from common.api_keys import Environment
from common.database_urls import is_pooler, plain_url
from common.grpc_certificates import Certificates
from common.rate_limits import Quota
from common.seals import Sealer
from common.setting_checks import AmqpUrl, HttpsUrl, On, OneOf, PostgresqlUrl, RedisUrl, Secret, SentryDsn, rule
from common.setting_keys import KEY_EXPECTED, is_raw_key, secret_raw_key
from common.setting_problems import LENIENT, collected, problems_of
from common.setting_sources import Variables, environment_of

Port = Annotated[int, Field(ge=0, le=65535)]

# How long an event that cannot be handled yet waits before each retry, unless the environment says otherwise.
RETRY_SCHEDULE_MS = (30_000, 120_000, 600_000, 1_800_000)

_UNIT_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "": 1}
_DSN = re.compile(r"https?://[0-9A-Za-z]+(:[0-9A-Za-z]+)?@[^/@\s]+(/[^?#\s]*)?/[0-9]+")
_DURATION = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[smhd]?)")


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
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        enable_decoding=False,
        # A wait of inf seconds is a job that never runs.
        allow_inf_nan=False,
    )

    # Fields without which no service starts, and those that only production insists on. A service adds its own.
    required: ClassVar[frozenset[str]] = frozenset(
        {"database_url", "rabbitmq_url", "service_private_key", "service_public_keys"}
        | {"encryption_keys", "blind_index_key"}
    )
    required_in_production: ClassVar[frozenset[str]] = frozenset(
        {"redis_url", "public_url", "identity_jwks_url", "identity_address", "grpc_tls"}
    )

    # Where this runs: production unless development or test is said. Those two accept weak secrets, open connections
    # and test addresses.
    environment: Literal["development", "test", "production"] = Field(
        "production", validation_alias=AliasChoices("ENVIRONMENT", "NODE_ENV")
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
    public_url: Annotated[str, HttpsUrl()] = "http://127.0.0.1:18000"
    # How long running requests and deliveries may take to finish at a stop, in seconds.
    shutdown_grace_seconds: float = Field(25.0, gt=0)
    # How long a process that is to stop goes on taking requests and calls, in seconds, while its health says that it
    # stops, so that the edge and its callers turn to other replicas first. 0 where there are none.
    shutdown_drain_seconds: float = Field(0.0, ge=0, le=60)

    # PostgreSQL, as the service's own role.
    database_url: Annotated[str, PostgresqlUrl()] = Field("", repr=False)
    # PostgreSQL as the schema's owner, direct and not through a pooler, for `migrate` alone: `serve` refuses to start
    # with it.
    database_migration_url: Annotated[str, PostgresqlUrl()] = Field("", repr=False)
    # Whether DATABASE_URL leads to a transaction pooler (PgBouncer): true or false; unless given, whether the host's
    # name says so, as Neon's do (ep-…-pooler.…).
    database_pooler: bool | None = None
    # The most database connections of one process.
    pool_size: int = Field(4, ge=1, le=64)
    # RabbitMQ, as the service's own user; the nodes of a cluster separated by commas.
    rabbitmq_url: Annotated[str, AmqpUrl()] = Field("", repr=False)
    # RabbitMQ as the user who may declare exchanges and queues, nodes as above, for `migrate` alone: `serve` refuses to
    # start with it.
    rabbitmq_migration_url: Annotated[str, AmqpUrl()] = Field("", repr=False)
    # Whether each message carries its publisher's name, which the broker checks and consumers compare with the
    # contract. Off only where one user stands for all services, which production does not take: any of them could
    # forge any event.
    amqp_user_id: Annotated[bool, On()] = True
    # Redis: caches, limits and locks that are best effort.
    redis_url: Annotated[str, RedisUrl()] = Field("redis://127.0.0.1:6379/0", repr=False)
    # How long a command of Redis may take, in milliseconds; what has no answer by then is done without it.
    redis_timeout_ms: int = Field(50, ge=1, le=1_000)
    # Older deployments give Redis in parts, used when REDIS_URL is absent: this is the host.
    redis_host: str = ""
    # The port of REDIS_HOST.
    redis_port: Port = 6379
    # The password at REDIS_HOST.
    redis_password: SecretStr = SecretStr("")

    # Ed25519, base64 of the raw 32 bytes: signs this service's calls to others.
    service_private_key: SecretStr = SecretStr("")
    # The public keys of all services and operators, a JSON object of name to base64.
    service_public_keys: dict[str, str] = {}
    # How services encrypt and authenticate gRPC among each other: mutual TLS by the three files below; mesh, where a
    # service mesh does the same around us; off. Production takes mutual or mesh.
    grpc_tls: Annotated[Literal["off", "mutual", "mesh"], OneOf(("mutual", "mesh"))] = "off"
    # This service's certificate and those that link it to the authority, PEM; its DNS name is the service's name.
    grpc_certificate_file: str = ""
    # The private key of that certificate, PEM.
    grpc_key_file: str = ""
    # The authorities whose certificates other services have, PEM: the fleet's own, never the public ones.
    grpc_ca_file: str = ""
    # Where identity publishes the keys of access tokens; empty accepts no such token.
    identity_jwks_url: Annotated[str, HttpsUrl()] = ""
    # host:port of identity's gRPC endpoint, or several, comma-separated IP addresses: whose access was revoked is asked
    # there.
    identity_address: str = "127.0.0.1:18035"
    # Verifies the HS256 access tokens of an older issuer, where JWT_HS256_ENABLED says so.
    jwt_secret: Annotated[SecretStr | None, Secret(length_min=32)] = None
    # Whether HS256 access tokens signed with JWT_SECRET are accepted: of members only, of none of identity's
    # accounts, for a day at most.
    jwt_hs256_enabled: bool = False
    # The issuer that access tokens must name.
    token_issuer: str = "commdesk-identity"  # noqa: S105 - a name
    # The audience that access tokens must name.
    token_audience: str = "commdesk"  # noqa: S105 - a name
    # Seal personal data, the same keys in every service: `id:base64,id:base64`, each of 32 bytes; the first one seals
    # and all of them open. A single key may come without id. How to rotate them: docs/operating/security.md.
    encryption_keys: Annotated[SecretStr, Secret(length_min=32, separator=",", prefix="[A-Za-z0-9_-]{1,16}:")] = Field(
        SecretStr(""), validation_alias=AliasChoices("ENCRYPTION_KEYS", "ENCRYPTION_KEY", "PAYMENT_ENCRYPTION_KEY")
    )
    # What sealed data is looked up by is hashed with it: base64 of 32 bytes, the same in every service, never changed.
    blind_index_key: Annotated[SecretStr, Secret(length_min=32)] = SecretStr("")

    # How many proxies of ours stand between clients and this service, each appending to X-Forwarded-For: 1 is the edge
    # alone, 2 the edge behind a load balancer that appends too.
    trusted_proxy_hops: int = Field(1, ge=0, le=8)
    # How many HTTP requests are answered at once; beyond it 503 and Retry-After.
    in_flight_max: int = Field(2_000, ge=1)
    # How many requests a minute an API key of a live environment may send to this service; a sixth of them at once.
    api_key_rate_live: int = Field(6_000, ge=6, le=1_000_000)
    # The same for API keys of test environments.
    api_key_rate_test: int = Field(1_500, ge=6, le=1_000_000)
    # The waits of an event that cannot be handled yet, in milliseconds, comma-separated and growing: after each failed
    # attempt it waits for the next of them, after the last it becomes a dead letter. The same for all services.
    retry_schedule_ms: tuple[int, ...] = Field(
        RETRY_SCHEDULE_MS, validation_alias=AliasChoices("RETRY_SCHEDULE_MS", "RETRY_LADDER_MS")
    )
    # Whether GET /metrics is served.
    prometheus_enabled: bool = True
    # Where sampled traces are sent (OTLP over HTTP); empty sends none.
    otel_exporter_otlp_endpoint: str = ""
    # The share of requests that are traced, 0 to 1.
    trace_sample_ratio: float = Field(0.01, ge=0, le=1)
    # The project of Sentry to which unexpected exceptions are reported, without messages and values; empty reports
    # none.
    sentry_dsn: Annotated[SecretStr, SentryDsn()] = SecretStr("")
    # The version that such reports name; images set it.
    sentry_release: str = ""

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

    @field_validator("service_public_keys", mode="before")
    @classmethod
    def _json_object(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise ValueError("must be a JSON object of name to base64") from None

    _is_a_key = field_validator("service_private_key")(secret_raw_key)

    @field_validator("service_public_keys")
    @classmethod
    def _are_keys(cls, value: dict[str, str]) -> dict[str, str]:
        wrong = [name for name, key in value.items() if not is_raw_key(key)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: {KEY_EXPECTED}")
        return value

    @field_validator("database_url", "database_migration_url")
    @classmethod
    def _is_postgresql(cls, value: str) -> str:
        if value:
            plain_url(value)
        return value

    @field_validator("sentry_dsn")
    @classmethod
    def _is_a_dsn(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and _DSN.fullmatch(value.get_secret_value()) is None:
            raise ValueError("must be as Sentry shows it: https://<key>@<host>/<number of the project>")
        return value

    @rule("jwt_hs256_enabled", "jwt_secret")
    def _hs256_has_a_secret(self) -> Iterator[str]:
        if self.jwt_hs256_enabled and self.jwt_secret is None:
            yield "JWT_HS256_ENABLED needs JWT_SECRET"

    @rule("database_migration_url")
    def _migrations_go_direct(self) -> Iterator[str]:
        if self.database_migration_url and is_pooler(self.database_migration_url):
            yield "DATABASE_MIGRATION_URL: a migration needs the direct URL, not the pooler's (Neon: without -pooler)"

    @rule("encryption_keys", "blind_index_key")
    def _sealing_keys_are_keys(self) -> Iterator[str]:
        try:
            self.sealer()
        except ValueError as error:
            yield str(error)

    @rule("grpc_tls", "grpc_certificate_file", "grpc_key_file", "grpc_ca_file")
    def _certificates_are_there(self) -> Iterator[str]:
        try:
            certificates = self.grpc_certificates()
            if certificates is not None:
                certificates.check()
        except (OSError, ValueError) as error:
            yield f"GRPC_CERTIFICATE_FILE, GRPC_KEY_FILE, GRPC_CA_FILE: {error}"

    def sealer(self) -> Sealer:
        """Seals and opens personal data with the keys of this environment."""
        keys = seals.read_keys(self.encryption_keys.get_secret_value())
        return Sealer(keys, seals.read_key(self.blind_index_key.get_secret_value(), "BLIND_INDEX_KEY"))

    def api_key_quotas(self) -> dict[Environment, Quota]:
        """How often an API key of each environment may come: a burst is what ten seconds allow."""
        rates: dict[Environment, int] = {"live": self.api_key_rate_live, "test": self.api_key_rate_test}
        return {environment: Quota(rate, rate // 6) for environment, rate in rates.items()}

    @property
    def has_pooler(self) -> bool:
        """Whether DATABASE_URL leads to a transaction pooler."""
        return is_pooler(self.database_url) if self.database_pooler is None else self.database_pooler

    def grpc_certificates(self) -> Certificates | None:
        """What gRPC authenticates with, None where it does not."""
        if self.grpc_tls != "mutual":
            return None
        return Certificates(self.grpc_certificate_file, self.grpc_key_file, self.grpc_ca_file)

    @model_validator(mode="wrap")
    @classmethod
    def _find_every_problem(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return collected(cls, _redis_from_its_parts(values), handler) if isinstance(values, dict) else handler(values)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, Variables(settings_cls)


def _redis_from_its_parts(values: dict[str, Any]) -> dict[str, Any]:
    """REDIS_URL wins; without it the parts make the URL, with TLS where this is not said to be for development."""
    host = values.get("redis_host")
    if not host or values.get("redis_url"):
        return values
    password = values.get("redis_password") or ""
    if isinstance(password, SecretStr):
        password = password.get_secret_value()
    login = f"default:{quote(str(password), safe='')}@" if password else ""
    lenient = str(values.get("environment") or values.get("ENVIRONMENT") or values.get("NODE_ENV")).lower() in LENIENT
    scheme = "redis" if lenient else "rediss"
    return {**values, "redis_url": f"{scheme}://{login}{host}:{values.get('redis_port') or 6379}/0"}


S = TypeVar("S", bound=ServiceSettings)


def read(settings_type: type[S], environ: Mapping[str, str] = os.environ) -> S:
    """The settings from *environ*; what is missing or wrong stops the process with its names, not its values."""
    try:
        return _made(settings_type, environ)
    except ValidationError as error:
        lines = [f"  {name or 'settings'}: {text}" for name, text in problems_of(error)]
    raise SystemExit("\n".join(["cannot start, the environment is not right:", *lines]))


def problems(settings_type: type[ServiceSettings], environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Everything that keeps a service from starting in *environ*: the variable (empty for several) and the problem."""
    try:
        _made(settings_type, environ)
    except ValidationError as error:
        return list(problems_of(error))
    return []


def _made(settings_type: type[S], environ: Mapping[str, str]) -> S:
    with environment_of(environ):
        return cast(Callable[[], S], settings_type)()
