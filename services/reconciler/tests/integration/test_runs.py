"""Runs between replicas and after accidents, against a real Postgres; no other service takes part."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from common import ids
from common.clock import FakeClock
from common.database import Database
from common.testing import until
from reconciler.domain.billing import BillingEvent, BillingKind
from reconciler.domain.deliveries import PublishedEnvelope
from reconciler.domain.runs import CaseStatus, Finding, Position, Run, RunAbandoned, RunInProgress, RunStatus, Scope
from reconciler.gateways import PAGE, Peer
from reconciler.store import cases as case_store
from reconciler.store import commands, queries
from reconciler.use_cases.billing import record_billing_events
from reconciler.use_cases.delivery_check import LOW_PRIORITY_PAUSE
from reconciler.use_cases.reconciliation import LEASE, Policy, Reconciliation

HOUR = 3600.0
NOBODY: Mapping[str, Peer | None] = {"payment": None}

Replica = Callable[..., Reconciliation]


class SilentPeer:
    """A service that answers nothing until a test lets it."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.answer = asyncio.Event()

    async def published(self, since: datetime, until: datetime, after: UUID | None) -> Sequence[PublishedEnvelope]:
        self.called.set()
        await self.answer.wait()
        return []

    async def claimed(self, queue: str, envelope_ids: Collection[UUID]) -> set[UUID]:
        raise NotImplementedError

    async def republish(self, queue: str, envelope_ids: Collection[UUID]) -> int:
        raise NotImplementedError

    async def totals(self) -> dict[str, int]:
        raise NotImplementedError


@pytest.fixture
def replica(db: Database, clock: FakeClock) -> Replica:
    def build(peers: Mapping[str, Peer | None] = NOBODY, lease: timedelta = LEASE) -> Reconciliation:
        policy = Policy(tolerance=timedelta(0), overlap=timedelta(0), platform_merchant_id="mer_commdesk", lease=lease)
        return Reconciliation(db, clock, peers, policy)

    return build


async def runs(db: Database) -> list[Run]:
    async with db.begin() as tx:
        return await queries.runs(tx, 100)


async def test_replicas_run_once_a_period(db: Database, clock: FakeClock, replica: Replica) -> None:
    replicas = [replica() for _ in range(4)]
    for _ in range(3):
        await asyncio.gather(*(each.run_scheduled(Scope.ALL, HOUR) for each in replicas))
        await asyncio.gather(*(each.run_scheduled(Scope.DELIVERIES, HOUR) for each in replicas))
        clock.advance(HOUR)
    assert [run.scope for run in await runs(db)] == [Scope.ALL] * 3, "a full run looks at deliveries as well"
    assert {run.status for run in await runs(db)} == {RunStatus.PARTIAL}


async def begin_run_of_a_dead_process(db: Database, clock: FakeClock, lease: timedelta) -> Run:
    run = Run(ids.new(), Scope.ALL, RunStatus.RUNNING, "service:reconciler", clock.now())
    async with db.begin() as tx:
        assert await commands.begin_run(tx, run, lease, None)
    return run


async def test_a_run_that_died_holds_its_place_for_a_minute_at_most(
    db: Database, clock: FakeClock, replica: Replica
) -> None:
    assert timedelta(seconds=30) <= LEASE <= timedelta(seconds=90)
    await begin_run_of_a_dead_process(db, clock, LEASE)
    with pytest.raises(RunInProgress):
        await replica().run(Scope.ALL, "operator:test")
    async with db.begin() as tx:
        # A minute later, on the database's clock.
        await tx.execute("update reconciliation_runs set leased_until = leased_until - cast(:by as interval)", by=LEASE)
    await replica().run(Scope.ALL, "operator:test")
    assert sorted((run.status, run.actor) for run in await runs(db)) == [
        (RunStatus.FAILED, "service:reconciler"),
        (RunStatus.PARTIAL, "operator:test"),
    ]


