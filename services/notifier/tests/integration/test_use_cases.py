"""From the event to the inbox: real Postgres, real SMTP server, the worker that runs in production."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol

import pytest
from google.protobuf.message import Message

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.payment.v1.events_pb2 import EmailPaymentFailed, EmailPaymentSucceeded
from common.clock import FakeClock
from common.database import Database
from common.testing import until
from notifier import consumers
from notifier.rendering import Renderer
from notifier.use_cases import mail_history
from notifier.use_cases.alert_digests import AlertDigests
from notifier.use_cases.mail_queue import MailQueue
from services.notifier.tests.conftest import Inbox, MakeSmtp

WINDOW = timedelta(minutes=5)


class Deliver(Protocol):
    async def __call__(self, *messages: Message) -> None:
        """Handle one envelope of *messages* as the consumer does: decode, then one transaction."""


@pytest.fixture
def queue(db: Database, renderer: Renderer, clock: FakeClock, make_smtp: MakeSmtp) -> MailQueue:
    return MailQueue(db, make_smtp(connections=4), renderer, clock)


@pytest.fixture
def digests(queue: MailQueue, clock: FakeClock) -> AlertDigests:
    return AlertDigests(queue, clock, ("ops@example.com",), WINDOW)


@pytest.fixture
def deliver(db: Database, queue: MailQueue, digests: AlertDigests) -> Deliver:
    subscriptions = {each.message: each for each in consumers.subscriptions(queue, digests)}

    async def deliver(*messages: Message) -> None:
        subscription = subscriptions[type(messages[0])]
        async with db.begin() as tx:
            assert not await subscription.handle(tx, [subscription.decode(message) for message in messages])

    return deliver


@asynccontextmanager
async def _worker(queue: MailQueue) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.intents.run())
    try:
        yield
    finally:
        queue.intents.stop()
        await task
        await queue.intents.drain()


async def _until_pending(db: Database, count: int = 0) -> dict[str, int]:
    """The totals once *count* mails are pending."""

    async def totals() -> dict[str, int] | None:
        async with db.begin() as tx:
            sums = await mail_history.totals(tx)
        return sums if sums["mails.pending"] == count else None

    found = await until(totals, seconds=5)
    assert found is not None
    return found


async def test_a_payment_is_mailed_once(
    db: Database, queue: MailQueue, deliver: Deliver, inbox: Inbox, succeeded: Callable[..., EmailPaymentSucceeded]
) -> None:
    event = succeeded()
    await deliver(event, event)
    await deliver(event)
    async with _worker(queue):
        assert (await _until_pending(db))["mails.sent"] == 1
        await deliver(event)
    [mail] = inbox.mails
    assert mail["to"] == "asha@example.com"
    async with db.begin() as tx:
        row = (await tx.execute("select * from emails")).one()
        timeline = await mail_history.timeline(tx, event.payment_id)
    assert (row.key, row.status, row.attempts, row.provider_code) == (
        f"payment-success:{event.payment_id}", "SENT", 1, 250,
    )  # fmt: skip
    assert row.message_id == mail["message-id"]
    assert [entry.summary for entry in timeline.entries] == ["payment_success queued", "payment_success sent"]
    assert timeline.references == [event.order_id]
    assert "example.com" not in repr(timeline)


async def test_many_mails_over_few_connections(
    db: Database,
    queue: MailQueue,
    deliver: Deliver,
    inbox: Inbox,
    succeeded: Callable[..., EmailPaymentSucceeded],
    failed: Callable[..., EmailPaymentFailed],
) -> None:
    await deliver(*(succeeded(email=f"u{number}@example.com") for number in range(100)))
    await deliver(*(failed() for _ in range(20)))
    async with _worker(queue):
        totals = await _until_pending(db)
    assert totals == {"mails.sent": 120, "mails.failed": 0, "mails.suppressed": 0, "mails.pending": 0}
    assert len(inbox.mails) == len({mail["message-id"] for mail in inbox.mails}) == 120
    assert inbox.connections <= 4


async def test_refused_invalid_and_suppressed_mails_end(
    db: Database, queue: MailQueue, deliver: Deliver, inbox: Inbox, succeeded: Callable[..., EmailPaymentSucceeded]
) -> None:
    async with db.begin() as tx:
        await tx.execute("insert into suppressions values ('stop@example.com', 'complained', 'operator:test')")
    await deliver(
        succeeded(email="gone@example.com"),
        succeeded(email="a@b.in\r\nBcc: x@y.in"),
        succeeded(email="Stop@Example.com"),
        succeeded(email=""),
    )
    async with _worker(queue):
        await _until_pending(db)
    async with db.begin() as tx:
        rows = (await tx.execute("select status, reason from emails")).all()
    assert Counter(tuple(row) for row in rows) == {
        ("FAILED", "smtp_550"): 1,
        ("FAILED", "recipient_invalid"): 2,
        ("SUPPRESSED", "recipient_suppressed"): 1,
    }
    assert inbox.mails == []


async def test_a_lost_reply_is_sent_again_under_the_same_id(
    db: Database, queue: MailQueue, deliver: Deliver, inbox: Inbox, succeeded: Callable[..., EmailPaymentSucceeded]
) -> None:
    inbox.content_replies = ["accept and drop"]
    await deliver(succeeded())
    async with _worker(queue):
        totals = await _until_pending(db)
    assert totals["mails.sent"] == 1
    assert len(inbox.mails) == 2
    assert len({mail["message-id"] for mail in inbox.mails}) == 1
    async with db.begin() as tx:
        assert (await tx.execute("select attempts from emails")).scalar_one() == 2


async def test_a_temporary_refusal_is_tried_again_later(
    db: Database, queue: MailQueue, deliver: Deliver, inbox: Inbox, succeeded: Callable[..., EmailPaymentSucceeded]
) -> None:
    await deliver(succeeded(email="later@example.com"), succeeded())
    async with _worker(queue):
        totals = await _until_pending(db, count=1)
    assert totals["mails.sent"] == 1
    async with db.begin() as tx:
        intent = (await tx.execute("select *, due_at - now() as wait from intents where done_at is null")).one()
    assert intent.last_error == "smtp_451"
    assert timedelta(seconds=20) < intent.wait < timedelta(seconds=31)


def _alert(cause: str = "dead_letter", summary: str = "one envelope") -> AdminAlertRaised:
    return AdminAlertRaised(cause=cause, service="wallet", summary=summary, fields={"queue": "wallet.credit"})


async def test_a_storm_of_alerts_is_two_mails(
    db: Database, queue: MailQueue, digests: AlertDigests, deliver: Deliver, inbox: Inbox, clock: FakeClock
) -> None:
    await deliver(_alert(summary="the first"))
    for _ in range(5):
        await deliver(*(_alert() for _ in range(200)))
    await deliver(_alert(cause="fraud_anomaly"))
    await digests.close_windows(db)
    async with _worker(queue):
        assert (await _until_pending(db))["mails.sent"] == 2
        clock.advance(301)
        await asyncio.gather(*(digests.close_windows(db) for _ in range(4)))
        assert (await _until_pending(db))["mails.sent"] == 3
        clock.advance(301)
        await digests.close_windows(db)
        assert (await _until_pending(db))["mails.sent"] == 3
    assert sorted(mail["subject"] for mail in inbox.mails) == [
        "[CommDesk Pay] dead_letter: 1 alert(s)",
        "[CommDesk Pay] dead_letter: 1,000 alert(s)",
        "[CommDesk Pay] fraud_anomaly: 1 alert(s)",
    ]


async def test_parallel_alerts_are_counted_once_each(db: Database, deliver: Deliver) -> None:
    causes = ["a", "b", "c"]
    await asyncio.gather(
        *(deliver(*(_alert(cause) for cause in (causes if number % 2 else causes[::-1]))) for number in range(20))
    )
    async with db.begin() as tx:
        rows = (await tx.execute("select total, mails, pending from alert_digests")).all()
        mails = (await tx.execute("select count(*) from emails")).scalar_one()
    assert [tuple(row) for row in rows] == [(20, 1, 19)] * 3
    assert mails == 3
