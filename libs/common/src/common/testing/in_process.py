"""A Service value at work inside the test's own process: its endpoints, handlers, jobs and intents, without a broker.

    @pytest_asyncio.fixture
    async def wallet(serve, resources, service_env):
        async with wallet_main.service(read(Settings), resources) as service, serve(service) as served:
            yield served

What is announced stays in the outbox: see `published`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from common.testing.environment import public_key
from common.testing.rabbitmq import RETRY_SCHEDULE_MS

if TYPE_CHECKING:
    import grpc
    import httpx
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from google.protobuf.message import Message

    from common.clock import FakeClock
    from common.envelopes import Delivery
    from common.grpc_server import GrpcServer
    from common.guards import Guards
    from common.runtime import Resources, Service

FIRST_MERCHANT_ID = "mer_commdesk"
TOKEN_KEY_ID = "tests"  # noqa: S105 - a name


class Served:
    """One service in this process; *http* is a client of its HTTP endpoints."""

    def __init__(
        self,
        name: str,
        service: "Service",
        resources: "Resources",
        http: "httpx.AsyncClient",
        server: "GrpcServer",
        keys: dict[str, str],
    ) -> None:
        from common.queue_handler import QueueHandler

        self.service = service
        self.resources = resources
        self.http = http
        self._name = name
        self._server = server
        self._keys = keys
        self._channels: list[grpc.aio.Channel] = []
        self._handlers = {
            queue: QueueHandler(resources.db, queue, subscriptions, RETRY_SCHEDULE_MS)
            for queue, subscriptions in service.queues().items()
        }

    async def handle(self, queue: str, events: Sequence["Message"]) -> None:
        """Have *queue* deliver one envelope of *events*, all of one type, and handle it to its end."""
        await self.deliver(queue, [delivery(events)])

    async def deliver(self, queue: str, deliveries: Sequence["Delivery"]) -> None:
        """Handle a batch to its end; what is refused is in the outbox then, on its way to a retry tier."""
        await self._handlers[queue].work(deliveries)

    async def keep_dead_letters(self) -> int:
        """Store what the outbox holds for dead-letter queues, as their consumers do; how many envelopes."""
        import json

        from common import dead_letters, envelopes
        from common.topology import DEAD_LETTERS

        async with self.resources.db.begin() as tx:
            rows = await tx.execute(
                "select routing_key, body, cast(headers as text) as headers from outbox"
                " where routing_key like '%' || :suffix order by envelope_id",
                suffix=DEAD_LETTERS,
            )
        queues = self.service.queues()
        for row in rows:
            queue = row.routing_key.removesuffix(DEAD_LETTERS)
            delivered = envelopes.read(row.body, json.loads(row.headers or "{}"))
            await dead_letters.keep(self.resources.db, queue, [delivered], subscriptions=queues.get(queue, ()))
        return len(rows)

    @property
    def port(self) -> int:
        """Where its gRPC endpoints listen."""
        return self._server.port

    def channel(self, caller: str = "operator") -> "grpc.aio.Channel":
        """A channel to the service for a generated stub, in the name of *caller*."""
        from common import grpc_client
        from common.tokens import ServiceTokens

        public_keys = {name: public_key(key) for name, key in self._keys.items()}
        tokens = ServiceTokens(caller, self._keys[caller], public_keys)
        channel = grpc_client.channel(f"127.0.0.1:{self._server.port}", tokens, self._name)
        self._channels.append(channel)
        return channel

    async def run_job(self, name: str) -> None:
        """One turn of a job. Raises KeyError when the service has none of that name."""
        await {job.name: job for job in self.service.jobs}[name].run()

    async def execute_intents(self) -> int:
        """Execute what is due, and what becomes due by that, until nothing is; how many."""
        count = 0
        while executed := sum([await intents.run_once() for intents in self.service.intents()]):
            count += executed
        return count

    async def close(self) -> None:
        await self.http.aclose()
        for channel in self._channels:
            await channel.close(None)
        await self._server.stop(0)
        for batcher in self.service.batchers():
            await batcher.drain()
        for intents in self.service.intents():
            intents.stop()
            await intents.drain()
        await self.resources.close_channels()


def delivery(
    events: Sequence["Message"], *, attempt: int = 0, producer: str = "", contexts: Sequence[bytes] = ()
) -> "Delivery":
    """One envelope of *events*, all of one type, as the broker delivers it; *attempt* counts the tiers behind it, and
    *contexts* say which request each event comes from.
    """
    from common.clock import SYSTEM_CLOCK
    from common.envelopes import Delivery, seal
    from common.events import micros
    from common.topology import CONTRACT

    type_name = events[0].DESCRIPTOR.full_name
    producer = producer or CONTRACT.events[type_name].producers[0]
    bodies = [event.SerializeToString() for event in events]
    envelope_id, _ = seal(producer, type_name, bodies)
    return Delivery(
        envelope_id,
        type_name,
        producer,
        "",
        micros(SYSTEM_CLOCK.now()),
        bodies,
        attempt,
        0,
        "",
        "",
        redeliveries=0,
        contexts=contexts,
    )


@pytest.fixture
def guards() -> "Guards":
    """All of them; a test of a guard overrides this with one fewer."""
    from common.guards import Guards

    return Guards.all()


@pytest_asyncio.fixture
async def resources(
    service_env: dict[str, str],
    service_name: str,
    clock: "FakeClock",
    guards: "Guards",
    token_signer: "Ed25519PrivateKey",
) -> AsyncIterator["Resources"]:
    """What the runtime opens for the service: a fresh database, an empty Redis, tokens; the clock is `clock`."""
    from common.runtime import opened
    from common.settings import ServiceSettings, read

    async with opened(read(ServiceSettings), service_name, guards, clock=clock) as each:
        each.user_tokens.accept({TOKEN_KEY_ID: token_signer.public_key()})
        each.user_tokens.revocations.confirm(float("inf"), token_life_seconds=float("inf"))
        yield each


@asynccontextmanager
async def serving(
    service: "Service", resources: "Resources", service_name: str, service_keys: dict[str, str]
) -> AsyncIterator[Served]:
    """The value at work over *resources*; several may be in one process, each under its own name."""
    import httpx

    from commdesk.common.v1.personal_data_pb2_grpc import add_PersonalDataServiceServicer_to_server
    from common import http_server
    from common.grpc_server import serve_grpc
    from common.personal_data_service import PersonalDataServicer

    persons = PersonalDataServicer(resources.db, resources.redis, service.personal_data)
    config = http_server.ServerConfig(service_name, resources.user_tokens)
    transport = httpx.ASGITransport(http_server.app(service.http, config))
    async with AsyncExitStack() as stack:
        endpoints = [*service.grpc, (add_PersonalDataServiceServicer_to_server, persons)]
        server = await serve_grpc(0, endpoints, resources.service_tokens)
        http = httpx.AsyncClient(transport=transport, base_url="http://service")
        served = Served(service_name, service, resources, http, server, service_keys)
        stack.push_async_callback(served.close)
        yield served


@pytest.fixture
def serve(
    resources: "Resources", service_name: str, service_keys: dict[str, str]
) -> "Callable[[Service], AbstractAsyncContextManager[Served]]":
    """`async with serve(service) as served:` has the value answer, handle and execute in this process."""
    return lambda service: serving(service, resources, service_name, service_keys)


@pytest.fixture(scope="session")
def token_signer() -> "Ed25519PrivateKey":
    """The key that signs people's tokens in place of identity's."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