async def test_a_run_at_work_keeps_its_place_beyond_its_lease(replica: Replica) -> None:
    lease = timedelta(seconds=0.6)
    peer = SilentPeer()
    long_run = asyncio.create_task(replica({"payment": peer}, lease).run(Scope.DELIVERIES, "operator:long"))
    await peer.called.wait()
    started = time.monotonic()
    while time.monotonic() - started < 3 * lease.total_seconds():
        with pytest.raises(RunInProgress):
            await replica(lease=lease).run(Scope.DELIVERIES, "operator:other")
        await asyncio.sleep(0.05)
    peer.answer.set()
    assert (await long_run).run.status is RunStatus.SUCCEEDED


async def test_a_run_that_lost_its_place_does_not_write_its_end(db: Database, replica: Replica) -> None:
    peer = SilentPeer()
    stalled = asyncio.create_task(replica({"payment": peer}).run(Scope.DELIVERIES, "operator:stalled"))
    await peer.called.wait()
    async with db.begin() as tx:
        await tx.execute("update reconciliation_runs set leased_until = now() - interval '1 second'")
    await replica().run(Scope.DELIVERIES, "operator:other")
    peer.answer.set()
    with pytest.raises(RunAbandoned):
        await stalled
    assert sorted((run.actor, run.status) for run in await runs(db)) == [
        ("operator:other", RunStatus.PARTIAL),
        ("operator:stalled", RunStatus.FAILED),
    ]


