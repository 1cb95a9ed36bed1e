"""One service process at work: servers, consumers, relay, workers and jobs, from start to an orderly stop."""

import asyncio
import gc
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import aio_pika
from loguru import logger
from msgspec import Struct
from redis.exceptions import RedisError

from commdesk.common.v1.delivery_pb2_grpc import add_DeliveryServiceServicer_to_server
from commdesk.common.v1.personal_data_pb2_grpc import add_PersonalDataServiceServicer_to_server
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from common import (
    admission,
    database_server,
    dead_letters,
    delivery,
    grpc_server,
    http_server,
    idempotency,
    metrics,
    request_log,
    revocation_feed,
    table_passes,
    topology,
)
from common.api_keys import ApiKeys
from common.broker import BrokerConnection, BrokerUnavailable, Publisher, stuck_is_lost
from common.broker_urls import user_of
from common.consuming import Consumer, Work
from common.database import is_transient
from common.http_server.key_requests import KeyGate
from common.personal_data_service import PersonalDataServicer
from common.queue_handler import QueueHandler
from common.rate_limits import RateLimiter
from common.redis_users import write_ready
from common.relay import Relay
from common.service import Job, Resources, Service
from common.settings import ServiceSettings
from common.topology import CONTRACT
from common.transient_queues import TransientHandler

HOUSEKEEPING_SECONDS = 600.0
GAUGES_SECONDS = 10.0
# Rows from before sealing, or before another key came first, are sealed this soon after the start.
RESEAL_SECONDS = 15.0
RETENTION_SECONDS = 3_600.0
OUTBOX_KEEP = timedelta(hours=24)
# At least twice the outbox, and longer than anybody leaves a dead letter alone.
INBOX_KEEP = timedelta(days=14)
INTENTS_KEEP = timedelta(days=1)


class QueueState(Struct, frozen=True):
    """Messages that wait in a queue, and its consumers in all processes."""

    messages: int
    consumers: int