@pytest_asyncio.fixture
async def served(
    resources: "Resources",
    serve: "Callable[[Service], AbstractAsyncContextManager[Served]]",
    service_name: str,
) -> AsyncIterator[Served]:
    """The service as its `__main__` builds it, in this process."""
    from importlib import import_module

    from common.services import SERVICES
    from common.settings import read

    package = SERVICES[service_name].package
    settings = read(import_module(f"{package}.settings").Settings)
    async with import_module(f"{package}.__main__").service(settings, resources) as value, serve(value) as each:
        yield each


@pytest.fixture
def access_token(token_signer: "Ed25519PrivateKey") -> Callable[..., str]:
    """`access_token("usr_1", roles=["ADMIN"])` signs a person's token that the service under test accepts."""
    import time

    import jwt

    from common.settings import ServiceSettings

    issuer, audience = (ServiceSettings.model_fields[name].default for name in ("token_issuer", "token_audience"))

    def sign(user_id: str, *, merchant_id: str = FIRST_MERCHANT_ID, roles: Sequence[str] = (), **claims: object) -> str:
        now = int(time.time())
        content = {"iss": issuer, "aud": audience, "iat": now, "exp": now + 600}
        content |= {"sub": user_id, "merchant_id": merchant_id, "roles": list(roles)}
        return jwt.encode(content | claims, token_signer, algorithm="EdDSA", headers={"kid": TOKEN_KEY_ID})

    return sign
