"""How every service starts, runs and stops: one process that holds all its roles, every role safe to run N times.

`start` gives a service the world that it needs; the service says which doors, consumers and workers it has, then
waits. Shutdown: stop intake, flush batchers, finish the batch in hand, ack, mark, close; bounded by the grace period.
"""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import aio_pika
import grpc
import uvloop
from loguru import logger
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
from common import redis as redis_hint
from common import settings as service_settings
from common.batching import Batcher
from common.broker import BrokerConnection, BrokerUnavailable, Publisher, stuck_is_lost
from common.clock import Clock, SystemClock
from common.consuming import Consumer, Subscription
from common.database import Database, connect, is_transient
from common.delivery import Stories, Totals
from common.handling import QueueHandler
from common.intents import Intents
from common.migrations import migrate
from common.relay import Relay
from common.settings import ServiceSettings
from common.tokens import ServiceTokens, UserTokens
from common.topology import CONTRACT

S = TypeVar("S", bound=ServiceSettings)
Main = Callable[[S], Coroutine[Any, Any, None]]

HOUSEKEEPING_SECONDS = 600.0
GAUGES_SECONDS = 5.0
OUTBOX_KEEP = timedelta(hours=24)
# At least twice the outbox, and longer than anybody leaves a dead letter alone.
INBOX_KEEP = timedelta(days=14)
INTENTS_KEEP = timedelta(days=1)


