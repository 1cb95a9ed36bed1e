"""How every service starts, runs and stops: one process that holds all its roles, every role safe to run N times.

A service is a value. Its `__main__` has one function that builds it of what common opened:

    @asynccontextmanager
    async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
        yield Service(http=routes.routes(resources.db), subscriptions=consumers.subscriptions(resources.clock))

    def main() -> None:
        runtime.main("wallet", Settings, service)

What is not in the value does not run; tests build the same one (common.testing.in_process). Shutdown: send clients to
other replicas (the drain), stop intake, flush batchers, finish the batch in hand, ack, mark, close; bounded by the
grace period.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import uvloop
from loguru import logger
from redis.exceptions import RedisError

from common import error_reports, logs, telemetry, topology
from common import redis as redis_client
from common import settings as service_settings
from common.broker import BrokerConnection
from common.broker_urls import user_of
from common.clock import SYSTEM_CLOCK, Clock
from common.database import Database, connect, is_transient
from common.guards import Guards
from common.migrations import migrate
from common.process import Process
from common.service import Build, Job, Resources, Service, Workers
from common.services import OWNER, SCHEMAS
from common.settings import ServiceSettings
from common.tokens import ServiceTokens, UserTokens
from common.topology import MIGRATOR

__all__ = ["Build", "Job", "Resources", "Service", "Workers", "main", "migrate_service", "opened", "serve"]

S = TypeVar("S", bound=ServiceSettings)


@asynccontextmanager
async def opened(
    settings: ServiceSettings, name: str, guards: Guards, *, clock: Clock = SYSTEM_CLOCK
) -> AsyncIterator[Resources]:
    """Everything that a service stands on but the broker, opened in order and closed in the opposite one."""
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_hs256_enabled and settings.jwt_secret else None
    service_tokens = ServiceTokens(name, settings.service_private_key.get_secret_value(), settings.service_public_keys)
    random = Random()  # noqa: S311 - jitter and shares, not secrets
    redis = redis_client.connect(settings.redis_url, settings.redis_timeout_ms / 1000)
    async with (
        connect(
            settings.database_url,
            service=name,
            sealer=settings.sealer(),
            pool_size=settings.pool_size,
            pooler=settings.has_pooler,
            least_rights=settings.environment == "production",
            random=random,
            guards=guards,
        ) as db,
        UserTokens(
            settings.identity_jwks_url, secret, issuer=settings.token_issuer, audience=settings.token_audience
        ) as user_tokens,
    ):
        try:
            yield Resources(db, redis, user_tokens, service_tokens, clock, random, guards, settings.grpc_certificates())
        finally:
            # A best-effort cache must not fail an orderly stop.
            with suppress(RedisError, OSError):
                await redis.aclose()


async def serve(name: str, settings: S, build: Build[S], guards: Guards) -> None:
    """Run the service that *build* makes until SIGTERM, SIGINT or the failure of a role."""
    logs.setup(name, settings.environment, settings.log_level, pretty=settings.log_format == "pretty")
    error_reports.setup(
        settings.sentry_dsn.get_secret_value(),
        name,
        environment=settings.environment,
        release=settings.sentry_release,
    )
    telemetry.setup_tracing(settings.otel_exporter_otlp_endpoint or None, name, settings.trace_sample_ratio)
    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    try:
        async with (
            opened(settings, name, guards) as resources,
            BrokerConnection(settings.rabbitmq_url, f"{name}:publish", random=resources.random) as publishing,
            BrokerConnection(settings.rabbitmq_url, f"{name}:consume", random=resources.random) as consuming,
            build(settings, resources) as service,
        ):
            await _try_database(resources.db)
            process = Process(name, settings, service, resources, publishing, consuming, stopping)
            try:
                await process.until_stopped()
            finally:
                await process.drain(settings.shutdown_drain_seconds)
                try:
                    async with asyncio.timeout(settings.shutdown_grace_seconds):
                        await process.close()
                except TimeoutError:
                    logger.error("did not stop within {} s", settings.shutdown_grace_seconds)
    finally:
        telemetry.shutdown_tracing()
        logger.info("{} has stopped", name)
        logs.flush()


async def _try_database(db: Database) -> None:
    """One connection before anything is served: raises RoleTooPowerful. A database that is away is waited for later."""
    try:
        await db.ping()
    except Exception as error:
        if not is_transient(error):
            raise
        logger.warning("the database is away: {}", type(error).__name__)


def foreign_credentials(settings: ServiceSettings, name: str) -> Iterator[tuple[str, str]]:
    """Credentials in the environment of a serving process that it must not have: the variable and what is wrong.

    Least rights hold only while the schema's owner, the topology's migrator, the administrators and the other services
    are other processes. Outside production any role that is no service's will do.
    """
    for field in ("database_migration_url", "rabbitmq_migration_url"):
        if getattr(settings, field):
            yield field.upper(), f"is for `{name} migrate` alone; a process that serves must not have it"
    role, own = unquote(urlsplit(settings.database_url).username or ""), name.replace("-", "_")
    if role.endswith(OWNER):
        yield "DATABASE_URL", f"logs in as a schema's owner; `{name}` serves as its own role, {own}"
    elif role != own and (role in SCHEMAS or settings.environment == "production"):
        yield "DATABASE_URL", f"logs in as {role}; `{name}` serves as its own role, {own}"
    try:
        user = user_of(settings.rabbitmq_url)
    except ValueError as error:
        yield "RABBITMQ_URL", str(error)
        return
    if user == MIGRATOR:
        yield "RABBITMQ_URL", f"logs in as {MIGRATOR}; `{name}` serves as its own user"
    elif settings.amqp_user_id and user != name:
        yield "RABBITMQ_URL", f"logs in as {user}; with AMQP_USER_ID on it must be {name}, whom consumers accept"


async def migrate_service(settings: ServiceSettings, package: str) -> None:
    """Bring the schema up to date and declare the broker's topology; both idempotent."""
    logs.setup(package, settings.environment, settings.log_level)
    if not settings.database_migration_url and settings.has_pooler:
        raise SystemExit("DATABASE_URL leads to a pooler: `migrate` needs DATABASE_MIGRATION_URL, the direct one")
    applied = await migrate(package, settings.database_migration_url or settings.database_url, package)
    logger.info("schema {}: {} migrations applied", package, len(applied))
    if settings.rabbitmq_migration_url:
        await topology.upgrade(settings.rabbitmq_migration_url, settings.retry_schedule_ms)


def main(
    name: str,
    settings_type: type[S],
    build: Build[S],
    argv: Sequence[str] | None = None,
    *,
    guards: Guards | None = None,
) -> None:
    """The console script of a service: `<service> [serve]` runs it, `<service> migrate` prepares its engines.

    *guards* is for tests that show what happens without one.
    """
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("command", nargs="?", choices=("serve", "migrate"), default="serve")
    command = parser.parse_args(argv).command
    settings = service_settings.read(settings_type)
    if command == "migrate":
        work = migrate_service(settings, name.replace("-", "_"))
    else:
        problems = [f"  {variable}: {problem}" for variable, problem in foreign_credentials(settings, name)]
        if problems:
            sys.exit("\n".join(["cannot start, the environment is not right:", *problems]))
        work = serve(name, settings, build, guards or Guards.all())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(work)
        except Exception as error:  # noqa: BLE001 - the last line of a process that cannot go on
            logger.opt(exception=error).critical("{} ends", name)
            logs.flush()
            sys.exit(1)
        finally:
            error_reports.shutdown()
