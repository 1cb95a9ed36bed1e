"""From the event to the inbox: real Postgres, real SMTP server, the worker that runs in production."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from common.clock import FakeClock
from common.database import Database
from common.intents import Intents
from notifier import consumers, store, wire
from notifier.rendering import Renderer
from notifier.use_cases import Desk, Sender

WINDOW = timedelta(minutes=5)


@pytest.fixture
def desk(db: Database, renderer: Renderer, clock: FakeClock, make_smtp: Callable) -> Desk:
    sender = Sender(make_smtp(connections=4), renderer, clock)
    mails = Intents(db, "mail", sender.perform, sender.settle)
    return Desk(mails, renderer, clock, ("ops@example.com",), WINDOW)


@pytest.fixture
def deliver(db: Database, desk: Desk) -> Callable:
    """As the consumer does it: decode, handle in one transaction."""

    async def deliver(*messages: object) -> None:
        [subscription] = [each for each in consumers.subscriptions(desk) if each.message is type(messages[0])]
        async with db.begin() as tx:
            assert not await subscription.handle(tx, [subscription.decode(message) for message in messages])

    return deliver


@asynccontextmanager
async def _worker(desk: Desk) -> AsyncIterator[None]:
    task = asyncio.create_task(desk.intents.run())
    try:
        yield
    finally:
        desk.intents.stop()
        await task
        await desk.intents.drain()


async def _until_quiet(db: Database, pending: int = 0) -> dict[str, int]:
    for _ in range(100):
        async with db.begin() as tx:
            totals = await store.totals(tx)
        if totals["mails.pending"] == pending:
            return totals
        await asyncio.sleep(0.05)
    pytest.fail(f"not quiet: {totals}")


async def test_a_payment_is_mailed_once(
    db: Database, desk: Desk, deliver: Callable, inbox, succeeded: Callable
) -> None:
    event = succeeded()
    await deliver(event, event)
    await deliver(event)
    async with _worker(desk):
        assert (await _until_quiet(db))["mails.sent"] == 1
        await deliver(event)
    [mail] = inbox.mails
    assert mail["to"] == "asha@example.com"
    async with db.begin() as tx:
        row = (await tx.execute("select * from emails")).one()
        story = wire.story(await store.lines(tx, wire.payment_id(event.payment_id)))
    assert (row.key, row.status, row.attempts, row.provider_code) == (
        f"payment-success:{event.payment_id}", "SENT", 1, 250,
    )  # fmt: skip
    assert row.message_id == mail["message-id"]
    assert [entry.summary for entry in story.entries] == ["payment_success queued", "payment_success sent"]
    assert story.references == [event.order_id]
    assert "example.com" not in repr(story)


async def test_many_mails_over_few_connections(
    db: Database, desk: Desk, deliver: Callable, inbox, succeeded: Callable, failed: Callable
) -> None:
    await deliver(*(succeeded(email=f"u{number}@example.com") for number in range(100)))
    await deliver(*(failed() for _ in range(20)))
    async with _worker(desk):
        totals = await _until_quiet(db)
    assert totals == {"mails.sent": 120, "mails.failed": 0, "mails.suppressed": 0, "mails.pending": 0}
    assert len(inbox.mails) == len({mail["message-id"] for mail in inbox.mails}) == 120
    assert inbox.connections <= 4


async def test_refused_invalid_and_suppressed_mails_end(
    db: Database, desk: Desk, deliver: Callable, inbox, succeeded: Callable
) -> None:
    async with db.begin() as tx:
        await tx.execute("insert into suppressions values ('stop@example.com', 'complained', 'operator:test')")
    await deliver(
        succeeded(email="gone@example.com"),
        succeeded(email="a@b.in\r\nBcc: x@y.in"),
        succeeded(email="Stop@Example.com"),
        succeeded(email=""),
    )
    async with _worker(desk):
        await _until_quiet(db)
    async with db.begin() as tx:
        rows = (await tx.execute("select status, reason from emails")).all()
    assert Counter(tuple(row) for row in rows) == {
        ("FAILED", "smtp_550"): 1,
        ("FAILED", "recipient_invalid"): 2,
        ("SUPPRESSED", "recipient_suppressed"): 1,
    }
    assert inbox.mails == []


async def test_a_lost_answer_is_sent_again_under_the_same_id(
    db: Database, desk: Desk, deliver: Callable, inbox, succeeded: Callable
) -> None:
    inbox.content_replies = ["take and drop"]
    await deliver(succeeded())
    async with _worker(desk):
        totals = await _until_quiet(db)
    assert totals["mails.sent"] == 1
    assert len(inbox.mails) == 2
    assert len({mail["message-id"] for mail in inbox.mails}) == 1
    async with db.begin() as tx:
        assert (await tx.execute("select attempts from emails")).scalar_one() == 2


async def test_later_is_put_off(db: Database, desk: Desk, deliver: Callable, inbox, succeeded: Callable) -> None:
    await deliver(succeeded(email="later@example.com"), succeeded())
    async with _worker(desk):
        totals = await _until_quiet(db, pending=1)
    assert totals["mails.sent"] == 1
    async with db.begin() as tx:
        intent = (await tx.execute("select *, due_at - now() as wait from intents where done_at is null")).one()
    assert intent.last_error == "smtp_451"
    assert timedelta(seconds=20) < intent.wait < timedelta(seconds=31)


def _alert(cause: str = "dead_letter", summary: str = "one envelope") -> AdminAlertRaised:
    return AdminAlertRaised(cause=cause, service="wallet", summary=summary, fields={"queue": "wallet.credit"})


async def test_a_storm_of_alerts_is_two_mails(
    db: Database, desk: Desk, deliver: Callable, inbox, clock: FakeClock
) -> None:
    await deliver(_alert(summary="the first"))
    for _ in range(5):
        await deliver(*(_alert() for _ in range(200)))
    await deliver(_alert(cause="fraud_anomaly"))
    await desk.close_windows(db)
    async with _worker(desk):
        assert (await _until_quiet(db))["mails.sent"] == 2
        clock.advance(301)
        await asyncio.gather(*(desk.close_windows(db) for _ in range(4)))
        assert (await _until_quiet(db))["mails.sent"] == 3
        clock.advance(301)
        await desk.close_windows(db)
        assert (await _until_quiet(db))["mails.sent"] == 3
    assert sorted(mail["subject"] for mail in inbox.mails) == [
        "[CommDesk Pay] dead_letter: 1 alert(s)",
        "[CommDesk Pay] dead_letter: 1,000 alert(s)",
        "[CommDesk Pay] fraud_anomaly: 1 alert(s)",
    ]


async def test_parallel_alerts_are_counted_once_each(db: Database, deliver: Callable) -> None:
    causes = ["a", "b", "c"]
    await asyncio.gather(
        *(deliver(*(_alert(cause) for cause in (causes if number % 2 else causes[::-1]))) for number in range(20))
    )
    async with db.begin() as tx:
        rows = (await tx.execute("select total, mails, pending from alert_digests")).all()
        mails = (await tx.execute("select count(*) from emails")).scalar_one()
    assert [tuple(row) for row in rows] == [(20, 1, 19)] * 3
    assert mails == 3
