"""From the event to the inbox: the service's own value, real Postgres, real SMTP server."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import pytest
import pytest_asyncio
from google.protobuf.message import Message

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.payment.v1.events_pb2 import EmailPaymentFailed, EmailPaymentSucceeded
from common.clock import FakeClock
from common.delivery import Timeline
from common.runtime import Resources, Service
from common.settings import read
from common.testing import Served, published, until
from notifier import consumers
from notifier.__main__ import service
from notifier.settings import Settings
from services.notifier.tests.conftest import Inbox

Succeeded = Callable[..., EmailPaymentSucceeded]


class Notifier:
    """The service at work."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.db = served.resources.db

    async def deliver(self, *events: Message) -> None:
        """Handle one envelope of *events*; none of them may be refused."""
        await self.served.handle(consumers.QUEUE, events)
        assert {key for key, _ in await published(self.db)} <= {"email.admin.alert"}

    async def alerts(self) -> list[str]:
        """The summaries of the alerts that notifier itself raised."""
        return [event.summary for _, event in await published(self.db, "email.admin.alert")]  # type: ignore[attr-defined]

    async def close_windows(self) -> None:
        await self.served.run_job("close_windows")

    async def send(self) -> dict[str, int]:
        """Send what is due; the totals afterwards."""
        await self.served.execute_intents()
        return await self.totals()

    async def totals(self) -> dict[str, int]:
        async with self.db.begin() as tx:
            return dict(await self.served.service.totals(tx))

    async def timeline(self, reference: str) -> Timeline:
        async with self.db.begin() as tx:
            return await self.served.service.timeline(tx, reference)


@pytest_asyncio.fixture
async def notifier(
    serve: Callable[[Service], AbstractAsyncContextManager[Served]],
    resources: Resources,
    smtp_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Notifier]:
    for name, setting in {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(smtp_port),
        "SMTP_CONNECTIONS": "4",
        "SENDER_NAME": "CommDesk Pay",
        "ADMIN_EMAIL": "ops@example.com",
    }.items():
        monkeypatch.setenv(name, setting)
    async with service(read(Settings), resources) as value, serve(value) as served:
        yield Notifier(served)


async def test_a_payment_is_mailed_once(notifier: Notifier, inbox: Inbox, succeeded: Succeeded) -> None:
    event = succeeded()
    await notifier.deliver(event, event)
    await notifier.deliver(event)
    assert (await notifier.send())["mails.sent"] == 1
    await notifier.deliver(event)
    assert (await notifier.send())["mails.sent"] == 1
    [mail] = inbox.mails
    assert mail["to"] == "asha@example.com"
    async with notifier.db.begin() as tx:
        row = (await tx.execute("select * from emails")).one()
    assert (row.key, row.status, row.attempts, row.provider_code) == (
        f"payment-success:{event.payment_id}", "SENT", 1, 250,
    )  # fmt: skip
    assert row.message_id == mail["message-id"]
    timeline = await notifier.timeline(event.payment_id)
    assert [entry.summary for entry in timeline.entries] == ["payment_success queued", "payment_success sent"]
    assert timeline.references == [event.order_id]
    assert "example.com" not in repr(timeline)


async def test_many_mails_over_few_connections(
    notifier: Notifier, inbox: Inbox, succeeded: Succeeded, failed: Callable[..., EmailPaymentFailed]
) -> None:
    await notifier.deliver(*(succeeded(email=f"u{number}@example.com") for number in range(100)))
    await notifier.deliver(*(failed() for _ in range(20)))
    totals = await notifier.send()
    assert totals == {"mails.sent": 120, "mails.failed": 0, "mails.suppressed": 0, "mails.pending": 0}
    assert len(inbox.mails) == len({mail["message-id"] for mail in inbox.mails}) == 120
    assert inbox.connections <= 4


async def test_refused_invalid_and_suppressed_mails_end(notifier: Notifier, inbox: Inbox, succeeded: Succeeded) -> None:
    async with notifier.db.begin() as tx:
        await tx.execute("insert into suppressions values ('stop@example.com', 'complained', 'operator:test')")
    await notifier.deliver(
        succeeded(email="gone@example.com"),
        succeeded(email="a@b.in\r\nBcc: x@y.in"),
        succeeded(email="Stop@Example.com"),
        succeeded(email=""),
    )
    await notifier.send()
    async with notifier.db.begin() as tx:
        rows = (await tx.execute("select status, reason from emails")).all()
    assert Counter(tuple(row) for row in rows) == {
        ("FAILED", "smtp_550"): 1,
        ("FAILED", "recipient_invalid"): 2,
        ("SUPPRESSED", "recipient_suppressed"): 1,
    }
    assert inbox.mails == []
    # Each mail that will never arrive raises one alert.
    assert Counter(await notifier.alerts()) == {
        "the mail payment_success cannot be sent: recipient_invalid": 2,
        "the mail payment_success cannot be sent: smtp_550": 1,
    }