async def test_a_lease_survives_a_database_that_is_away(
    db: Database, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 0

    def gone(_: Database) -> Any:
        nonlocal failures
        failures += 1
        raise ConnectionResetError

    lease = timedelta(seconds=0.6)
    peer = SilentPeer()
    run = asyncio.create_task(replica({"payment": peer}, lease).run(Scope.DELIVERIES, "operator:test"))
    await peer.called.wait()
    with monkeypatch.context() as broken:
        broken.setattr(Database, "autocommit", gone)

        async def failed() -> bool:
            return failures > 0

        await until(failed)

    async def extended() -> bool:
        async with db.begin() as tx:
            rows = await tx.execute("select leased_until > now() + interval '0.4 second' from reconciliation_runs")
            return bool(rows.scalar_one())

    await until(extended)
    peer.answer.set()
    assert (await run).run.status is RunStatus.SUCCEEDED


async def test_a_run_whose_caller_goes_away_gives_its_place_back(db: Database, replica: Replica) -> None:
    peer = SilentPeer()
    task = asyncio.create_task(replica({"payment": peer}).run(Scope.ALL, "operator:test"))
    await peer.called.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [run.status for run in await runs(db)] == [RunStatus.FAILED]


@pytest.mark.parametrize("scheduled", [True, False])
async def test_a_scheduled_run_lets_others_go_first_between_pages(replica: Replica, scheduled: bool) -> None:
    answer_seconds = 0.1
    pauses: list[float] = []

    class SlowPeer(SilentPeer):
        """A service with three pages of announcements that nobody listens to."""

        answered_at = 0.0
        pages = 3

        async def published(self, since: datetime, until: datetime, after: UUID | None) -> Sequence[PublishedEnvelope]:
            called_at = time.monotonic()
            if after:
                pauses.append(called_at - self.answered_at)
            await asyncio.sleep(answer_seconds)
            self.pages -= 1
            self.answered_at = time.monotonic()
            envelope = PublishedEnvelope(ids.new(), "ledger.exchange", "ledger.block.sealed", True)
            return [envelope] * (PAGE if self.pages else 1)

    reconciliation = replica({"payment": SlowPeer()})
    if scheduled:
        await reconciliation.run_scheduled(Scope.DELIVERIES, HOUR)
    else:
        await reconciliation.run(Scope.DELIVERIES, "operator:test")
    assert len(pauses) == 2
    shortest, longest = min(pauses), max(pauses)
    if scheduled:
        assert shortest >= LOW_PRIORITY_PAUSE * answer_seconds
    else:
        assert longest < LOW_PRIORITY_PAUSE * answer_seconds


async def test_a_run_that_failed_with_the_database_gives_its_place_back_before_the_next(
    db: Database, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BrokenPeer(SilentPeer):
        """A service during whose answer the database goes away; afterwards it has nothing to tell."""

        async def published(self, since: datetime, until: datetime, after: UUID | None) -> Sequence[PublishedEnvelope]:
            if not self.called.is_set():
                self.called.set()
                monkeypatch.setattr(Database, "begin", gone)
                raise asyncio.CancelledError
            return []

    def gone(_: Database) -> Any:
        raise ConnectionResetError

    reconciliation = replica({"payment": BrokenPeer()})
    with pytest.raises(asyncio.CancelledError):
        await reconciliation.run(Scope.DELIVERIES, "operator:test")
    with pytest.raises(ConnectionResetError):
        await reconciliation.run(Scope.DELIVERIES, "operator:test")
    monkeypatch.undo()
    assert [run.status for run in await runs(db)] == [RunStatus.RUNNING], "nobody could record that it failed"
    await reconciliation.run(Scope.DELIVERIES, "operator:test")
    assert sorted(run.status for run in await runs(db)) == [RunStatus.FAILED, RunStatus.SUCCEEDED]


async def test_pages_of_cases_follow_one_another(db: Database, clock: FakeClock) -> None:
    run = await begin_run_of_a_dead_process(db, clock, LEASE)
    for number in range(5):
        findings = [(ids.new(), Finding("kind", f"{number} {side}", "detail")) for side in ("left", "right")]
        async with db.begin() as tx:
            await case_store.open_cases(tx, run.run_id, findings, clock.now())
        clock.advance(1)
    seen: list[str] = []
    after: Position | None = None
    while True:
        async with db.begin() as tx:
            cases = await queries.cases(tx, CaseStatus.OPEN, 3, after)
        if not cases:
            break
        seen += [case.reference for case in cases]
        after = Position(cases[-1].opened_at, cases[-1].case_id)
    assert [reference.split()[0] for reference in seen] == ["4", "4", "3", "3", "2", "2", "1", "1", "0", "0"]
    assert len(set(seen)) == 10
    async with db.begin() as tx:
        assert await queries.cases(tx, CaseStatus.RESOLVED, 3) == []


def billing_event(kind: BillingKind, day: int, amount: int = 100) -> BillingEvent:
    is_payment = kind is not BillingKind.WEBHOOK_FAILED
    return BillingEvent(
        event_id=ids.new(),
        kind=kind,
        occurred_at=datetime(2026, 1, 1 + day, tzinfo=UTC),
        gateway="cashfree",
        merchant_id="mer_1" if is_payment else "",
        payment_id="pay_1",
        amount_minor=amount,
        currency="INR" if is_payment else "",
        duration_micros=5,
    )


async def test_billing_events_count_once_on_their_day(db: Database) -> None:
    events = [
        billing_event(BillingKind.PAYMENT_CREATED, 0),
        billing_event(BillingKind.PAYMENT_SUCCEEDED, 0, 70),
        billing_event(BillingKind.PAYMENT_SUCCEEDED, 1, 30),
        billing_event(BillingKind.PAYMENT_FAILED, 1),
        billing_event(BillingKind.REFUND_CREATED, 1, 40),
        billing_event(BillingKind.WEBHOOK_FAILED, 1, 0),
    ]

    async def record(batch: list[BillingEvent]) -> None:
        async with db.begin() as tx:
            await record_billing_events(tx, batch)

    await asyncio.gather(*(record(events[start:] + events[:start]) for start in range(6)))
    async with db.begin() as tx:
        first, last = date(2026, 1, 1), date(2026, 1, 31)
        days = await queries.billing_days(tx, "mer_1", first, last)
        assert await queries.webhook_failures(tx, first, last) == 1
        counts = await queries.billing_counts(tx)
    assert (counts["billing.payments.success"], counts["billing.refunds.created"]) == (2, 1)
    figures = [(day.day, day.figures) for day in days]
    assert [(day, each.created, each.succeeded, each.failed, each.succeeded_minor) for day, each in figures] == [
        (date(2026, 1, 1), 1, 1, 0, 70),
        (date(2026, 1, 2), 0, 1, 1, 30),
    ]
    assert [(each.refunds, each.refunds_minor) for _, each in figures] == [(0, 0), (1, 40)]
