"""How every service starts, runs and stops: one process that holds all its roles, every role safe to run N times.

A service is a value. Its `__main__` has one function that builds it of what common opened:

    @asynccontextmanager
    async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
        yield Service(http=routes.routes(resources.db), subscriptions=consumers.subscriptions(resources.clock))

    def main() -> None:
        runtime.main("wallet", Settings, service)

What is not in the value does not run; tests build the same one (common.testing.serving). Shutdown: stop intake, flush
batchers, finish the batch in hand, ack, mark, close; bounded by the grace period.
"""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from inspect import signature
from random import Random
from typing import Any, TypeVar

import aio_pika
import grpc
import uvloop
from loguru import logger
from msgspec import Struct
from redis.asyncio import Redis

from commdesk.common.v1.delivery_pb2_grpc import add_DeliveryServiceServicer_to_server
from common import (
    dead_letters,
    delivery,
    grpc_client,
    grpc_server,
    http_server,
    idempotency,
    logs,
    metrics,
    telemetry,
    topology,
)
from common import redis as redis_client
from common import settings as service_settings
from common.batching import Batcher
from common.broker import BrokerConnection, BrokerUnavailable, Publisher, stuck_is_lost
from common.clock import SYSTEM_CLOCK, Clock
from common.consuming import Consumer
from common.database import Database, connect, is_transient
from common.delivery import ReadTimeline, Totals
from common.guards import Guards
from common.handling import QueueHandler, Subscription
from common.intents import Intents
from common.migrations import migrate
from common.relay import Relay
from common.settings import ServiceSettings
from common.tokens import ServiceTokens, UserTokens
from common.topology import CONTRACT

S = TypeVar("S", bound=ServiceSettings)
S_contra = TypeVar("S_contra", bound=ServiceSettings, contravariant=True)

HOUSEKEEPING_SECONDS = 600.0
GAUGES_SECONDS = 5.0
OUTBOX_KEEP = timedelta(hours=24)
# At least twice the outbox, and longer than anybody leaves a dead letter alone.
INBOX_KEEP = timedelta(days=14)
INTENTS_KEEP = timedelta(days=1)


class Workers(Struct, frozen=True):
    """What a collaborator has running in the background: its intents are executed, its batchers flushed at the end."""

    intents: tuple[Intents[Any], ...] = ()
    batchers: tuple[Batcher[Any, Any], ...] = ()


class Job(Struct, frozen=True):
    """What is done every so often, one at a time; its failures are logged and do not end it."""

    name: str
    every_seconds: float
    run: Callable[[], Awaitable[object]]


class Service(Struct, frozen=True):
    """Everything that one process does."""

    http: Sequence[http_server.Route] = ()
    grpc: Sequence[grpc_server.Registration] = ()
    subscriptions: Sequence[Subscription] = ()
    workers: Sequence[Workers] = ()
    jobs: Sequence[Job] = ()
    timeline: ReadTimeline = delivery.no_timeline
    totals: Totals = delivery.no_totals

    def queues(self) -> dict[str, list[Subscription]]:
        """The subscriptions by their queue."""
        by_queue: dict[str, list[Subscription]] = {}
        for subscription in self.subscriptions:
            by_queue.setdefault(subscription.queue, []).append(subscription)
        return by_queue

    def intents(self) -> Iterator[Intents[Any]]:
        for workers in self.workers:
            yield from workers.intents

    def batchers(self) -> Iterator[Batcher[Any, Any]]:
        for workers in self.workers:
            yield from workers.batchers


class Resources:
    """What common opened for a service. *clock* is for its business; *db* has the process's own."""

    def __init__(
        self,
        db: Database,
        redis: Redis,
        user_tokens: UserTokens,
        service_tokens: ServiceTokens,
        clock: Clock,
        random: Random,
        guards: Guards,
    ) -> None:
        self.db = db
        self.redis = redis
        self.user_tokens = user_tokens
        self.service_tokens = service_tokens
        self.clock = clock
        self.random = random
        self.guards = guards
        self._channels: list[grpc.aio.Channel] = []

    def channel(self, audience: str, address: str) -> grpc.aio.Channel:
        """A channel to another service, for a generated stub; every call states its `timeout=`."""
        channel = grpc_client.channel(address, self.service_tokens, audience)
        self._channels.append(channel)
        return channel

    async def close_channels(self) -> None:
        for channel in self._channels:
            await channel.close(None)


