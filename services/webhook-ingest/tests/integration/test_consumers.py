"""What payment reports moves the webhook, in whatever order it comes."""

from collections.abc import Callable
from uuid import UUID

import pytest
from google.protobuf.message import Message

from commdesk.webhook_ingest.v1 import events_pb2 as pb
from common import ids
from common.database import Database
from common.testing import Served, published
from webhook_ingest import use_cases
from webhook_ingest.consumers import QUEUE
from webhook_ingest.domain import Stored, Webhook, WebhookUnknown
from webhook_ingest.wire import events


@pytest.fixture
async def stored(db: Database, webhook: Callable[..., Webhook], payment_body: Callable[..., bytes]) -> Stored:
    [one] = await use_cases.store_webhooks(db, [webhook(payment_body())])
    assert isinstance(one, Stored)
    return one


async def _status(db: Database, webhook_id: UUID) -> tuple[str, int, str | None, bool]:
    async with db.begin() as tx:
        row = (await tx.execute("select * from webhook_logs where id = :id", id=webhook_id)).one()
    return row.processing_status, row.retry_count, row.failure_reason, row.processed_at is not None


def _common(webhook_id: UUID, seconds: int) -> dict[str, object]:
    return {
        "event_id": ids.encode("evt", ids.new()),
        "time_unix_micros": (1_767_225_600 + seconds) * 1_000_000,
        "gateway": "cashfree",
        "webhook_id": ids.encode("evt", webhook_id),
    }


async def test_from_received_to_success(db: Database, ingest: Served, stored: Stored) -> None:
    key = stored.webhook_id
    assert await _status(db, key) == ("RECEIVED", 0, None, False)
    await ingest.handle(QUEUE, [pb.WebhookProcessing(**_common(key, 1), reason="order_unknown")])
    assert await _status(db, key) == ("PROCESSING", 0, None, False)
    await ingest.handle(QUEUE, [pb.WebhookRetried(**_common(key, 2), reason="order_unknown", attempt=2)])
    assert await _status(db, key) == ("PROCESSING", 2, None, False)
    payment = ids.encode("pay", ids.new())
    await ingest.handle(QUEUE, [pb.WebhookProcessed(**_common(key, 3), outcome="APPLIED", payment_id=payment)])
    assert await _status(db, key) == ("SUCCESS", 2, None, True)
    # Later reports about an earlier time change nothing.
    await ingest.handle(QUEUE, [pb.WebhookFailed(**_common(key, 4), reason="late")])
    assert await _status(db, key) == ("SUCCESS", 2, None, True)
    async with db.begin() as tx:
        timeline = await use_cases.timeline(tx, payment)
    assert [entry.summary.split()[-1] for entry in timeline.entries] == [
        "received", "processing", "processing", "success", "failed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "status", "failures"),
    [
        (pb.WebhookFailed(reason="amount_mismatch"), "FAILED", 2),
        (pb.WebhookDeadLettered(reason="order_unknown"), "DEAD", 2),
        (pb.WebhookProcessed(outcome="PARKED", reason="type_unknown"), "PARKED", 0),
        (pb.WebhookProcessed(outcome="NO_EFFECT", reason="already_final"), "SUCCESS", 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_every_ending(
    db: Database, ingest: Served, stored: Stored, message: Message, status: str, failures: int
) -> None:
    complete = type(message)(**_common(stored.webhook_id, 1))
    complete.MergeFrom(message)
    await ingest.handle(QUEUE, [complete])
    await ingest.handle(QUEUE, [complete])
    assert (await _status(db, stored.webhook_id))[0] == status
    # The alert is raised once in the fleet, by payment, which keeps the dead letter. Each report is a figure.
    assert await published(db, "email.admin.alert") == []
    assert len(await published(db, "analytics.webhook.failure")) == failures
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from webhook_history")).scalar_one() == 1


async def test_a_report_about_an_unknown_webhook_is_refused_and_the_others_are_not(
    db: Database, stored: Stored
) -> None:
    report = events.failed(pb.WebhookFailed(**_common(stored.webhook_id, 1), reason="x"))  # type: ignore[arg-type]
    stray = events.failed(pb.WebhookFailed(**_common(ids.new(), 1), reason="x"))  # type: ignore[arg-type]
    async with db.begin() as tx:
        errors = await use_cases.follow_reports(tx, [stray, report])
    assert [type(error) for error in errors] == [WebhookUnknown, type(None)]
    assert (await _status(db, stored.webhook_id))[0] == "FAILED"
