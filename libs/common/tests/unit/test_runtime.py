"""What becomes of a process when one of its roles ends, and what a service value says of itself."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from commdesk.payment.v1.events_pb2 import PaymentSyncRequested
from common.batching import Batcher
from common.process import Roles
from common.runtime import Service, Workers, foreign_credentials
from common.settings import ServiceSettings
from common.subscriptions import Subscription


def roles() -> tuple[Roles, asyncio.Event]:
    stopping = asyncio.Event()
    return Roles(stopping), stopping


async def test_a_role_that_dies_takes_the_process_along() -> None:
    async def dies() -> None:
        raise ValueError

    process, stopping = roles()
    await asyncio.wait([process.start(dies(), "role")])
    assert stopping.is_set()
    with pytest.raises(ValueError):
        await process.until_stopped()


async def test_so_does_a_role_that_is_cancelled_by_nobody_of_ours() -> None:
    """As a client library did with consumers whose connection it gave up: nobody consumed their queues any more."""
    process, stopping = roles()
    role = process.start(asyncio.sleep(60), "role")
    role.cancel()
    await asyncio.wait([role])
    assert stopping.is_set()
    with pytest.raises(RuntimeError, match="cancelled"):
        await process.until_stopped()


async def test_roles_that_end_because_the_service_stops_are_no_failure() -> None:
    process, _ = roles()
    role = process.start(asyncio.sleep(60), "role")
    process.stop()
    role.cancel()
    await asyncio.wait([role])
    await process.until_stopped()


async def test_a_service_lists_what_its_collaborators_have_running() -> None:
    async def flush(items: list[int]) -> Sequence[int]:
        return items

    async def handle(tx: Any, events: Sequence[Any]) -> None: ...

    def decode(message: Any) -> Any:
        return message

    first, second = Batcher(flush, name="first"), Batcher(flush, name="second")
    subscriptions = [Subscription(queue, PaymentSyncRequested, decode, handle) for queue in ("a", "b", "a")]
    service = Service(workers=[Workers(batchers=(first,)), Workers(batchers=(second,))], subscriptions=subscriptions)
    assert list(service.batchers()) == [first, second]
    assert list(service.intents()) == []
    assert {queue: len(group) for queue, group in service.queues().items()} == {"a": 2, "b": 1}


OWN = {
    "database_url": "postgresql://wallet:Zk3vQ9xw7TpL@127.0.0.1:1/commdesk",
    "rabbitmq_url": "amqp://wallet:Hq8mN2rb5YcD@127.0.0.1:1/",
}


def foreign(**given: Any) -> list[tuple[str, str]]:
    return list(foreign_credentials(ServiceSettings.model_construct(**OWN | given), "wallet"))


def test_a_process_serves_with_its_own_credentials() -> None:
    assert foreign() == []
    assert foreign(rabbitmq_url="amqp://wallet:x@a/v,amqp://wallet:x@b/v") == []
    assert foreign(rabbitmq_url="amqp://one-for-all:x@a/v", amqp_user_id=False) == []
    assert foreign(environment="development", database_url="postgresql://postgres:x@127.0.0.1/commdesk") == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"database_migration_url": "postgresql://wallet_owner:x@127.0.0.1/commdesk"}, "DATABASE_MIGRATION_URL"),
        ({"rabbitmq_migration_url": "amqp://migrator:x@127.0.0.1/commdesk"}, "RABBITMQ_MIGRATION_URL"),
        ({"database_url": "postgresql://wallet_owner:x@127.0.0.1/commdesk"}, "DATABASE_URL"),
        ({"rabbitmq_url": "amqp://migrator:x@127.0.0.1/commdesk"}, "RABBITMQ_URL"),
        ({"rabbitmq_url": "amqp://migrator:x@127.0.0.1/commdesk", "amqp_user_id": False}, "RABBITMQ_URL"),
        ({"rabbitmq_url": "amqp://payment:x@127.0.0.1/commdesk"}, "RABBITMQ_URL"),
        ({"rabbitmq_url": "amqp://administrator:x@127.0.0.1/commdesk"}, "RABBITMQ_URL"),
        ({"rabbitmq_url": "amqp://wallet:x@a/commdesk,amqp://payment:x@b/commdesk"}, "RABBITMQ_URL"),
        ({"database_url": "postgresql://wallet%5Fowner:x@127.0.0.1/commdesk"}, "DATABASE_URL"),
        ({"database_url": "postgresql://webhook_ingest:x@127.0.0.1/commdesk"}, "DATABASE_URL"),
        ({"database_url": "postgresql://ledger:x@127.0.0.1/commdesk", "environment": "test"}, "DATABASE_URL"),
        ({"database_url": "postgresql://neondb_admin:x@127.0.0.1/commdesk"}, "DATABASE_URL"),
    ],
)
def test_it_does_not_serve_with_those_of_others(given: dict[str, Any], named: str) -> None:
    [(variable, problem)] = foreign(**given)
    assert variable == named
    assert ":x@" not in problem