# Builds the value; what it opens for itself closes after everything has stopped.
Build = Callable[[S, Resources], AbstractAsyncContextManager[Service]]


class Running:
    """A service value at work: servers, consumers, relay, workers and jobs."""

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        service: Service,
        resources: Resources,
        publishing: BrokerConnection,
        consuming: BrokerConnection,
        stopping: asyncio.Event,
    ) -> None:
        self._name = name
        self._settings = settings
        self._service = service
        self._resources = resources
        self._db = resources.db
        self._consuming = consuming
        self._publisher = Publisher(publishing, guards=resources.guards)
        self._relay = Relay(self._db, self._publisher)
        self._db.on_commit = self._relay.announce
        self._roles = Roles(stopping)
        self._in_flight = http_server.InFlight()
        self._http: http_server.HttpServer | None = None
        self._grpc: grpc_server.GrpcServer | None = None
        self._consumers = self._make_consumers()
        self._consuming_tasks: list[asyncio.Task[None]] = []

    async def until_stopped(self) -> None:
        """Serve, then run until SIGTERM, SIGINT or the failure of a role, which is raised."""
        await self._serve()
        self._roles.start(self._check_topology(), "topology")
        self._roles.start(self._relay.run(), "relay")
        self._consuming_tasks = [
            self._roles.start(consumer.run(), f"consumer:{number}") for number, consumer in enumerate(self._consumers)
        ]
        for intents in self._service.intents():
            self._roles.start(intents.run(), f"intents:{intents.kind}")
        for job in (*self._service.jobs, *self._own_jobs()):
            self._roles.start(_repeat(job), f"job:{job.name}")
        # What exists now exists until the end: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        assert self._http is not None
        assert self._grpc is not None
        logger.info("{} is up: http {} grpc {}", self._name, self._http.port, self._grpc.port)
        await self._roles.until_stopped()

    async def close(self) -> None:
        """Stop intake, flush, finish, mark; then everything may be closed."""
        self._roles.stop()
        for consumer in self._consumers:
            consumer.stop()
        for intents in self._service.intents():
            intents.stop()
        await asyncio.gather(
            *([self._http.stop()] if self._http else []),
            *([self._grpc.stop()] if self._grpc else []),
            return_exceptions=True,
        )
        for batcher in self._service.batchers():
            await batcher.drain()
        if self._consuming_tasks:
            await asyncio.wait(self._consuming_tasks)
        for intents in self._service.intents():
            await intents.drain()
        await self._roles.cancel()
        await self._relay.drain()
        await self._resources.close_channels()

    async def _serve(self) -> None:
        servicer = delivery.DeliveryServicer(self._db, self._publisher, self._service.timeline, self._service.totals)
        self._grpc = await grpc_server.serve_grpc(
            self._settings.grpc_port,
            [*self._service.grpc, (add_DeliveryServiceServicer_to_server, servicer)],
            self._resources.service_tokens,
            host=self._settings.bind_host,
        )
        config = http_server.ServerConfig(
            self._name,
            self._resources.user_tokens,
            self._checks(),
            metrics=self._settings.prometheus_enabled,
            in_flight_max=self._settings.in_flight_max,
            in_flight=self._in_flight,
        )
        self._http = await http_server.serve_http(
            http_server.app(self._service.http, config), self._settings.http_port, host=self._settings.bind_host
        )

    def _make_consumers(self) -> list[Consumer]:
        """One for each queue that is subscribed to, and one for the dead letters of each queue that we own."""
        consumer = partial(Consumer, self._consuming, clock=self._db.clock, guards=self._resources.guards)
        consumers = []
        for queue, subscriptions in self._service.queues().items():
            handler = QueueHandler(self._db, queue, subscriptions, self._settings.retry_schedule_ms)
            consumers.append(
                consumer(
                    queue,
                    handler.work,
                    overloaded=self._is_overloaded,
                    low_priority=all(subscription.low_priority for subscription in subscriptions),
                    events_max=max(subscription.events_max for subscription in subscriptions),
                )
            )
        for owned in CONTRACT.queues_of(self._name):
            consumers.append(consumer(owned.dead_letters, partial(dead_letters.keep, self._db, owned.name)))
        return consumers

    def _is_overloaded(self) -> bool:
        """Whether half of the HTTP requests that may be in flight are, or more."""
        return 2 * self._in_flight.count >= self._settings.in_flight_max

    def _own_jobs(self) -> Iterator[Job]:
        for intents in self._service.intents():
            yield Job(f"forget:{intents.kind}", HOUSEKEEPING_SECONDS, partial(intents.forget, INTENTS_KEEP))
        yield Job("partitions", HOUSEKEEPING_SECONDS, self._keep_partitions)
        yield Job("gauges", GAUGES_SECONDS, self._set_gauges)

    async def _check_topology(self) -> None:
        """Say at the start what the broker lacks; the migrate step declares it, a service never does."""
        while True:
            try:
                channel = await self._consuming.channel(confirms=False)
                break
            except BrokerUnavailable:
                await asyncio.sleep(1)
        try:
            with stuck_is_lost():
                await topology.check(channel, self._name, self._settings.retry_schedule_ms)
        except aio_pika.exceptions.AMQPError as error:
            logger.error("the broker lacks {}: `{} migrate` or `commdesk doctor --fix`", error, self._name)
        finally:
            await asyncio.gather(channel.close(), return_exceptions=True)

    async def _keep_partitions(self) -> None:
        async with self._db.begin() as tx:
            astray = (await tx.execute("select ensure_partitions()")).scalar()
            await tx.execute(
                "select drop_partitions(cast(:outbox as interval), cast(:inbox as interval))",
                outbox=OUTBOX_KEEP,
                inbox=INBOX_KEEP,
            )
            await idempotency.purge(tx)
        if astray:
            logger.error("{} rows lie in the default partitions", astray)

    async def _set_gauges(self) -> None:
        backlog = await delivery.waiting(self._db)
        metrics.OUTBOX_UNMARKED.set(backlog.outbox_unmarked)
        metrics.INTENTS_PENDING.set(backlog.intents_pending)
        metrics.DEAD_LETTERS_OPEN.set(backlog.dead_letters_open)

    def _checks(self) -> dict[str, http_server.Check]:
        async def database() -> dict[str, object]:
            await self._db.ping()
            return {}

        async def redis() -> dict[str, object]:
            await self._resources.redis.ping()
            return {}

        async def queues() -> dict[str, object]:
            channel = await self._consuming.channel(confirms=False, timeout_seconds=0.8)
            try:
                depths = {}
                for owned in CONTRACT.queues_of(self._name):
                    with stuck_is_lost():
                        queue = await channel.declare_queue(owned.name, passive=True)
                    depths[owned.name] = queue.declaration_result.message_count or 0
                return {"depths": depths}
            finally:
                await channel.close()

        return {"database": database, "redis": redis, "queues": queues}


