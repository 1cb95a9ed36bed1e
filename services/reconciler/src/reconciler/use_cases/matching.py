"""One pass of matching: what changed since the last, what is due by the clock, what is wrong still.

Other services are read without a transaction open. Each page is saved in a transaction, and then its cursor in
another: a pass that ends early is continued where it stopped, at worst with a page that is judged twice. Memory holds
one page and one settlement's rows at a time.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from loguru import logger
from msgspec import Struct

from common import ids, outbox
from common.clock import Clock
from common.database import Database, Tx
from common.errors import DomainError
from reconciler.domain import matching
from reconciler.domain.differences import Verdict
from reconciler.domain.matching import Feed, JudgedPayment, JudgedSettlement, Window
from reconciler.domain.payment_rules import judge_payment
from reconciler.domain.records import PaymentFacts, PaymentRecord, Settlement, SettlementFacts, SettlementRow
from reconciler.domain.runs import Case, Finding
from reconciler.domain.settlement_rules import judge_settlement
from reconciler.domain.terms import Terms
from reconciler.gateways import MATCHING_PAGE, MatchingSources
from reconciler.store import bank, cases
from reconciler.store import matching as store
from reconciler.wire import events

# How far back the first run reads.
FIRST_RUN: Final = timedelta(days=180)
# Rows of one settlement that are held at once; a day of a large merchant.
ROWS_MAX: Final = 200_000
SETTLEMENTS_PAGE: Final = 50


class MatchingReport(Struct):
    """What a pass has done so far. Mutable: it is added up page by page."""

    payments_checked: int = 0
    settlements_checked: int = 0
    opened: Counter[str] = Counter()
    opened_minor: Counter[str] = Counter()
    resolved: int = 0
    # The pass stopped, because a service did not answer.
    is_partial: bool = False


class Matching:
    """Compares payments with settlements, refunds, grants, books and the bank."""

    def __init__(self, db: Database, clock: Clock, sources: MatchingSources, terms: Terms, overlap: timedelta) -> None:
        self._db = db
        self._clock = clock
        self._sources = sources
        self._terms = terms
        self._overlap = overlap

    async def run(self, run_id: UUID) -> MatchingReport:
        """Judge what changed, is due or is open. A service that does not answer ends the pass where it is."""
        report = MatchingReport(opened=Counter(), opened_minor=Counter())
        begun = self._clock.now()
        feeds: dict[Feed, Callable[[Window], Coroutine[Any, Any, str]]] = {
            Feed.SETTLEMENTS: lambda window: self._settlements_page(run_id, begun, window, report),
            Feed.REFUNDS: lambda window: self._refunds_page(run_id, begun, window, report),
            Feed.PAYMENTS: lambda window: self._payments_page(run_id, begun, window, report),
        }
        try:
            for feed, read in feeds.items():
                await self._read(feed, begun, read)
            await self._due(run_id, begun, report)
        except DomainError as error:
            logger.warning("matching stops here until the next run: {}", error.code)
            report.is_partial = True
        return report

    async def rejudge(self, run_id: UUID, case: Case) -> None:
        """Judge the payment or settlement of *case* again. Raises DomainError when a service does not answer."""
        report = MatchingReport(opened=Counter(), opened_minor=Counter())
        if case.payment_id:
            await self._judge_payments(run_id, await self._sources.payments([case.payment_id]), report)
        elif case.settlement_id:
            async with self._db.begin() as tx:
                known = await store.settlements(tx, [case.settlement_id])
            for settlement in known.values():
                await self._judge_settlement(run_id, settlement, report)

    async def _read(self, feed: Feed, begun: datetime, read: Callable[[Window], Coroutine[Any, Any, str]]) -> None:
        async with self._db.begin() as tx:
            window = matching.next_window(await store.window(tx, feed), begun - FIRST_RUN, begun)
        while True:
            next_page = await read(window)
            window = Window(window.changed_until, window.window_until, next_page)
            if not next_page:
                window = matching.window_read(window, self._overlap)
            async with self._db.begin() as tx:
                await store.save_window(tx, feed, window)
            if not next_page:
                return

    async def _settlements_page(self, run_id: UUID, begun: datetime, window: Window, report: MatchingReport) -> str:
        assert window.window_until is not None
        settlements, next_page = await self._sources.changed_settlements(
            window.changed_until, window.window_until, window.page
        )
        for settlement in settlements:
            rows = await self._judge_settlement(run_id, settlement, report)
            # After the settlement itself: so that they see its state.
            await self._judge_by_id(run_id, begun, [row.payment_id for row in rows], report)
        return next_page

    async def _refunds_page(self, run_id: UUID, begun: datetime, window: Window, report: MatchingReport) -> str:
        assert window.window_until is not None
        refunds, next_page = await self._sources.changed_refunds(window.changed_until, window.window_until, window.page)
        await self._judge_by_id(run_id, begun, [each.payment_id for each in refunds], report)
        return next_page

    async def _payments_page(self, run_id: UUID, begun: datetime, window: Window, report: MatchingReport) -> str:
        assert window.window_until is not None
        records, next_page = await self._sources.changed_payments(
            window.changed_until, window.window_until, window.page
        )
        async with self._db.begin() as tx:
            judged = await store.judged_since(tx, [each.payment_id for each in records], begun)
        fresh = [each for each in records if each.payment_id not in judged or each.changed_at >= begun]
        await self._judge_payments(run_id, fresh, report)
        return next_page

    async def _due(self, run_id: UUID, begun: datetime, report: MatchingReport) -> None:
        """What the clock or an open case asks for, and this pass has not judged."""
        while True:
            async with self._db.begin() as tx:
                settlements = await store.due_settlements(tx, begun, SETTLEMENTS_PAGE)
            if not settlements:
                break
            for settlement in settlements:
                await self._judge_settlement(run_id, settlement, report)
        while True:
            async with self._db.begin() as tx:
                due = await store.due_payments(tx, begun, MATCHING_PAGE)
            if not due:
                return
            records = await self._sources.payments(due)
            await self._judge_payments(run_id, records, report)
            if missing := sorted(set(due) - {each.payment_id for each in records}):
                await self._judge_unknown(run_id, missing, report)

    async def _judge_unknown(self, run_id: UUID, payment_ids: Sequence[str], report: MatchingReport) -> None:
        """Payments that payment does not know any more, as after a restore of its database."""
        now = self._clock.now()
        async with self._db.begin() as tx:
            findings = await store.unknown_payments(tx, payment_ids, now)
            await self._save_cases(tx, run_id, findings, payment_ids, [], report, now)

    async def _judge_by_id(
        self, run_id: UUID, begun: datetime, payment_ids: Sequence[str], report: MatchingReport
    ) -> None:
        wanted = sorted({each for each in payment_ids if each})
        for first in range(0, len(wanted), MATCHING_PAGE):
            page = wanted[first : first + MATCHING_PAGE]
            async with self._db.begin() as tx:
                judged = await store.judged_since(tx, page, begun)
            if fresh := [each for each in page if each not in judged]:
                await self._judge_payments(run_id, await self._sources.payments(fresh), report)

    # ── Payments ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _judge_payments(self, run_id: UUID, records: Sequence[PaymentRecord], report: MatchingReport) -> None:
        if not records:
            return
        now = self._clock.now()
        facts = await self._facts(records)
        verdicts = [(each, judge_payment(each, self._terms, now)) for each in facts]
        findings = [finding for _, verdict in verdicts for finding in verdict.findings]
        payment_ids = [record.payment_id for record in records]
        async with self._db.begin() as tx:
            open_now = await self._save_cases(tx, run_id, findings, payment_ids, [], report, now)
            await store.save_payments(tx, [_kept(each, verdict, open_now, now) for each, verdict in verdicts], now)
            healing = matching.to_heal(open_now, now)
            await outbox.append(tx, [events.sync_requested(case, ids.new(), now) for case in healing])
        report.payments_checked += len(records)

    async def _facts(self, records: Sequence[PaymentRecord]) -> list[PaymentFacts]:
        payment_ids = [record.payment_id for record in records]
        rows, refunds, grants, sums = await asyncio.gather(
            self._sources.rows_of_payments(payment_ids),
            self._sources.refunds(payment_ids),
            self._sources.grants(payment_ids),
            self._sources.sums(payment_ids),
        )
        async with self._db.begin() as tx:
            settlements = await store.settlements(tx, [row.settlement_id for row in rows])
        rows_by_payment: dict[str, list[SettlementRow]] = {}
        for row in rows:
            rows_by_payment.setdefault(row.payment_id, []).append(row)
        refunds_by_payment: dict[str, list[Any]] = {}
        for refund in refunds:
            refunds_by_payment.setdefault(refund.payment_id, []).append(refund)
        return [
            PaymentFacts(
                record=record,
                rows=rows_by_payment.get(record.payment_id, ()),
                settlements=settlements,
                refunds=refunds_by_payment.get(record.payment_id, ()),
                grant=grants.get(record.payment_id),
                sums=sums.get(record.payment_id, ()),
            )
            for record in records
        ]

    # ── Settlements ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _judge_settlement(
        self, run_id: UUID, settlement: Settlement, report: MatchingReport
    ) -> Sequence[SettlementRow]:
        """The settlement against its rows and the bank; its rows."""
        rows: list[SettlementRow] = []
        page = ""
        while True:
            more, page = await self._sources.rows_of_settlement(settlement.settlement_id, page)
            rows += more
            if not page or len(rows) >= ROWS_MAX:
                break
        now = self._clock.now()
        async with self._db.begin() as tx:
            facts = await self._settlement_facts(tx, settlement, rows)
            # Half the rows add up to nothing that could be judged: cases stay as they are.
            verdict = judge_settlement(facts, self._terms, now) if not page else Verdict([], now)
            judged_ids = [settlement.settlement_id] if not page else []
            open_now = await self._save_cases(tx, run_id, verdict.findings, [], judged_ids, report, now)
            judged = matching.judged_settlement(facts, verdict, now)
            if verdict.findings and not open_now:
                judged = JudgedSettlement(settlement, judged.bank_line_id, verdict.recheck_at)
            await store.save_settlements(tx, [judged], now)
        report.settlements_checked += 1
        return rows

    async def _settlement_facts(self, tx: Tx, settlement: Settlement, rows: Sequence[SettlementRow]) -> SettlementFacts:
        if settlement.settled_at is None:
            return SettlementFacts(settlement=settlement, rows=rows)
        first, last = self._terms.bank_line_on(settlement.settled_at)
        return SettlementFacts(
            settlement=settlement,
            rows=rows,
            lines=await bank.credits(tx, first, last, settlement.currency, settlement.utr),
            coverage=await bank.coverage(tx, first, last, settlement.currency),
            accounts=await bank.accounts(tx, settlement.currency),
        )

    async def _save_cases(
        self,
        tx: Tx,
        run_id: UUID,
        findings: Sequence[Finding],
        payment_ids: Sequence[str],
        settlement_ids: Sequence[str],
        report: MatchingReport,
        now: datetime,
    ) -> list[Case]:
        opened, open_now = await cases.open_cases(tx, run_id, [(ids.new(), each) for each in findings], now)
        resolved = await cases.resolve_rest(tx, run_id, payment_ids, settlement_ids, findings, now)
        for case in opened:
            report.opened[case.kind] += 1
            report.opened_minor[case.currency] += case.amount_minor
        report.resolved += len(resolved)
        return open_now


def _kept(facts: PaymentFacts, verdict: Verdict, open_now: Sequence[Case], now: datetime) -> JudgedPayment:
    """What a person has decided about needs no look in every run."""
    judged = matching.judged_payment(facts, verdict, now)
    if verdict.findings and not any(case.payment_id == facts.record.payment_id for case in open_now):
        return JudgedPayment(judged.record, judged.paid_on, judged.settled_at, verdict.recheck_at)
    return judged