async def test_an_alert_that_cannot_be_mailed_raises_no_alert(notifier: Notifier, inbox: Inbox) -> None:
    inbox.content_replies = ["554 no"]
    await notifier.deliver(_alert())
    assert (await notifier.send())["mails.failed"] == 1
    assert await notifier.alerts() == []


async def test_a_name_is_mailed_as_it_is_written(notifier: Notifier, inbox: Inbox, succeeded: Succeeded) -> None:
    names = ["ഹര്\u200dഷന്\u200d", "علی\u200cرضا", "👨\u200d👩\u200d👧"]
    await notifier.deliver(*(succeeded(name=name) for name in names))
    await notifier.deliver(succeeded(name="URGENT: verify at http://evil.example/login"))
    await notifier.send()
    texts = [mail.get_body(("plain",)).get_content() for mail in inbox.mails]  # type: ignore[union-attr]
    assert sorted(text.partition(",")[0] for text in texts) == sorted(["Hello", *(f"Hello {name}" for name in names)])
    assert not any("evil" in text for text in texts)


async def test_a_lost_reply_is_sent_again_under_the_same_id(
    notifier: Notifier, inbox: Inbox, succeeded: Succeeded
) -> None:
    inbox.content_replies = ["accept and drop"]
    await notifier.deliver(succeeded())

    async def sent() -> bool:
        return (await notifier.send())["mails.sent"] == 1

    await until(sent)
    assert len(inbox.mails) == 2
    assert len({mail["message-id"] for mail in inbox.mails}) == 1
    async with notifier.db.begin() as tx:
        assert (await tx.execute("select attempts from emails")).scalar_one() == 2


async def test_a_temporary_refusal_is_tried_again_later(notifier: Notifier, inbox: Inbox, succeeded: Succeeded) -> None:
    await notifier.deliver(succeeded(email="later@example.com"), succeeded())
    totals = await notifier.send()
    assert (totals["mails.sent"], totals["mails.pending"]) == (1, 1)
    async with notifier.db.begin() as tx:
        intent = (await tx.execute("select *, due_at - now() as wait from intents where done_at is null")).one()
    assert intent.last_error == "smtp_451"
    assert timedelta(seconds=20) < intent.wait < timedelta(seconds=31)


def _alert(cause: str = "dead_letter", summary: str = "one envelope") -> AdminAlertRaised:
    return AdminAlertRaised(cause=cause, service="wallet", summary=summary, fields={"queue": "wallet.credit"})


async def test_a_storm_of_alerts_is_two_mails(notifier: Notifier, inbox: Inbox, clock: FakeClock) -> None:
    await notifier.deliver(_alert(summary="the first"))
    for _ in range(5):
        await notifier.deliver(*(_alert() for _ in range(200)))
    await notifier.deliver(_alert(cause="fraud_anomaly"))
    await notifier.close_windows()
    assert (await notifier.send())["mails.sent"] == 2
    clock.advance(301)
    await asyncio.gather(*(notifier.close_windows() for _ in range(4)))
    assert (await notifier.send())["mails.sent"] == 3
    clock.advance(301)
    await notifier.close_windows()
    assert (await notifier.send())["mails.sent"] == 3
    assert sorted(mail["subject"] for mail in inbox.mails) == [
        "[CommDesk Pay] dead_letter: 1 alert(s)",
        "[CommDesk Pay] dead_letter: 1,000 alert(s)",
        "[CommDesk Pay] fraud_anomaly: 1 alert(s)",
    ]


async def test_parallel_alerts_are_counted_once_each(notifier: Notifier) -> None:
    causes = ["a", "b", "c"]
    await asyncio.gather(
        *(
            notifier.deliver(*(_alert(cause) for cause in (causes if number % 2 else causes[::-1])))
            for number in range(20)
        )
    )
    async with notifier.db.begin() as tx:
        rows = (await tx.execute("select total, mails, pending from alert_digests")).all()
        mails = (await tx.execute("select count(*) from emails")).scalar_one()
    assert [tuple(row) for row in rows] == [(20, 1, 19)] * 3
    assert mails == 3