class Roles:
    """The tasks of one process. One that dies takes the process along: it is started again whole."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping
        self._failed: BaseException | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)
        return task

    def stop(self) -> None:
        """From now on a role may end."""
        self._stopping.set()

    async def until_stopped(self) -> None:
        """Raises what a role failed with."""
        await self._stopping.wait()
        if self._failed is not None:
            raise self._failed

    async def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            error: BaseException | None = (
                None if self._stopping.is_set() else RuntimeError("cancelled by nobody of ours")
            )
        else:
            error = task.exception()
        if error is not None:
            logger.opt(exception=error).error("{} died", task.get_name())
            self._failed = self._failed or error
            self._stopping.set()


async def _repeat(job: Job) -> None:
    while True:
        await asyncio.sleep(job.every_seconds)
        try:
            await job.run()
        except Exception as error:  # noqa: BLE001 - the next turn is its retry
            if is_transient(error):
                logger.warning("{} waits: {}", job.name, type(error).__name__)
            else:
                logger.opt(exception=error).error("{} failed", job.name)


@asynccontextmanager
async def opened(
    settings: ServiceSettings, name: str, guards: Guards, *, clock: Clock = SYSTEM_CLOCK
) -> AsyncIterator[Resources]:
    """Everything that a service stands on but the broker, opened in order and closed in the opposite one."""
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
    service_tokens = ServiceTokens(name, settings.service_private_key.get_secret_value(), settings.service_public_keys)
    random = Random()  # noqa: S311 - jitter and shares, not secrets
    redis = redis_client.connect(settings.redis_url)
    async with (
        connect(settings.database_url, service=name, pool_size=settings.pool_size, random=random, guards=guards) as db,
        UserTokens(
            settings.identity_jwks_url, secret, issuer=settings.token_issuer, audience=settings.token_audience
        ) as user_tokens,
    ):
        try:
            yield Resources(db, redis, user_tokens, service_tokens, clock, random, guards)
        finally:
            await redis.aclose()


async def serve(name: str, settings: S, build: Build[S], guards: Guards) -> None:
    """Run the service that *build* makes until SIGTERM, SIGINT or the failure of a role."""
    logs.setup(name, settings.environment, settings.log_level, pretty=settings.log_format == "pretty")
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
            running = Running(name, settings, service, resources, publishing, consuming, stopping)
            try:
                await running.until_stopped()
            finally:
                try:
                    async with asyncio.timeout(settings.shutdown_grace_seconds):
                        await running.close()
                except TimeoutError:
                    logger.error("did not stop within {} s", settings.shutdown_grace_seconds)
    finally:
        telemetry.shutdown_tracing()
        logger.info("{} has stopped", name)
        logs.flush()


async def migrate_service(settings: ServiceSettings, package: str) -> None:
    """Bring the schema up to date and declare the broker's topology; both idempotent."""
    logs.setup(package, settings.environment, settings.log_level)
    applied = await migrate(package, settings.database_migration_url or settings.database_url, package)
    logger.info("schema {}: {} migrations applied", package, len(applied))
    if settings.rabbitmq_migration_url:
        connection = await aio_pika.connect(settings.rabbitmq_migration_url, timeout=10)
        async with connection, connection.channel() as channel:
            await topology.declare(channel, settings.retry_schedule_ms)


