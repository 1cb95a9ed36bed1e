"""A service as a value: what one process does, and what common opened for it."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from random import Random
from typing import Any, Protocol, TypeVar

import grpc
from msgspec import Struct
from redis.asyncio import Redis

from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from common import delivery, grpc_client, grpc_server, http_server
from common.authorization import Authorizer
from common.batching import Batcher
from common.clock import Clock
from common.database import Database
from common.delivery import ReadTimeline, Totals
from common.grpc_certificates import Certificates
from common.guards import Guards
from common.personal_data import PersonalData
from common.settings import ServiceSettings
from common.subscriptions import Subscription
from common.tokens import ServiceTokens, UserTokens

S = TypeVar("S", bound=ServiceSettings)


class Worker(Protocol):
    """What takes work that is due from a table of its own. `common.intents.Intents` is one, and mostly enough."""

    @property
    def kind(self) -> str: ...

    async def run(self) -> None:
        """Take what is due and do it, until `stop`."""

    async def run_once(self) -> int:
        """Take what is due now and do it to its end; how much."""

    def stop(self) -> None:
        """Take nothing new."""

    async def drain(self) -> None:
        """Wait for what is being done."""

    async def forget(self, age: timedelta) -> None:
        """Delete what was done longer ago than *age*."""


class Workers(Struct, frozen=True):
    """What a collaborator has running in the background: its intents are executed, its batchers flushed at the end."""

    intents: tuple[Worker, ...] = ()
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
    # Those that books are compared by, from checkpoints on, in a service whose tables grow (common.checkpoints).
    recent_totals: Totals | None = None
    personal_data: PersonalData = PersonalData()

    def queues(self) -> dict[str, list[Subscription]]:
        """The subscriptions by their queue."""
        by_queue: dict[str, list[Subscription]] = {}
        for subscription in self.subscriptions:
            by_queue.setdefault(subscription.queue, []).append(subscription)
        return by_queue

    def intents(self) -> Iterator[Worker]:
        for workers in self.workers:
            yield from workers.intents

    def batchers(self) -> Iterator[Batcher[Any, Any]]:
        for workers in self.workers:
            yield from workers.batchers


class Resources:
    """What common opened for a service. *clock* is for its business; *db* has the process's own. *sealer* is db's."""

    def __init__(
        self,
        db: Database,
        redis: Redis,
        user_tokens: UserTokens,
        service_tokens: ServiceTokens,
        clock: Clock,
        random: Random,
        guards: Guards,
        grpc_certificates: Certificates | None = None,
    ) -> None:
        self.db = db
        self.sealer = db.sealer
        self.redis = redis
        self.user_tokens = user_tokens
        self.service_tokens = service_tokens
        self.clock = clock
        self.random = random
        self.guards = guards
        self.grpc_certificates = grpc_certificates
        self._channels: list[grpc.aio.Channel] = []

    def channel(self, audience: str, address: str) -> grpc.aio.Channel:
        """A channel to another service, for a generated stub; every call states its `timeout=`."""
        channel = grpc_client.channel(address, self.service_tokens, audience, self.grpc_certificates)
        self._channels.append(channel)
        return channel

    def authorizer(self, address: str) -> Authorizer:
        """Calls identity at *address* before acts of staff that move money or rights."""
        return Authorizer(IdentityServiceStub(self.channel("identity", address)))  # type: ignore[no-untyped-call]

    async def close_channels(self) -> None:
        for channel in self._channels:
            await channel.close(None)


# Builds the value; what it opens for itself closes after everything has stopped.
Build = Callable[[S, Resources], AbstractAsyncContextManager[Service]]