class Runtime:
    """The world of one running service."""

    def __init__(
        self,
        settings: ServiceSettings,
        service: str,
        db: Database,
        redis: Redis,
        publisher: Publisher,
        consuming: BrokerConnection,
        user_tokens: UserTokens,
        service_tokens: ServiceTokens,
        relay: Relay,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.service = service
        self.db = db
        self.redis = redis
        self.user_tokens = user_tokens
        self.service_tokens = service_tokens
        self.clock = clock
        self._publisher = publisher
        self._consuming = consuming
        self._relay = relay
        self._stopping = asyncio.Event()
        self._failed: BaseException | None = None
        self._http: http_server.HttpServer | None = None
        self._in_flight = http_server.InFlight()
        self._grpc: grpc_server.GrpcServer | None = None
        self._routes: Sequence[http_server.Route] = ()
        self._servicers: list[grpc_server.Registration] = []
        self._stories: Stories = delivery.no_story
        self._totals: Totals = delivery.no_totals
        self._consumers: list[Consumer] = []
        self._intents: list[Intents[Any]] = []
        self._batchers: list[Batcher[Any, Any]] = []
        self._consuming_tasks: list[asyncio.Task[None]] = []
        self._background: list[asyncio.Task[None]] = []
        self._channels: list[grpc.aio.Channel] = []

    def channel(self, audience: str, address: str) -> grpc.aio.Channel:
        """A channel to another service, for a generated stub; every call states its `timeout=`."""
        channel = grpc_client.channel(address, self.service_tokens, audience)
        self._channels.append(channel)
        return channel

    def serve_http(self, routes: Sequence[http_server.Route]) -> None:
        """Open the HTTP door with these routes beside health and metrics."""
        self._routes = routes

    def serve_grpc(self, *servicers: grpc_server.Registration) -> None:
        """Open the gRPC door with these servicers beside the common delivery service."""
        self._servicers.extend(servicers)

    def story(self, stories: Stories) -> None:
        """How this service tells its part of a story."""
        self._stories = stories

    def totals(self, totals: Totals) -> None:
        """The sums that this service's books are compared by."""
        self._totals = totals

    def batcher(self, batcher: Batcher[Any, Any]) -> Any:
        """Flush *batcher* before the process goes; returns it."""
        self._batchers.append(batcher)
        return batcher

    def consume(self, subscriptions: Sequence[Subscription]) -> None:
        """Work these subscriptions, a consumer for each queue, and keep the dead letters of the queues we own."""
        ladder_ms = self.settings.retry_ladder_ms
        by_queue: dict[str, list[Subscription]] = {}
        for subscription in subscriptions:
            by_queue.setdefault(subscription.queue, []).append(subscription)
        for queue, group in by_queue.items():
            handler = QueueHandler(self.db, queue, group, ladder_ms)
            unhurried = all(subscription.unhurried for subscription in group)
            self._consumers.append(
                Consumer(
                    self._consuming,
                    queue,
                    handler.work,
                    flooded=self._is_flooded,
                    unhurried=unhurried,
                    events_max=max(subscription.events_max for subscription in group),
                )
            )

    def _is_flooded(self) -> bool:
        """Whether the HTTP door has half of what it may have in hand, or more."""
        return 2 * self._in_flight.count >= self.settings.in_flight_max

    def work(self, *intents: Intents[Any]) -> None:
        """Carry out intents in the background."""
        self._intents.extend(intents)

    def every(self, seconds: float, name: str, job: Callable[[], Awaitable[Any]]) -> None:
        """Run *job* every so often, one at a time; its failures are logged and do not end it."""
        self._spawn(self._repeat(seconds, name, job), f"every:{name}")

    async def until_stopped(self) -> None:
        """Open the doors, then run until SIGTERM, SIGINT or the failure of a role, which is raised."""
        for queue in CONTRACT.queues_of(self.service):
            keep = partial(dead_letters.keep, self.db, queue.name)
            self._consumers.append(Consumer(self._consuming, queue.dead_letters, keep))
        servicer = delivery.DeliveryServicer(self.db, self._publisher, self._stories, self._totals)
        self._servicers.append((add_DeliveryServiceServicer_to_server, servicer))
        host = self.settings.bind_host
        self._grpc = await grpc_server.serve_grpc(
            self.settings.grpc_port, self._servicers, self.service_tokens, host=host
        )
        door = http_server.Door(
            self.service,
            self.user_tokens,
            self._checks(),
            metrics=self.settings.prometheus_enabled,
            in_flight_max=self.settings.in_flight_max,
            in_flight=self._in_flight,
        )
        self._http = await http_server.serve_http(
            http_server.app(self._routes, door), self.settings.http_port, host=host
        )
        self._spawn(self._check_topology(), "topology")
        self._spawn(self._relay.run(), "relay")
        self._consuming_tasks = [
            self._spawn(consumer.run(), f"consumer:{number}") for number, consumer in enumerate(self._consumers)
        ]
        for intents in self._intents:
            self._spawn(intents.run(), f"intents:{intents.kind}")
            self.every(HOUSEKEEPING_SECONDS, f"forget:{intents.kind}", partial(intents.forget, INTENTS_KEEP))
        self.every(HOUSEKEEPING_SECONDS, "partitions", self._keep_partitions)
        self.every(GAUGES_SECONDS, "gauges", self._set_gauges)
        # What lives now lives for ever: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        logger.info("{} is up: http {} grpc {}", self.service, self._http.port, self._grpc.port)
        await self._stopping.wait()
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """Ask the service to stop."""
        self._stopping.set()

    async def close(self) -> None:
        """Stop intake, flush, finish, mark; then everything may be closed."""
        self._stopping.set()
        for consumer in self._consumers:
            consumer.stop()
        for intents in self._intents:
            intents.stop()
        await asyncio.gather(
            *([self._http.stop()] if self._http else []),
            *([self._grpc.stop()] if self._grpc else []),
            return_exceptions=True,
        )
        for batcher in self._batchers:
            await batcher.drain()
        if self._consuming_tasks:
            await asyncio.wait(self._consuming_tasks)
        for intents in self._intents:
            await intents.drain()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._relay.drain()
        for channel in self._channels:
            await channel.close(None)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._background.append(task)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A role that dies takes the process along: it is started again whole. So does one that somebody cancelled."""
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
                await topology.check(channel, self.service, self.settings.retry_ladder_ms)
        except aio_pika.exceptions.AMQPError as error:
            logger.error("the broker lacks {}: `{} migrate` or `commdesk doctor --fix`", error, self.service)
        finally:
            await asyncio.gather(channel.close(), return_exceptions=True)

    async def _repeat(self, seconds: float, name: str, job: Callable[[], Awaitable[Any]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await job()
            except Exception as error:  # noqa: BLE001 - the next turn is its retry
                if is_transient(error):
                    logger.warning("{} waits: {}", name, type(error).__name__)
                else:
                    logger.opt(exception=error).error("{} failed", name)

    async def _keep_partitions(self) -> None:
        async with self.db.begin() as tx:
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
        found = await delivery.waiting(self.db)
        metrics.OUTBOX_UNMARKED.set(found.outbox_unmarked)
        metrics.INTENTS_PENDING.set(found.intents_pending)
        metrics.DEAD_LETTERS_OPEN.set(found.dead_letters_open)

    def _checks(self) -> dict[str, Callable[[], Awaitable[dict[str, object]]]]:
        async def database() -> dict[str, object]:
            await self.db.ping()
            return {}

        async def redis() -> dict[str, object]:
            await self.redis.ping()
            return {}

        async def queues() -> dict[str, object]:
            channel = await self._consuming.channel(confirms=False, timeout_seconds=0.8)
            try:
                depths = {}
                for queue in CONTRACT.queues_of(self.service):
                    with stuck_is_lost():
                        found = await channel.declare_queue(queue.name, passive=True)
                    depths[queue.name] = found.declaration_result.message_count or 0
                return {"depths": depths}
            finally:
                await channel.close()

        return {"database": database, "redis": redis, "queues": queues}


@asynccontextmanager
async def start(settings: ServiceSettings, service: str) -> AsyncIterator[Runtime]:
    """Everything that a service stands on, opened in order and closed in the opposite one."""
    logs.setup(service, settings.environment, settings.log_level, pretty=settings.log_format == "pretty")
    telemetry.setup_tracing(settings.otel_exporter_otlp_endpoint or None, service, settings.trace_sample_ratio)
    clock = SystemClock()
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
    service_tokens = ServiceTokens(
        service, settings.service_private_key.get_secret_value(), settings.service_public_keys
    )
    redis = redis_hint.connect(settings.redis_url)
    async with (
        connect(settings.database_url, service=service, pool_size=settings.pool_size) as db,
        BrokerConnection(settings.rabbitmq_url, f"{service}:publish") as publishing,
        BrokerConnection(settings.rabbitmq_url, f"{service}:consume") as consuming,
        UserTokens(
            settings.identity_jwks_url, secret, issuer=settings.token_issuer, audience=settings.token_audience
        ) as user_tokens,
    ):
        publisher = Publisher(publishing)
        relay = Relay(db, publisher, clock)
        db.on_commit = relay.announce
        runtime = Runtime(settings, service, db, redis, publisher, consuming, user_tokens, service_tokens, relay, clock)
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, runtime.stop)
        try:
            yield runtime
        finally:
            try:
                async with asyncio.timeout(settings.shutdown_grace_seconds):
                    await runtime.close()
            except TimeoutError:
                logger.error("did not stop within {} s", settings.shutdown_grace_seconds)
            await redis.aclose()
            telemetry.shutdown_tracing()
            logger.info("{} has stopped", service)
            logs.flush()


async def migrate_service(settings: ServiceSettings, package: str) -> None:
    """Bring the schema up to date and declare the broker's topology; both idempotent."""
    logs.setup(package, settings.environment, settings.log_level)
    applied = await migrate(package, settings.database_migration_url or settings.database_url, package)
    logger.info("schema {}: {} migrations applied", package, len(applied))
    if settings.rabbitmq_migration_url:
        connection = await aio_pika.connect(settings.rabbitmq_migration_url, timeout=10)
        async with connection, connection.channel() as channel:
            await topology.declare(channel, settings.retry_ladder_ms)


def main(service: str, settings_type: type[S], serve: Main[S], argv: Sequence[str] | None = None) -> None:
    """The console script of a service: `<service> [serve]` runs it, `<service> migrate` prepares its ground."""
    parser = argparse.ArgumentParser(prog=service)
    parser.add_argument("command", nargs="?", choices=("serve", "migrate"), default="serve")
    command = parser.parse_args(argv).command
    settings = service_settings.read(settings_type)
    package = service.replace("-", "_")
    work = serve(settings) if command == "serve" else migrate_service(settings, package)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(work)
        except Exception as error:  # noqa: BLE001 - the last line of a process that cannot go on
            logger.opt(exception=error).critical("{} ends", service)
            logs.flush()
            sys.exit(1)
