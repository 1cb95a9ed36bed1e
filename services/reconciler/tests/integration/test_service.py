"""The whole service, beside another, on real engines: what is lost is announced again, what is wrong becomes a case."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Protocol

import aio_pika
import pytest
import pytest_asyncio

from commdesk.reconciler.v1 import reconciler_pb2 as pb
from commdesk.reconciler.v1.reconciler_pb2_grpc import ReconcilerServiceStub
from common import envelopes, grpc_client, ids, outbox, runtime
from common.database import Database
from common.guards import Guards
from common.settings import read
from common.testing import free_port, published, until
from common.tokens import ServiceTokens
from common.topology import REQUEUE
from reconciler.__main__ import service
from reconciler.domain.billing import BillingEvent, BillingKind
from reconciler.settings import Settings
from reconciler.store import commands
from services.reconciler.tests.conftest import Peer, Successes

TIMEOUT = 15.0


class Start(Protocol):
    def __call__(self, with_settings: Settings = ...) -> Any:
        """Start the service; returns its stub, which is not typed."""


@pytest.fixture
def settings(settings_env: dict[str, str], peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Schedules far away: the tests say when to run."""
    for name, value in {
        "PAYMENT_ADDRESS": peer.address,
        "RECONCILER_ADDRESS": f"127.0.0.1:{settings_env['GRPC_PORT']}",
        "RECONCILIATION_SECONDS": "3600",
        "DELIVERY_CHECK_SECONDS": "3600",
        "TOLERANCE_SECONDS": "0",
    }.items():
        monkeypatch.setenv(name, value)
    return read(Settings)


@pytest_asyncio.fixture
async def start(settings: Settings, service_keys: dict[str, str]) -> AsyncIterator[Start]:
    """Starts the service when called; returns its stub."""
    tasks: list[asyncio.Task[None]] = []
    tokens = ServiceTokens("operator", service_keys["operator"], settings.service_public_keys)
    channel = grpc_client.channel(f"127.0.0.1:{settings.grpc_port}", tokens, "reconciler")

    def started(with_settings: Settings = settings) -> Any:
        tasks.append(asyncio.create_task(runtime.serve("reconciler", with_settings, service, Guards.all())))
        return ReconcilerServiceStub(channel)  # type: ignore[no-untyped-call]

    yield started
    await channel.close(None)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run(stub: Any) -> Any:
    return await stub.Run(pb.RunRequest(actor="operator:test"), timeout=TIMEOUT, wait_for_ready=True)


async def count(db: Database, what: str) -> int:
    async with db.begin() as tx:
        return int((await tx.execute(f"select count(*) from {what}")).scalar_one())


async def purge(broker_admin_url: str, queue: str) -> int:
    async with await aio_pika.connect(broker_admin_url) as connection:
        purged = await (await (await connection.channel()).get_queue(queue)).purge()
    return purged.message_count or 0


async def test_what_was_purged_is_announced_again_and_counted_once(
    db: Database, peer: Peer, successes: Successes, start: Start, broker_admin_url: str
) -> None:
    for _ in range(3):
        await peer.announce(successes(2))
    assert await purge(broker_admin_url, "analytics.billing") == 3
    stub = start()

    first = await run(stub)
    assert (first.envelopes_checked, first.envelopes_republished) == (3, 3)
    assert [(case.kind, case.reference, case.status) for case in first.cases] == [
        ("delivery_lost", "payment > analytics.billing", "OPEN")
    ]

    async def counted() -> bool:
        return await count(db, "billing_events") == 6 and await count(db, "inbox") >= 3

    await until(counted)
    second = await run(stub)
    assert (second.envelopes_republished, len(second.cases)) == (0, 0)
    listed = await stub.ListCases(pb.ListCasesRequest(status="ANY"), timeout=TIMEOUT)
    assert [(case.kind, case.status) for case in listed.cases] == [("delivery_lost", "RESOLVED")]
    assert await count(db, "billing_daily where succeeded = 6 and succeeded_minor = 300000") == 1
    alerts: list[tuple[str, Any]] = await published(db, "email.admin.alert")
    assert [(alert.cause, alert.fields["cleared"]) for _, alert in alerts] == [
        ("reconciliation_mismatch", ""),
        ("reconciliation_mismatch", "true"),
    ], "one alert for one case, and one when it is over"
    audited: list[tuple[str, Any]] = await published(db, "audit.recorded")
    assert [(each.actor_id, each.action) for _, each in audited] == [("operator:test", "reconciliation.run")] * 2


