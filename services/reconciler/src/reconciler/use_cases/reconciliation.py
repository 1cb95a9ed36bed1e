"""One reconciliation run: deliveries, books, matching; cases for what is wrong, closed when it is right again.

No transaction is open while other services answer: the run's row, of which one at a time may be RUNNING, keeps
replicas from running at once. Its lease is short and extended while the run is at work, so that a process that is
killed holds the place for a minute at most.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

from loguru import logger
from msgspec import Struct
from msgspec.structs import replace

from common import ids, outbox
from common.clock import Clock
from common.database import Database, Tx, is_transient
from common.errors import DomainError
from reconciler.domain import access, books, deliveries, runs
from reconciler.domain.books import Comparison
from reconciler.domain.runs import Case, Finding, Run, RunAbandoned, RunInProgress, RunReport, RunStatus, Scope
from reconciler.gateways import Peer
from reconciler.store import cases, commands, queries
from reconciler.use_cases.delivery_check import DeliveryCheck, DeliveryReport
from reconciler.use_cases.matching import Matching, MatchingReport
from reconciler.wire import events

SCHEDULE = "service:reconciler"
# A run whose process has not extended its lease for so long is over.
LEASE = timedelta(minutes=1)
# What a run names when matching stopped early: a service did not answer it.
MATCHING = "matching"


class Policy(Struct, frozen=True, kw_only=True):
    """*tolerance*: how long an envelope may be on its way, and a difference stay the same, before it counts.

    *overlap*: how far a window of deliveries reaches into the one before.
    """

    tolerance: timedelta
    overlap: timedelta
    platform_merchant_id: str
    lease: timedelta = LEASE


class Reconciliation:
    """Runs of this process. *peers* by service, None for one that has no address here: it is not checked.

    *matching* is None where payment, wallet or ledger has no address.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        peers: Mapping[str, Peer | None],
        policy: Policy,
        matching: Matching | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._peers = {name: peer for name, peer in peers.items() if peer is not None}
        self._without_address = frozenset(name for name, peer in peers.items() if peer is None)
        self._policy = policy
        self._matching = matching
        # Runs that failed while the database was away, and hold the one place until that is recorded.
        self._failed: dict[UUID, Run] = {}

    async def run_scheduled(self, scope: Scope, every_seconds: float) -> None:
        """Run unless another replica is at it or has just been."""
        not_since = self._clock.now() - timedelta(seconds=every_seconds * 0.8)
        try:
            await self.run(scope, SCHEDULE, not_since)
        except RunInProgress:
            logger.debug("another run is at work, or has just been")

    async def run_for(self, merchant_id: str, actor: str) -> RunReport:
        """A full run, for a member of the platform's staff. Raises MerchantNotPlatform, RunInProgress."""
        access.require_platform(merchant_id, self._policy.platform_merchant_id)
        return await self.run(Scope.ALL, actor)

    async def run(self, scope: Scope, actor: str, not_since: datetime | None = None) -> RunReport:
        """Run now. Raises RunInProgress, also when a run began after *not_since*."""
        await self._record_failed()
        run = Run(ids.new(), scope, RunStatus.RUNNING, actor, self._clock.now())
        try:
            await self._begin(run, not_since)
            async with self._lease_extended(run):
                check = DeliveryCheck(
                    self._db, self._peers, self._policy.tolerance, self._policy.overlap, low_priority=actor == SCHEDULE
                )
                report = await check.run(run.started_at)
                # A person who asks gets the answer of every row.
                totals, silent = (
                    await self._totals(verify=actor != SCHEDULE) if scope is Scope.ALL else ({}, set[str]())
                )
                unavailable = silent | report.unavailable | self._without_address
                matched = await self._match(run)
                if matched.is_partial:
                    unavailable |= {MATCHING}
                return await self._finish(run, report, totals, unavailable, matched)
        except RunInProgress:
            raise
        except BaseException:
            # The place is given back even when the caller has gone away, or nobody knows whether it was taken.
            await asyncio.shield(self._fail(run))
            raise

    async def _begin(self, run: Run, not_since: datetime | None) -> None:
        async with self._db.begin() as tx:
            await commands.abandon_stale_runs(tx, run.started_at)
            if not await commands.begin_run(tx, run, self._policy.lease, not_since):
                raise RunInProgress("another run is at work")

    @asynccontextmanager
    async def _lease_extended(self, run: Run) -> AsyncIterator[None]:
        heartbeat = asyncio.create_task(self._extend_lease(run), name=f"lease:{run.run_id}")
        try:
            yield
        finally:
            heartbeat.cancel()
            [ended] = await asyncio.gather(heartbeat, return_exceptions=True)
            if isinstance(ended, Exception):
                logger.opt(exception=ended).error("the run's lease was not extended")

    async def _extend_lease(self, run: Run) -> None:
        """Three times a lease; while the database is away the next one may still be in time."""
        extended = True
        while extended:
            await asyncio.sleep(self._policy.lease.total_seconds() / 3)
            try:
                async with self._db.autocommit() as tx:
                    extended = await commands.extend_lease(tx, run.run_id, self._policy.lease)
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.warning("the run's lease waits: {}", type(error).__name__)
        # What it does meanwhile does no harm; its end is refused.
        logger.warning("the run was abandoned: another took its place")

    async def _fail(self, run: Run) -> None:
        """Give the place back; when the database is away, which may be why it failed, before the next run."""
        self._failed[run.run_id] = replace(run, status=RunStatus.FAILED, finished_at=self._clock.now())
        try:
            await self._record_failed()
        except Exception as error:
            # What the run itself raised is for its caller.
            if not is_transient(error):
                raise
            logger.warning("that a run failed is recorded later: {}", type(error).__name__)

    async def _record_failed(self) -> None:
        failed = list(self._failed.values())
        if not failed:
            return
        async with self._db.begin() as tx:
            for run in failed:
                await commands.finish_run(tx, run)
        for run in failed:
            self._failed.pop(run.run_id, None)

    async def _match(self, run: Run) -> MatchingReport:
        if self._matching is None or run.scope is not Scope.ALL:
            return MatchingReport()
        return await self._matching.run(run.run_id)

    async def _totals(self, *, verify: bool) -> tuple[dict[str, dict[str, int]], set[str]]:
        """The sums of the services that keep books, read at the same time, and which did not answer."""
        services = [service for service in books.BOOK_KEEPERS if service in self._peers]
        answers = await asyncio.gather(*(self._totals_of(service, verify=verify) for service in services))
        totals = {service: answer for service, answer in zip(services, answers, strict=True) if answer is not None}
        return totals, set(books.BOOK_KEEPERS) - totals.keys()

    async def _totals_of(self, service: str, *, verify: bool) -> dict[str, int] | None:
        try:
            return await self._peers[service].totals(verify=verify)
        except DomainError as error:
            logger.warning("{} did not give its totals: {}", service, error.code)
            return None

    async def _finish(
        self, run: Run, report: DeliveryReport, totals: books.Totals, unavailable: set[str], matched: MatchingReport
    ) -> RunReport:
        now = self._clock.now()
        async with self._db.begin() as tx:
            comparisons = books.compare(totals)
            findings = deliveries.findings(report.unclaimed) + await self._mismatches(tx, comparisons, now)
            judged = {(deliveries.DELIVERY_LOST, each.reference) for each in report.unclaimed}
            judged |= {(each.kind, each.reference) for each in comparisons if each.agrees}
            opened, open_now = await cases.open_cases(tx, run.run_id, [(ids.new(), each) for each in findings], now)
            right = judged - {(each.kind, each.reference) for each in findings}
            resolved = await cases.resolve_cases(tx, run.run_id, right, now)
            run = replace(
                run,
                status=runs.final_status(unavailable),
                finished_at=now,
                envelopes_checked=report.checked,
                envelopes_republished=report.republished,
                cases_opened=len(opened) + sum(matched.opened.values()),
                cases_resolved=len(resolved) + matched.resolved,
                payments_checked=matched.payments_checked,
                settlements_checked=matched.settlements_checked,
                totals={books.qualified(each, name): n for each, sums in totals.items() for name, n in sums.items()},
                unavailable=sorted(unavailable),
            )
            if not await commands.finish_run(tx, run):
                raise RunAbandoned("another run took its place")
            await self._announce(tx, run, opened, resolved, now)
            if matched.opened:
                digest = events.differences_opened(run, matched.opened, matched.opened_minor, ids.new(), now)
                await outbox.append(tx, [digest])
        for case in opened:
            logger.error("case opened: {} ({}): {}", case.kind, case.reference, case.detail)
        return RunReport(run, open_now)

    async def _mismatches(self, tx: Tx, comparisons: Sequence[Comparison], now: datetime) -> list[Finding]:
        """A difference that may yet go away is neither right nor wrong: it is remembered."""
        differences = books.unchanged_since(comparisons, await queries.differences(tx), now)
        await commands.replace_differences(tx, comparisons, differences)
        return books.findings(books.mismatches(differences, now, self._policy.tolerance))

    async def _announce(
        self, tx: Tx, run: Run, opened: Sequence[Case], resolved: Sequence[Case], now: datetime
    ) -> None:
        await outbox.append(tx, [events.case_opened(case, ids.new(), now) for case in opened])
        await outbox.append(tx, [events.case_resolved(case, ids.new(), now) for case in resolved])
        if run.actor != SCHEDULE:
            line = events.run_audited(run, self._policy.platform_merchant_id, ids.new(), now)
            await outbox.append(tx, [line])