class Process:
    """A service value at work in this process."""

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
        user_id = user_of(settings.rabbitmq_url) if settings.amqp_user_id else None
        self._publisher = Publisher(publishing, user_id=user_id, guards=resources.guards)
        self._relay = Relay(self._db, self._publisher)
        self._db.on_commit = self._relay.announce
        self._stopping = stopping
        self._roles = Roles(stopping)
        self._in_flight = http_server.InFlight()
        self._http: http_server.HttpServer | None = None
        self._grpc: grpc_server.GrpcServer | None = None
        identity = IdentityServiceStub(  # type: ignore[no-untyped-call]
            resources.channel("identity", settings.identity_address)
        )
        self._api_keys = ApiKeys(identity)
        self._request_log = request_log.RequestLog(self._db)
        self._revocation_feed = revocation_feed.RevocationFeed(
            resources.user_tokens.revocations, self._api_keys, identity
        )
        self._handlers: dict[str, QueueHandler] = {}
        self._outbox_lag = metrics.OutboxLag(self._db.clock)
        self._engines = {name: metrics.EngineState(name) for name in ("database", "broker", "redis")}
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
        self._roles.start(self._revocation_feed.run(), "revocations")
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

    async def drain(self, seconds: float) -> None:
        """Serve on for *seconds* while health says that this process stops: others are asked in its place."""
        self._roles.stop()
        if seconds > 0 and self._grpc is not None:
            await self._grpc.drain()
            await asyncio.sleep(seconds)

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
        for batcher in (*self._service.batchers(), self._api_keys.lookups):
            await batcher.drain()
        if self._consuming_tasks:
            await asyncio.wait(self._consuming_tasks)
        for intents in self._service.intents():
            await intents.drain()
        await self._roles.cancel()
        await _last(self._request_log.write())
        await self._relay.drain()
        await self._resources.close_channels()

    async def _serve(self) -> None:
        service = self._service
        servicer = delivery.DeliveryServicer(
            self._db, self._publisher, service.timeline, service.totals, service.recent_totals
        )
        persons = PersonalDataServicer(self._db, self._resources.redis, self._service.personal_data)
        self._grpc = await grpc_server.serve_grpc(
            self._settings.grpc_port,
            [
                *self._service.grpc,
                (add_DeliveryServiceServicer_to_server, servicer),
                (add_PersonalDataServiceServicer_to_server, persons),
            ],
            self._resources.service_tokens,
            host=self._settings.bind_host,
            certificates=self._resources.grpc_certificates,
        )
        config = http_server.ServerConfig(
            self._name,
            self._resources.user_tokens,
            self._checks(),
            metrics=self._settings.prometheus_enabled,
            in_flight_max=self._settings.in_flight_max,
            trusted_proxy_hops=self._settings.trusted_proxy_hops,
            in_flight=self._in_flight,
            is_stopping=self._stopping.is_set,
            keys=KeyGate(
                self._api_keys,
                RateLimiter(self._resources.redis, self._name),
                self._settings.api_key_quotas(),
                self._request_log,
            ),
        )
        self._http = await http_server.serve_http(
            http_server.app(self._service.http, config), self._settings.http_port, host=self._settings.bind_host
        )

    def _make_consumers(self) -> list[Consumer]:
        """One for each queue that is subscribed to, transient or not, and for the dead letters of each that we own."""
        consumer = partial(Consumer, self._consuming, clock=self._db.clock, guards=self._resources.guards)
        verifies = self._settings.amqp_user_id

        def genuine(admitted: admission.Admission, work: Work) -> Work:
            return admission.GenuineOnly(self._db, admitted, work).work

        consumers = []
        for queue, subscriptions in self._service.queues().items():
            handler = QueueHandler(self._db, queue, subscriptions, self._settings.retry_schedule_ms)
            self._handlers[queue] = handler
            consumers.append(
                consumer(
                    queue,
                    genuine(admission.of_queue(CONTRACT.queue(queue), verifies_user=verifies), handler.work),
                    overloaded=self._is_overloaded,
                    low_priority=all(subscription.low_priority for subscription in subscriptions),
                    events_max=max(subscription.events_max for subscription in subscriptions),
                )
            )
        transient = CONTRACT.transient(revocation_feed.QUEUE)
        memory = TransientHandler(self._name, transient, [self._revocation_feed.subscription])
        admitted = admission.of_transient(transient, self._name, verifies_user=verifies)
        consumers.append(consumer(transient.name, genuine(admitted, memory.work), declare=memory.declare))
        for owned in CONTRACT.queues_of(self._name):
            keep = partial(
                dead_letters.keep, self._db, owned.name, subscriptions=self._service.queues().get(owned.name, ())
            )
            admitted = admission.of_dead_letters(owned, verifies_user=verifies)
            consumers.append(consumer(owned.dead_letters, genuine(admitted, keep)))
        return consumers

    def _is_overloaded(self) -> bool:
        """Whether half of the HTTP requests that may be in flight are, or more."""
        return 2 * self._in_flight.count >= self._settings.in_flight_max

    def _own_jobs(self) -> Iterator[Job]:
        for intents in self._service.intents():
            yield Job(f"forget:{intents.kind}", HOUSEKEEPING_SECONDS, partial(intents.forget, INTENTS_KEEP))
        if (data := self._service.personal_data).tables:
            yield Job("reseal", RESEAL_SECONDS, partial(table_passes.reseal_all, self._db, data))
            yield Job("retention", RETENTION_SECONDS, partial(table_passes.forget_old, self._db, data))
        yield Job("request_log", request_log.WRITE_SECONDS, self._request_log.write)
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
            astray = (await tx.execute("select ensure_partitions() + ensure_api_request_partitions()")).scalar()
            await tx.execute(
                "select drop_partitions(cast(:outbox as interval), cast(:inbox as interval))",
                outbox=OUTBOX_KEEP,
                inbox=INBOX_KEEP,
            )
            await tx.execute("select drop_api_request_partitions(cast(:keep as interval))", keep=request_log.KEEP)
            await idempotency.purge(tx)
        if astray:
            logger.error("{} rows lie in the default partitions", astray)

    async def _set_gauges(self) -> None:
        # Looks that fail apart: the outbox grows while the broker is away, and the other way round.
        looks = {"broker": self._look_at_queues, "database": self._look_at_tables, "redis": self._look_at_redis}
        for engine, look in looks.items():
            try:
                await look()
            except Exception as error:  # noqa: BLE001 - the others are looked at all the same
                self._engines[engine].failed()
                if is_transient(error) or isinstance(error, (BrokerUnavailable, RedisError)):
                    logger.warning("the {} gives no figures: {}", engine, type(error).__name__)
                else:
                    logger.opt(exception=error).error("the {} gives no figures", engine)
            else:
                self._engines[engine].answered()

    async def _look_at_redis(self) -> None:
        await self._resources.redis.ping()

    async def _look_at_queues(self) -> None:
        for queue, state in (await self._queue_states(timeout_seconds=GAUGES_SECONDS)).items():
            if (handler := self._handlers.get(queue)) is not None:
                handler.lag.found_waiting(state.messages, state.consumers)

    async def _look_at_tables(self) -> None:
        self._outbox_lag.found(await delivery.oldest_unmarked(self._db))
        backlog = await delivery.waiting(self._db)
        metrics.OUTBOX_UNMARKED.set(backlog.outbox_unmarked)
        metrics.OUTBOX_REFUSED.set(backlog.outbox_refused)
        metrics.INTENTS_PENDING.set(backlog.intents_pending)
        metrics.DEAD_LETTERS_OPEN.set(backlog.dead_letters_open)
        metrics.server_found(await database_server.figures(self._db))

    def _checks(self) -> dict[str, http_server.Check]:
        async def database() -> dict[str, object]:
            await self._db.ping()
            return {}

        async def redis() -> dict[str, object]:
            await write_ready(self._resources.redis, self._name)
            return {}

        async def queues() -> dict[str, object]:
            states = await self._queue_states(timeout_seconds=0.8)
            return {"depths": {name: state.messages for name, state in states.items()}}

        return {"database": database, "redis": redis, "queues": queues}

    async def _queue_states(self, *, timeout_seconds: float) -> dict[str, QueueState]:
        """How many messages and consumers each of our queues has. Raises BrokerUnavailable, AMQPError."""
        channel = await self._consuming.channel(confirms=False, timeout_seconds=timeout_seconds)
        try:
            states = {}
            for owned in CONTRACT.queues_of(self._name):
                with stuck_is_lost():
                    queue = await channel.declare_queue(owned.name, passive=True)
                declared = queue.declaration_result
                states[owned.name] = QueueState(declared.message_count or 0, declared.consumer_count or 0)
            return states
        finally:
            await channel.close()


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


async def _last(work: Coroutine[Any, Any, None]) -> None:
    """What is done once more at the end, as far as it can be."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - the process ends all the same
        logger.warning("the last entries of the request log are lost: {}", type(error).__name__)


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