@pytest.mark.parametrize("exchange", [REQUEUE, "retry.90ms"])
async def test_a_lost_redelivery_is_announced_again(
    db: Database, peer: Peer, successes: Successes, start: Start, exchange: str
) -> None:
    """Events that are retried or were split travel alone and straight to their queue: they get lost as well."""
    event = successes(1)[0]
    envelope_id, body = envelopes.seal("payment", event.DESCRIPTOR.full_name, [event.SerializeToString()])
    redelivery = outbox.Outgoing(envelope_id, exchange, "analytics.billing", True, event.DESCRIPTOR.full_name, body)
    async with db.begin() as tx:
        await outbox.append_rows(tx, [redelivery])
        # As if it had been confirmed and its queue deleted then.
        await tx.execute("update outbox set published_at = now()")
    stub = start()
    report = await run(stub)
    async with asyncio.timeout(10):
        # In a retry tier it is left alone until its time there is over: see the unit tests for that moment.
        while not report.envelopes_republished:
            assert exchange != REQUEUE
            await asyncio.sleep(0.05)
            report = await run(stub)
    assert (report.envelopes_republished, len(report.cases)) == (1, 1)

    async def counted() -> bool:
        return await count(db, "billing_events") == 1

    await until(counted)
    assert len((await run(stub)).cases) == 0


async def test_what_arrives_late_is_not_announced_again(
    db: Database, peer: Peer, successes: Successes, start: Start
) -> None:
    stub = start()
    await peer.announce(successes(5))

    async def counted() -> bool:
        return await count(db, "billing_events") == 5

    await until(counted)
    report = await run(stub)
    assert (report.envelopes_checked, report.envelopes_republished, len(report.cases)) == (1, 0, 0)


async def test_a_mismatch_that_stays_becomes_a_case_until_it_is_repaired(
    db: Database, peer: Peer, start: Start
) -> None:
    peer.totals = {"payments.paid.count": 2, "invoices.count": 1}
    stub = start()
    first = await run(stub)
    assert first.totals["payment.invoices.count"] == 1
    assert len(first.cases) == 0, "it may be on its way"
    peer.totals = {"payments.paid.count": 3, "invoices.count": 2}
    assert len((await run(stub)).cases) == 0, "it moves: it may be on its way"
    for _ in range(2):
        report = await run(stub)
        assert [(case.kind, case.reference, case.status) for case in report.cases] == [
            ("payment_invoice_mismatch", "count", "OPEN")
        ]
    assert "off by 1" in report.cases[0].detail
    assert len(await published(db, "email.admin.alert")) == 1, "one alert for one case"
    peer.totals["invoices.count"] = 3
    assert len((await run(stub)).cases) == 0
    listed = await stub.ListCases(pb.ListCasesRequest(status="RESOLVED"), timeout=TIMEOUT)
    assert [case.kind for case in listed.cases] == ["payment_invoice_mismatch"]
    for _ in range(2):
        await run(stub)
    raised, cleared = (alert for _, alert in await published(db, "email.admin.alert"))
    assert cleared.fields["cleared"] == "true", "once, when it is over"
    assert cleared.fields["caseId"] == raised.fields["caseId"]


async def test_a_service_that_is_away_leaves_the_rest_checked(
    db: Database, peer: Peer, successes: Successes, settings: Settings, start: Start
) -> None:
    stub = start(
        settings.model_copy(update={"addresses": {**settings.addresses, "wallet": f"127.0.0.1:{free_port()}"}})
    )
    await peer.announce(successes(1))
    assert (await run(stub)).envelopes_checked == 1
    async with db.begin() as tx:
        row = (await tx.execute("select status, unasked from reconciliation_runs")).one()
    assert row.status == "PARTIAL"
    assert "wallet" in row.unasked
    assert "payment" not in row.unasked


async def test_late_successes_are_counted_apart(db: Database) -> None:
    now = datetime.now(UTC)
    about: dict[str, Any] = {
        "occurred_at": now,
        "gateway": "cashfree",
        "merchant_id": "mer_1",
        "payment_id": "pay_1",
        "currency": "INR",
    }
    events = [
        BillingEvent(event_id=ids.new(), kind=BillingKind.PAYMENT_FAILED, **about),
        BillingEvent(event_id=ids.new(), kind=BillingKind.PAYMENT_SUCCEEDED, is_late=True, **about),
    ]
    for _ in range(2):
        async with db.begin() as tx:
            await commands.add_billing_events(tx, events)
    assert await count(db, "billing_daily where succeeded = 1 and failed = 1 and late = 1") == 1
