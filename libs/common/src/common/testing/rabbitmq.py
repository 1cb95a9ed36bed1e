"""A vhost for every worker with the whole topology, and the rights that production has."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import pytest

from common.testing.engines import RUN, Stack, is_over, run

if TYPE_CHECKING:
    from google.protobuf.message import Message

RETRY_SCHEDULE_MS = (100, 200, 300, 400)


class Announce(Protocol):
    async def __call__(self, events: "Sequence[Message]", times: int = 1) -> None:
        """Put one envelope of *events*, all of one type, on their exchange; more *times* if confirms were lost."""


@pytest.fixture(scope="session")
def retry_schedule_ms() -> Sequence[int]:
    return RETRY_SCHEDULE_MS


@pytest.fixture(scope="session")
def vhost(stack: Stack, retry_schedule_ms: Sequence[int]) -> Iterator[str]:
    """A vhost of this worker's own with the whole topology."""
    name = f"test_{RUN}"
    run(_make_vhost(stack, name, retry_schedule_ms))
    yield name
    run(_drop_vhost(stack, name))


@pytest.fixture
def broker_admin_url(stack: Stack, vhost: str, retry_schedule_ms: Sequence[int]) -> str:
    """The broker as the migrate step sees it, for tests that speak in another service's name. All queues are empty."""
    url = f"{stack.amqp_url}/{vhost}"
    run(_purge(url, retry_schedule_ms))
    return url


class BrokerUrlOf(Protocol):
    def __call__(self, user: str) -> str:
        """The broker as *user* of the contract sees it: with the rights that the contract gives it."""


@pytest.fixture(scope="session")
def broker_url_of(stack: Stack, vhost: str, retry_schedule_ms: Sequence[int]) -> BrokerUrlOf:
    """`broker_url_of("identity")`, for tests in which several services speak."""
    run(_grant(stack, vhost, retry_schedule_ms))

    def url(user: str) -> str:
        # By its own name: the broker lets nobody publish under another, and consumers look at it.
        scheme, _, address = stack.amqp_url.partition("://")
        return f"{scheme}://{user}:{stack.broker_password(user)}@{address.rpartition('@')[2]}/{vhost}"

    return url


@pytest.fixture
def broker_url(broker_url_of: BrokerUrlOf, service_name: str, broker_admin_url: str) -> str:
    """The broker as the service sees it: with the rights that the contract gives it. All queues are empty."""
    return broker_url_of(service_name)


@pytest.fixture
def announce(broker_url_of: BrokerUrlOf, service_name: str) -> Announce:
    """Publishes events as their producer would; the contract says how."""
    import aio_pika

    from common import envelopes
    from common.topology import CONTRACT

    async def send(events: "Sequence[Message]", times: int = 1) -> None:
        event = CONTRACT.events[events[0].DESCRIPTOR.full_name]
        producer = service_name if event.is_announced_by(service_name) else event.producers[0]
        _, envelope = envelopes.seal(producer, event.type, [each.SerializeToString() for each in events])
        message = aio_pika.Message(envelope, user_id=producer)
        async with await aio_pika.connect(broker_url_of(producer)) as connection:
            exchange = await (await connection.channel()).get_exchange(event.exchange, ensure=False)
            for _ in range(times):
                await exchange.publish(message, event.routing_key(events[0]), mandatory=True)

    return send


async def _make_vhost(stack: Stack, name: str, retry_schedule_ms: Sequence[int]) -> None:
    import aio_pika

    from common import topology
    from common.bootstrap import management

    async with management(stack.management_url) as api:
        for vhost in await (await api.get("/api/vhosts")).json():
            parts = vhost["name"].split("_")
            if parts[0] == "test" and len(parts) == 3 and is_over(int(parts[1])):
                await api.delete(f"/api/vhosts/{vhost['name']}")
        await api.put(f"/api/vhosts/{name}", json={})
        user = (await (await api.get("/api/whoami")).json())["name"]
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await api.put(f"/api/permissions/{name}/{user}", json=everything)
    async with await aio_pika.connect(f"{stack.amqp_url}/{name}") as connection:
        await topology.declare(await connection.channel(), retry_schedule_ms)


async def _drop_vhost(stack: Stack, name: str) -> None:
    from common.bootstrap import management

    async with management(stack.management_url) as api:
        await api.delete(f"/api/vhosts/{name}")


async def _grant(stack: Stack, vhost: str, retry_schedule_ms: Sequence[int]) -> None:
    from common import bootstrap
    from common.topology import users

    passwords = {user: stack.broker_password(user) for user in users()}
    await bootstrap.broker(stack.management_url, vhost, passwords, retry_schedule_ms)


async def _purge(url: str, retry_schedule_ms: Sequence[int]) -> None:
    """The queues of other services too: a test may look into them, and the vhost is all tests'."""
    import aio_pika

    from common import topology

    queues = [name for queue in topology.CONTRACT.queues for name in (queue.name, queue.dead_letters)]
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        tiers = [name for ttl_ms in retry_schedule_ms for name in topology.retry_queues(ttl_ms)]
        for name in [*tiers, *queues]:
            await (await channel.get_queue(name, ensure=False)).purge()
