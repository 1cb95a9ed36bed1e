"""A Service value inside the test's process: its endpoints, handlers, jobs and intents."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec import Struct

from commdesk.common.v1 import delivery_pb2
from commdesk.common.v1.delivery_pb2_grpc import DeliveryServiceStub, add_DeliveryServiceServicer_to_server
from commdesk.payment.v1.events_pb2 import PaymentSyncRequested
from common import delivery, ids
from common.batching import Batcher
from common.database import Tx
from common.errors import Conflict, DomainError, InvalidArgument, NotFound
from common.http_server import Call, Route
from common.intents import Intent, Intents
from common.runtime import Job, Resources, Service, Workers
from common.subscriptions import Subscription
from common.testing import published
from common.topology import REQUEUE, retry_queues

QUEUE = "payment.processing"


class Greeting(Struct, frozen=True):
    user: str
    at: str


class Notes(Struct):
    """What the service did. Mutable: it accumulates."""

    handled: list[str]
    executed: list[bytes]
    jobs: int = 0


class NotYet(Conflict):
    fix = "wait"


class NeverThere(NotFound):
    fix = "give up"


@asynccontextmanager
async def service(notes: Notes, resources: Resources) -> AsyncIterator[Service]:
    async def greet(call: Call[None]) -> Greeting:
        return Greeting(call.caller.user_id, resources.clock.now().isoformat())

    async def on_syncs_requested(tx: Tx, events: Sequence[str]) -> list[DomainError | None]:
        outcomes = {"pay_later": NotYet(), "pay_never": NeverThere(), "pay_invalid": InvalidArgument()}
        notes.handled += [event for event in events if event not in outcomes]
        return [outcomes.get(event) for event in events]

    async def execute(intent: Intent) -> bytes:
        return intent.payload

    async def record_outcome(tx: Tx, outcomes: Sequence[tuple[Intent, bytes]]) -> None:
        notes.executed += [outcome for _, outcome in outcomes]

    async def double(numbers: list[int]) -> list[int]:
        return [2 * number for number in numbers]

    async def tidy() -> None:
        notes.jobs += 1

    intents: Intents[bytes] = Intents(resources.db, "test", execute, record_outcome)
    async with resources.db.begin() as tx:
        await intents.record(tx, {ids.new(): b"effect"})
    servicer = delivery.DeliveryServicer(resources.db, None, delivery.no_timeline, delivery.no_totals)  # type: ignore[arg-type]

    yield Service(
        http=[Route("GET", "/api/v1/greeting", greet, answer=Greeting, permission="payments.read")],
        grpc=[(add_DeliveryServiceServicer_to_server, servicer)],
        subscriptions=[
            Subscription(QUEUE, PaymentSyncRequested, lambda message: str(message.payment_id), on_syncs_requested)
        ],
        workers=[Workers(intents=(intents,), batchers=(Batcher(double, name="double"),))],
        jobs=[Job("tidy", 60, tidy)],
    )


@pytest.fixture
def notes() -> Notes:
    return Notes([], [])


async def test_endpoints_know_the_caller_and_the_tests_clock(notes, resources, serve, access_token, clock):
    async with service(notes, resources) as value, serve(value) as served:
        headers = {"authorization": f"Bearer {access_token('usr_1')}"}
        response = await served.http.get("/api/v1/greeting", headers=headers)
        assert response.json()["data"] == {"user": "usr_1", "at": clock.now().isoformat()}
        assert (await served.http.get("/api/v1/greeting")).status_code == 401


async def test_what_a_handler_refuses_is_retried_or_dead_lettered_by_its_kind(notes, resources, serve, db):
    events = [PaymentSyncRequested(payment_id=f"pay_{each}") for each in ("one", "later", "never", "invalid", "two")]
    async with service(notes, resources) as value, serve(value) as served:
        await served.handle(QUEUE, events)
    assert notes.handled == ["pay_one", "pay_two"]
    async with db.begin() as tx:
        rows = await tx.execute(
            "select exchange, routing_key, headers->>'error-code' as code from outbox order by 1, 3"
        )
    rows = list(rows)
    assert [tuple(row) for row in rows[:2]] == [
        (REQUEUE, f"{QUEUE}.dlq", "invalid_argument"),
        (REQUEUE, f"{QUEUE}.dlq", "never_there"),
    ]
    assert rows[2].exchange in retry_queues(100)
    assert tuple(rows[2])[1:] == (QUEUE, "not_yet")
    assert len(await published(db)) == 3


async def test_jobs_intents_and_calls(notes, resources, serve):
    async with service(notes, resources) as value, serve(value) as served:
        await served.run_job("tidy")
        assert await served.execute_intents() == 1
        stub = DeliveryServiceStub(served.channel("operator"))
        backlog = await stub.Backlog(delivery_pb2.BacklogRequest(), timeout=5)
    assert (notes.jobs, notes.executed, backlog.intents_pending) == (1, [b"effect"], 0)