def main(
    name: str,
    settings_type: type[S],
    build: Build[S] | Callable[[S], Coroutine[Any, Any, None]],
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
    elif len(signature(build).parameters) == 1:
        work = build(settings)  # type: ignore[call-arg, assignment]
    else:
        work = serve(name, settings, build, guards or Guards.all())  # type: ignore[arg-type]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(work)
        except Exception as error:  # noqa: BLE001 - the last line of a process that cannot go on
            logger.opt(exception=error).critical("{} ends", name)
            logs.flush()
            sys.exit(1)


# ── Until all services have moved ────────────────────────────────────────────────────────────────────────────────


class Runtime:
    """What a service that registers its parts one by one sees; it becomes a Service value."""

    def __init__(self, resources: Resources) -> None:
        self.db = resources.db
        self.redis = resources.redis
        self.clock = resources.clock
        self.user_tokens = resources.user_tokens
        self.service_tokens = resources.service_tokens
        self.channel = resources.channel
        self.value: dict[str, Any] = {"workers": [], "jobs": []}
        self.run: Callable[[Service], Awaitable[None]] | None = None

    def serve_http(self, routes: Sequence[http_server.Route]) -> None:
        self.value["http"] = routes

    def serve_grpc(self, *servicers: grpc_server.Registration) -> None:
        self.value["grpc"] = servicers

    def story(self, timeline: ReadTimeline) -> None:
        self.value["timeline"] = timeline

    def totals(self, totals: Totals) -> None:
        self.value["totals"] = totals

    def batcher(self, batcher: Batcher[Any, Any]) -> Any:
        self.value["workers"].append(Workers(batchers=(batcher,)))
        return batcher

    def consume(self, subscriptions: Sequence[Subscription]) -> None:
        self.value["subscriptions"] = subscriptions

    def work(self, *intents: Intents[Any]) -> None:
        self.value["workers"].append(Workers(intents=intents))

    def every(self, seconds: float, name: str, job: Callable[[], Awaitable[Any]]) -> None:
        self.value["jobs"].append(Job(name, seconds, job))

    async def until_stopped(self) -> None:
        assert self.run is not None
        await self.run(Service(**self.value))


@asynccontextmanager
async def start(settings: ServiceSettings, service: str) -> AsyncIterator[Runtime]:
    """The old way in: `async with runtime.start(…) as rt: rt.serve_http(…); await rt.until_stopped()`."""
    ready: asyncio.Future[Runtime] = asyncio.get_running_loop().create_future()
    value: asyncio.Future[Service] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def build(_: ServiceSettings, resources: Resources) -> AsyncIterator[Service]:
        ready.set_result(Runtime(resources))
        yield await value

    task = asyncio.create_task(serve(service, settings, build, Guards.all()))
    both: list[asyncio.Future[Any]] = [task, ready]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        await task
    runtime = ready.result()

    async def run(made: Service) -> None:
        value.set_result(made)
        await task

    runtime.run = run
    try:
        yield runtime
    finally:
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
