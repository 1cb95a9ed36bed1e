"""Batches of events from several requests: what each announces, and what the batch's line says."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.payment.v1.events_pb2 import AnalyticsPaymentCreated, PaymentSyncRequested
from common import context, envelopes, event_contexts, events, logs, outbox, telemetry
from common.context import Context
from common.database import Database, Tx
from common.errors import DomainError, FailedPrecondition
from common.queue_handler import QueueHandler
from common.subscriptions import Subscription
from common.testing import RETRY_SCHEDULE_MS
from common.testing.in_process import delivery

QUEUE = "payment.processing"
TRACES = ["00-" + str(number) * 32 + "-" + "2" * 16 + "-01" for number in (1, 2)]


class NotYet(FailedPrecondition):
    fix = "wait"


def origin(number: int) -> Context:
    return Context(request_id=f"req-{number}", correlation_id=f"cor-{number}", traceparent=TRACES[number - 1])


@pytest.fixture
def written() -> Callable[[], list[dict[str, Any]]]:
    stream = io.BytesIO()
    logs.setup("payment", "test", "INFO", stream=stream)

    def lines() -> list[dict[str, Any]]:
        logs.flush()
        return [json.loads(text) for text in stream.getvalue().splitlines()]

    yield lines
    logs.setup("payment", "test", "CRITICAL", stream=io.BytesIO())


async def handle(tx: Tx, requests: Sequence[PaymentSyncRequested]) -> list[DomainError | None]:
    """Announces an analytics event and an audit line about each, and refuses those of the merchant "later"."""
    messages = []
    for request in requests:
        messages += [
            AnalyticsPaymentCreated(payment_id=request.payment_id),
            events.audit(
                "payment.sync",
                ("payment", request.payment_id),
                service="payment",
                at=tx.clock.now(),
                merchant_id="mer_1",
                actor_id="service:payment",
            ),
        ]
    await outbox.append(tx, messages)
    return [NotYet() if request.merchant_id == "later" else None for request in requests]


def handler(db: Database) -> QueueHandler:
    subscription = Subscription(QUEUE, PaymentSyncRequested, lambda message: message, handle)
    return QueueHandler(db, QUEUE, [subscription], RETRY_SCHEDULE_MS)


async def announced(db: Database) -> dict[str, list[tuple[Any, Context]]]:
    """The events of the outbox by their types, each with its context."""
    found: dict[str, list[tuple[Any, Context]]] = {}
    async with db.begin() as tx:
        for row in await tx.execute("select type, body from outbox order by envelope_id"):
            envelope = envelopes.read(row.body, {})
            kinds = {"AuditRecorded": events.AuditRecorded, "AnalyticsPaymentCreated": AnalyticsPaymentCreated}
            name = row.type.rpartition(".")[2]
            kind = kinds.get(name, PaymentSyncRequested)
            found.setdefault(name, []).extend(
                (kind.FromString(body), event_contexts.opened(envelope.context_of(body))) for body in envelope.bodies
            )
    return found


def mixed(*merchants: str) -> envelopes.Delivery:
    """One envelope of two events, each of a request of its own."""
    requests = [
        PaymentSyncRequested(payment_id=f"pay_{number}", merchant_id=merchants[number - 1]) for number in (1, 2)
    ]
    return delivery(requests, contexts=[event_contexts.serialised(origin(number)) for number in (1, 2)])


async def test_each_event_of_a_batch_keeps_the_ids_of_its_own_request(db: Database, written) -> None:
    await handler(db).work([mixed("mer_1", "mer_1")])
    found = await announced(db)
    assert {event.payment_id: each for event, each in found["AnalyticsPaymentCreated"]} == {
        "pay_1": origin(1),
        "pay_2": origin(2),
    }
    assert {event.resource_id: (event.correlation_id, event.trace_id) for event, _ in found["AuditRecorded"]} == {
        "pay_1": ("cor-1", "1" * 32),
        "pay_2": ("cor-2", "2" * 32),
    }
    [line] = [line for line in written() if line["message"] == "batch"]
    assert (line["links"], line["paymentIds"]) == (["cor-1", "cor-2"], ["pay_1", "pay_2"])
    assert (line["requestId"], line["correlationId"]) == ("", "")


async def test_an_event_alone_gives_its_line_all_its_ids(db: Database, written) -> None:
    request = PaymentSyncRequested(payment_id="pay_1")
    await handler(db).work([delivery([request], contexts=[event_contexts.serialised(origin(1))])])
    [line] = [line for line in written() if line["message"] == "batch"]
    assert (line["requestId"], line["correlationId"], line["paymentId"]) == ("req-1", "cor-1", "pay_1")
    assert line["traceId"] == "1" * 32
    [(_, kept)] = (await announced(db))["AnalyticsPaymentCreated"]
    assert (kept.request_id, kept.correlation_id, kept.trace_id) == ("req-1", "cor-1", "1" * 32)


async def test_a_refused_event_keeps_its_ids_through_the_retry_tiers(db: Database) -> None:
    await handler(db).work([mixed("mer_1", "later")])
    [(event, kept)] = (await announced(db))["PaymentSyncRequested"]
    assert (event.payment_id, kept) == ("pay_2", origin(2))


async def test_an_endpoints_announcement_carries_the_request(db: Database) -> None:
    with context.bind(origin(1)):
        async with db.begin() as tx:
            await outbox.append(
                tx, [PaymentSyncRequested(payment_id="pay_1"), PaymentSyncRequested(payment_id="pay_2")]
            )
            [row] = tx.outgoing
    envelope = Envelope.FromString(row.body)
    assert len(envelope.contexts) == 1, "one for all of them"
    assert event_contexts.opened(envelope.contexts[0]) == origin(1)


@pytest.fixture
def spans() -> Iterator[Callable[[str], list[ReadableSpan]]]:
    """The finished spans whose names end so."""
    exporter = InMemorySpanExporter()
    telemetry.setup_tracing(None, "payment", processor=SimpleSpanProcessor(exporter))
    yield lambda end: [span for span in exporter.get_finished_spans() if span.name.endswith(end)]
    telemetry.shutdown_tracing()


async def test_the_span_of_a_batch_links_the_traces_of_its_requests(db: Database, spans) -> None:
    await handler(db).work([mixed("mer_1", "mer_1")])
    await handler(db).work(
        [delivery([PaymentSyncRequested(payment_id="pay_3")], contexts=[event_contexts.serialised(origin(1))])]
    )
    batch, single = spans(" process")
    assert [f"{link.context.trace_id:032x}" for link in batch.links] == ["1" * 32, "2" * 32]
    assert f"{batch.context.trace_id:032x}" not in {"1" * 32, "2" * 32}
    assert (f"{single.context.trace_id:032x}", f"{single.parent.span_id:016x}") == ("1" * 32, "2" * 16)
    transactions = spans("sql transaction")
    assert [each.parent.span_id for each in transactions] == [batch.context.span_id, single.context.span_id]
    for each in transactions:
        assert each.attributes.keys() == {
            "db.system.name",
            "db.transaction.committed",
            "db.statements.count",
            "db.statements.ms",
        }
        assert each.attributes["db.transaction.committed"]
        assert each.attributes["db.statements.count"] >= 2, "the claim and the announcements"


async def test_a_batch_that_raises_has_a_span_without_sampling(db: Database, written, spans) -> None:
    async def broken(_: Tx, __: object) -> list[DomainError | None]:
        raise ValueError("a bug")

    unsampled = Context(correlation_id="cor-1", traceparent=TRACES[0][:-2] + "00")
    subscription = Subscription(QUEUE, PaymentSyncRequested, lambda message: message, broken)
    await QueueHandler(db, QUEUE, [subscription], RETRY_SCHEDULE_MS).work(
        [delivery([PaymentSyncRequested(payment_id="pay_1")], contexts=[event_contexts.serialised(unsampled)])]
    )
    [failed] = spans("")
    [line] = [line for line in written() if line["message"] == "handler raised"]
    assert (failed.name, failed.status.is_ok) == (f"{QUEUE} process", False)
    assert f"{failed.context.trace_id:032x}" == line["traceId"] == "1" * 32
