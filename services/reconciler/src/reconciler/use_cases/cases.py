"""What the platform's finance staff do with cases, reports, statements and closes."""

import hashlib
from datetime import date
from typing import Final
from uuid import UUID

from msgspec import Struct

from common import ids, outbox
from common.authorization import Authorizer
from common.clock import Clock
from common.database import Database, Tx
from common.tokens import Caller
from reconciler.domain import access, closes
from reconciler.domain.bank import BankStatement, BankStatementStored, StoredStatement
from reconciler.domain.cases import (
    NOTES_MAX,
    CaseClosed,
    CaseFile,
    CaseNotesTooMany,
    CaseNotFound,
    CaseNotRerunnable,
    Note,
)
from reconciler.domain.closes import Close
from reconciler.domain.records import day_in_india
from reconciler.domain.runs import Case, RunNotFound, RunReport
from reconciler.store import bank, cases, queries
from reconciler.store import closes as close_store
from reconciler.use_cases.matching import Matching
from reconciler.wire import events

# Cases of one report; what is more stands in the list of cases.
REPORT_CASES_MAX: Final = 10_000
CLOSES_MAX: Final = 100
# To say that money in question needs nothing more: by the token, and confirmed by identity (Authorize).
RESOLVE: Final = "reconciliation.resolve"


class CaseWork(Struct, frozen=True):
    """Acts of the staff of *platform_merchant_id*; each is audited. *matching* is None where it has no addresses."""

    db: Database
    clock: Clock
    platform_merchant_id: str
    matching: Matching | None
    authorizer: Authorizer

    async def show(self, merchant_id: str, case_id: UUID) -> CaseFile:
        """A case with its notes and what was before. Raises MerchantNotPlatform, CaseNotFound."""
        access.require_platform(merchant_id, self.platform_merchant_id)
        async with self.db.begin() as tx:
            case = await _existing(tx, case_id)
            return CaseFile(case, await queries.notes(tx, case_id), await queries.cases_before(tx, case))

    async def assign(self, merchant_id: str, actor: str, case_id: UUID, owner: str) -> Case:
        """Give an open case to *owner*, or to nobody. Raises MerchantNotPlatform, CaseNotFound, CaseClosed."""
        access.require_platform(merchant_id, self.platform_merchant_id)
        async with self.db.begin() as tx:
            return await self._changed(
                tx, "assigned", await _existing(tx, case_id), await cases.assign_case(tx, case_id, owner), actor
            )

    async def note(self, merchant_id: str, actor: str, case_id: UUID, text: str) -> CaseFile:
        """Note on a case, open or not. Raises MerchantNotPlatform, CaseNotFound, CaseNotesTooMany."""
        access.require_platform(merchant_id, self.platform_merchant_id)
        async with self.db.begin() as tx:
            case = await _existing(tx, case_id)
            if len(await queries.notes(tx, case_id)) >= NOTES_MAX:
                raise CaseNotesTooMany("the case has as many notes as it may have")
            await cases.add_note(tx, case_id, Note(ids.new(), actor, text, self.clock.now()))
            await self._changed(tx, "noted", case, case, actor)
            return CaseFile(case, await queries.notes(tx, case_id), await queries.cases_before(tx, case))

    async def resolve_for(self, caller: Caller, case_id: UUID, reason: str) -> Case:
        """As `resolve`, for a person. Raises what identity refuses them with, and CalleeUnavailable, too."""
        access.require_platform(caller.merchant_id, self.platform_merchant_id)
        await self.authorizer.require(caller, RESOLVE)
        return await self.resolve(caller.merchant_id, caller.user_id, case_id, reason)

    async def resolve(self, merchant_id: str, actor: str, case_id: UUID, reason: str) -> Case:
        """Close a case for a reason; it opens again when its difference changes, or goes and comes back.

        Raises MerchantNotPlatform, CaseNotFound, CaseClosed.
        """
        access.require_platform(merchant_id, self.platform_merchant_id)
        async with self.db.begin() as tx:
            existing = await _existing(tx, case_id)
            resolved = await cases.resolve_by_hand(tx, case_id, actor, reason, self.clock.now())
            return await self._changed(tx, "resolved", existing, resolved, actor)

    async def rerun(self, merchant_id: str, actor: str, case_id: UUID) -> Case:
        """Judge what the case is about now; the case as it is then.

        Raises MerchantNotPlatform, CaseNotFound, CaseNotRerunnable, and what a service raises that does not answer.
        """
        access.require_platform(merchant_id, self.platform_merchant_id)
        async with self.db.begin() as tx:
            case = await _existing(tx, case_id)
        if self.matching is None or not (case.payment_id or case.settlement_id):
            raise CaseNotRerunnable("the case is not about one payment or settlement")
        await self.matching.rejudge(case.run_id, case)
        async with self.db.begin() as tx:
            after = await _existing(tx, case_id)
            return await self._changed(tx, "rerun", case, after, actor)

    async def report(self, merchant_id: str, run_id: UUID) -> RunReport:
        """A run with the cases that it opened or resolved. Raises MerchantNotPlatform, RunNotFound."""
        access.require_platform(merchant_id, self.platform_merchant_id)
        async with self.db.begin() as tx:
            run = await queries.run(tx, run_id)
            if run is None:
                raise RunNotFound("there is no such run")
            return RunReport(run, await queries.cases_of_run(tx, run_id, REPORT_CASES_MAX))

    async def close(self, merchant_id: str, actor: str, day: date | None) -> Close:
        """State what of a day in India is matched, explained and open, and keep it. Raises MerchantNotPlatform,
        DayNotOver."""
        access.require_platform(merchant_id, self.platform_merchant_id)
        now = self.clock.now()
        chosen = closes.closable(day, day_in_india(now))
        async with self.db.begin() as tx:
            close = Close(ids.new(), chosen, now, actor, await close_store.figures(tx, chosen, now))
            await close_store.add_close(tx, close)
            line = events.close_audited(close, self.platform_merchant_id, ids.new(), now)
            await outbox.append(tx, [line])
        return close

    async def list_closes(self, merchant_id: str, day: date | None) -> list[Close]:
        """The closes of *day*, or the last of all. Raises MerchantNotPlatform."""
        access.require_platform(merchant_id, self.platform_merchant_id)
        async with self.db.begin() as tx:
            return await close_store.closes(tx, day, CLOSES_MAX)

    async def upload(self, merchant_id: str, actor: str, statement: BankStatement, file: bytes) -> StoredStatement:
        """Store a statement; the next run matches it. Raises MerchantNotPlatform, BankStatementStored."""
        access.require_platform(merchant_id, self.platform_merchant_id)
        statement_id, now = ids.new(), self.clock.now()
        async with self.db.begin() as tx:
            sha256 = hashlib.sha256(file).digest()
            added = await bank.store_statement(tx, statement_id, statement, sha256, actor, now)
            if added is None:
                raise BankStatementStored("this file is stored already")
            stored = StoredStatement(statement_id, statement, added)
            line = events.statement_audited(stored, actor, self.platform_merchant_id, ids.new(), now)
            await outbox.append(tx, [line])
        return stored

    async def _changed(self, tx: Tx, action: str, before: Case, after: Case | None, actor: str) -> Case:
        if after is None:
            raise CaseClosed("the case is resolved")
        line = events.case_audited(action, before, after, actor, self.platform_merchant_id, ids.new(), self.clock.now())
        await outbox.append(tx, [line])
        return after


async def _existing(tx: Tx, case_id: UUID) -> Case:
    case = await queries.case(tx, case_id)
    if case is None:
        raise CaseNotFound("there is no such case")
    return case
