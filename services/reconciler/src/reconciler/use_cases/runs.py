"""One reconciliation run: deliveries, then books; cases for what is wrong, closed when it is right again.

No transaction is open while other services are asked: the run's row, of which one at a time may be RUNNING, keeps
replicas from running at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from loguru import logger

from common import ids, outbox
from common.clock import Clock
from common.database import Database, Tx, is_transient
from common.errors import DomainError
from reconciler import domain, store, wire
from reconciler.domain import Case, Finding, Run, RunInProgress, RunStatus, Scope
from reconciler.gateways import Peer
from reconciler.use_cases.deliveries import Deliveries, DeliveryCheck

SCHEDULE = "service:reconciler"
# No run takes as long; after that its process counts as gone.
LEASE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    db: Database
    clock: Clock
    peers: Mapping[str, Peer]
    # Services that exist but have no address here.
    unknown: Collection[str]
    settle: timedelta
    overlap: timedelta
    merchant_id: str
    # Runs of this process that failed while the database was away, and hold the one place until that is written down.
    _failed: dict[UUID, Run] = field(default_factory=dict)

    async def scheduled(self, scope: Scope, every_seconds: float) -> None:
        """Run unless another replica is at it or has just been."""
        not_since = self.clock.now() - timedelta(seconds=every_seconds * 0.8)
        try:
            await self.run(scope, SCHEDULE, not_since)
        except RunInProgress:
            logger.debug("another run is at work, or has just been")

    async def run(self, scope: Scope, actor: str, not_since: datetime | None = None) -> tuple[Run, list[Case]]:
        """Run now; returns the run and the cases that are open because of what it saw. Raises RunInProgress."""
        await self._close_failed()
        run = Run(ids.new(), scope, RunStatus.RUNNING, actor, self.clock.now())
        try:
            await self._begin(run, not_since)
            check = DeliveryCheck(self.db, self.peers, self.settle, self.overlap, unhurried=actor == SCHEDULE)
            deliveries = await check.run(run.started_at)
            totals, unasked = await self._totals() if scope is Scope.ALL else ({}, set[str]())
            return await self._finish(run, deliveries, totals, unasked | deliveries.unasked | set(self.unknown))
        except RunInProgress:
            raise
        except BaseException:
            # The place is given back even when the caller has gone away, or nobody knows whether it was taken.
            await asyncio.shield(self._fail(run))
            raise

    async def _begin(self, run: Run, not_since: datetime | None) -> None:
        async with self.db.begin() as tx:
            await store.abandon_stale(tx, run.started_at)
            if not await store.begin_run(tx, run, run.started_at + LEASE, not_since):
                raise RunInProgress("another run is at work")

    async def _fail(self, run: Run) -> None:
        """Give the place back; when the database is away, which may be why it failed, before the next run."""
        self._failed[run.run_id] = replace(run, status=RunStatus.FAILED, finished_at=self.clock.now())
        try:
            await self._close_failed()
        except Exception as error:
            # What the run itself raised is what its caller should hear.
            if not is_transient(error):
                raise
            logger.warning("that a run failed is written down later: {}", type(error).__name__)

    async def _close_failed(self) -> None:
        failed = list(self._failed.values())
        if not failed:
            return
        async with self.db.begin() as tx:
            for run in failed:
                await store.finish_run(tx, run)
        for run in failed:
            self._failed.pop(run.run_id, None)

    async def _totals(self) -> tuple[dict[str, dict[str, int]], set[str]]:
        """The sums of those that keep books, asked at the same time, and who did not answer."""
        asked = [service for service in domain.BOOK_KEEPERS if service in self.peers]
        answers = await asyncio.gather(*(self._totals_of(service) for service in asked))
        totals = {service: answer for service, answer in zip(asked, answers, strict=True) if answer is not None}
        return totals, set(domain.BOOK_KEEPERS) - totals.keys()

    async def _totals_of(self, service: str) -> dict[str, int] | None:
        try:
            return await self.peers[service].totals()
        except DomainError as error:
            logger.warning("{} did not give its totals: {}", service, error.code)
            return None

    async def _finish(
        self, run: Run, deliveries: Deliveries, totals: domain.Totals, unasked: set[str]
    ) -> tuple[Run, list[Case]]:
        now = self.clock.now()
        async with self.db.begin() as tx:
            findings = domain.lost(deliveries.unclaimed)
            judged = {(domain.DELIVERY_LOST, domain.pair(*pair)) for pair in deliveries.unclaimed}
            disagreements, compared = await self._compare(tx, totals, now)
            findings += disagreements
            judged |= compared
            opened, wrong = await store.open_cases(tx, run.run_id, [(ids.new(), each) for each in findings], now)
            right = judged - {(each.kind, each.reference) for each in findings}
            resolved = await store.resolve_cases(tx, run.run_id, right, now)
            run = replace(
                run,
                status=domain.outcome(unasked),
                finished_at=now,
                envelopes_checked=deliveries.checked,
                envelopes_republished=deliveries.republished,
                cases_opened=len(opened),
                cases_resolved=len(resolved),
                totals={domain.qualified(each, name): n for each, sums in totals.items() for name, n in sums.items()},
                unasked=sorted(unasked),
            )
            await store.finish_run(tx, run)
            await self._announce(tx, run, opened, now)
        for case in opened:
            logger.error("case opened: {} ({}): {}", case.kind, case.reference, case.detail)
        return run, wrong

    async def _compare(
        self, tx: Tx, totals: domain.Totals, now: datetime
    ) -> tuple[list[Finding], set[tuple[str, str]]]:
        """Findings, and what could be judged: a difference that may yet go away is neither right nor wrong."""
        comparisons = domain.compare(totals)
        differences = domain.standing(comparisons, await store.differences(tx), now)
        await store.keep_differences(tx, [(each.kind, each.reference) for each in comparisons], differences)
        mismatches = domain.mismatches(differences, now, self.settle)
        agreed = {(each.kind, each.reference) for each in comparisons if each.agrees}
        return domain.disagreements(mismatches), agreed

    async def _announce(self, tx: Tx, run: Run, opened: Sequence[Case], now: datetime) -> None:
        await outbox.append(tx, [wire.alert(case, ids.new(), now) for case in opened])
        if run.actor != SCHEDULE:
            await outbox.append(tx, [wire.audit(run, self.merchant_id, ids.new(), now)])


async def totals(tx: Tx) -> dict[str, int]:
    """Reconciliation's own: open cases and counted billing events."""
    return {"cases.open": await store.open_count(tx), **await store.billing_count(tx)}
