"""Runs between replicas and after accidents, against a real Postgres; no other service takes part."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from common import ids
from common.clock import FakeClock
from common.database import Database
from reconciler import store
from reconciler.domain import BillingEvent, BillingKind, Published, Run, RunInProgress, RunStatus, Scope
from reconciler.gateways import PAGE
from reconciler.use_cases import Reconciliation, keep_billing
from reconciler.use_cases.deliveries import UNHURRIED_PAUSE

HOUR = 3600.0


@pytest.fixture
def replica(db: Database, clock: FakeClock) -> Callable[[], Reconciliation]:
    def build() -> Reconciliation:
        nobody: dict[str, Any] = {}
        return Reconciliation(db, clock, nobody, ["payment"], timedelta(0), timedelta(0), "mer_commdesk")

    return build


async def runs(db: Database) -> list[Run]:
    async with db.begin() as tx:
        return await store.runs(tx, 100)


async def test_replicas_run_once_a_period(db: Database, clock: FakeClock, replica: Any) -> None:
    replicas = [replica() for _ in range(4)]
    for _ in range(3):
        await asyncio.gather(*(each.scheduled(Scope.ALL, HOUR) for each in replicas))
        await asyncio.gather(*(each.scheduled(Scope.DELIVERIES, HOUR) for each in replicas))
        clock.advance(HOUR)
    assert [run.scope for run in await runs(db)] == [Scope.ALL] * 3, "a full run looks at deliveries as well"
    assert {run.status for run in await runs(db)} == {RunStatus.PARTIAL}


async def test_a_run_that_died_gives_its_place_back(db: Database, clock: FakeClock, replica: Any) -> None:
    async with db.begin() as tx:
        dead = Run(ids.new(), Scope.ALL, RunStatus.RUNNING, "service:reconciler", clock.now())
        assert await store.begin_run(tx, dead, clock.now() + timedelta(minutes=15), None)
    with pytest.raises(RunInProgress):
        await replica().run(Scope.ALL, "operator:test")
    clock.advance(15 * 60 + 1)
    await replica().run(Scope.ALL, "operator:test")
    assert sorted((run.status, run.actor) for run in await runs(db)) == [
        (RunStatus.FAILED, "service:reconciler"),
        (RunStatus.PARTIAL, "operator:test"),
    ]


async def test_a_run_whose_caller_goes_away_gives_its_place_back(db: Database, clock: FakeClock) -> None:
    asked = asyncio.Event()

    class Silent:
        """A service that takes for ever to answer."""

        async def published(self, since: datetime, until: datetime, after: UUID | None) -> Any:
            asked.set()
            await asyncio.Event().wait()

    peers: dict[str, Any] = {"payment": Silent()}
    reconciliation = Reconciliation(db, clock, peers, [], timedelta(0), timedelta(0), "mer_commdesk")
    task = asyncio.create_task(reconciliation.run(Scope.ALL, "operator:test"))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [run.status for run in await runs(db)] == [RunStatus.FAILED]


@pytest.mark.parametrize("scheduled", [True, False])
async def test_a_scheduled_run_lets_others_go_first_between_pages(
    db: Database, clock: FakeClock, scheduled: bool
) -> None:
    answer_seconds = 0.1
    pauses: list[float] = []

    class Slow:
        """A service with three pages of announcements that nobody listens to."""

        answered_at = 0.0
        pages = 3

        async def published(self, since: datetime, until: datetime, after: UUID | None) -> list[Published]:
            asked_at = time.monotonic()
            if after:
                pauses.append(asked_at - self.answered_at)
            await asyncio.sleep(answer_seconds)
            self.pages -= 1
            self.answered_at = time.monotonic()
            return [Published(ids.new(), "ledger.exchange", "ledger.block.sealed", True)] * (PAGE if self.pages else 1)

    peers: dict[str, Any] = {"payment": Slow()}
    reconciliation = Reconciliation(db, clock, peers, [], timedelta(0), timedelta(0), "mer_commdesk")
    if scheduled:
        await reconciliation.scheduled(Scope.DELIVERIES, HOUR)
    else:
        await reconciliation.run(Scope.DELIVERIES, "operator:test")
    assert len(pauses) == 2
    longest, shortest = max(pauses), min(pauses)
    assert shortest >= UNHURRIED_PAUSE * answer_seconds if scheduled else longest < UNHURRIED_PAUSE * answer_seconds


async def test_a_run_that_failed_with_the_database_gives_its_place_back_before_the_next(
    db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        """A service during whose answer the database goes away."""

        async def published(self, since: datetime, until: datetime, after: UUID | None) -> Any:
            monkeypatch.setattr(Database, "begin", gone)
            raise asyncio.CancelledError

    def gone(_: Database) -> Any:
        raise ConnectionResetError

    peers: dict[str, Any] = {"payment": Broken()}
    reconciliation = Reconciliation(db, clock, peers, [], timedelta(0), timedelta(0), "mer_commdesk")
    with pytest.raises(asyncio.CancelledError):
        await reconciliation.run(Scope.DELIVERIES, "operator:test")
    with pytest.raises(ConnectionResetError):
        await reconciliation.run(Scope.DELIVERIES, "operator:test")
    monkeypatch.undo()
    assert [run.status for run in await runs(db)] == [RunStatus.RUNNING], "nobody could write that it failed"
    peers.clear()
    await reconciliation.run(Scope.DELIVERIES, "operator:test")
    assert sorted(run.status for run in await runs(db)) == [RunStatus.FAILED, RunStatus.SUCCEEDED]


def billing(kind: BillingKind, day: int, amount: int = 100) -> BillingEvent:
    micros = 1_767_225_600_000_000 + day * 86_400_000_000
    paid = kind is not BillingKind.WEBHOOK_FAILED
    return BillingEvent(
        ids.new(),
        kind,
        "mer_1" if paid else "",
        "pay_1",
        amount,
        "INR" if paid else "",
        "cashfree",
        "",
        "",
        "",
        5,
        micros,
    )


async def test_billing_events_count_once_on_their_day(db: Database) -> None:
    events = [
        billing(BillingKind.PAYMENT_CREATED, 0),
        billing(BillingKind.PAYMENT_SUCCEEDED, 0, 70),
        billing(BillingKind.PAYMENT_SUCCEEDED, 1, 30),
        billing(BillingKind.PAYMENT_FAILED, 1),
        billing(BillingKind.WEBHOOK_FAILED, 1, 0),
    ]

    async def keep(batch: list[BillingEvent]) -> None:
        async with db.begin() as tx:
            await keep_billing(tx, batch)

    await asyncio.gather(*(keep(events[start:] + events[:start]) for start in range(5)))
    async with db.begin() as tx:
        first, last = date(2026, 1, 1), date(2026, 1, 31)
        days = await store.billing_days(tx, "mer_1", first, last)
        assert await store.webhook_failures(tx, first, last) == 1
        assert (await store.billing_count(tx))["billing.payments.success"] == 2
    assert [(day.day, day.created, day.succeeded, day.failed, day.succeeded_minor) for day in days] == [
        ("2026-01-01", 1, 1, 0, 70),
        ("2026-01-02", 0, 1, 1, 30),
    ]
