"""HTTP endpoints: FINANCE reads the books, closes periods, freezes accounts, and posts what it answers for."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from common import approvals, ids
from common.authorization import ACT_ERRORS, Authorizer
from common.clock import Clock
from common.database import Database
from common.http_server import Call, Encoded, Route
from common.ids import IdInvalid
from common.pages import CursorInvalid, Page, decode_cursor
from common.times import TimeOutOfRange
from ledger.domain import adjustments as rules
from ledger.domain import controls as control_rules
from ledger.domain import journals as journal_rules
from ledger.use_cases import adjustments, books, controls, reports
from ledger.wire import requests, views
from ledger.wire.requests import (
    AtQuery,
    AuditQuery,
    ClosePeriodBody,
    EntriesQuery,
    EventPreviewBody,
    JournalsQuery,
    ManualBatchBody,
    PagesQuery,
    ReasonBody,
)
from ledger.wire.views import (
    AccountView,
    ApprovalView,
    AuditView,
    BalancesView,
    BlockView,
    EntryView,
    FreezeView,
    JournalView,
    PeriodView,
    PreviewView,
    ProposalView,
    StatementView,
)

PREFIX = "/api/v1/ledger"
POST: Final = "ledger.post"
APPROVE: Final = "ledger.approve"
CLOSE: Final = "ledger.close"
FREEZE: Final = "ledger.freeze"
_BATCH_ERRORS = (
    journal_rules.AccountUnknown, journal_rules.JournalUnbalanced, rules.JournalDateInvalid, TimeOutOfRange,
)  # fmt: skip
_FREEZE_ERRORS = (control_rules.AccountNotFound, *ACT_ERRORS)
CSV = "text/csv"


class Acts(Struct, frozen=True):
    """What the endpoints that change something call."""

    db: Database
    clock: Clock
    authorizer: Authorizer


def routes(acts: Acts) -> list[Route[Any]]:
    """Reports first; `/journals/preview` wins over `/journals/{journalId}`."""
    return [*_reports(acts.db, acts.clock), *_acts(acts)]


def _reports(db: Database, clock: Clock) -> list[Route[Any]]:
    read = partial(Route, "GET", permission="ledger.read")
    entries_errors = [CursorInvalid, control_rules.AccountNotFound]
    return [
        read(f"{PREFIX}/accounts", list_accounts, answer=Page[AccountView]),
        read(f"{PREFIX}/balances", partial(read_balances, db, clock), query=AtQuery, answer=BalancesView),
        read(f"{PREFIX}/trial-balance/export", partial(export_trial_balance, db, clock), query=AtQuery, answer=bytes,
             envelope=False, media_type=CSV),
        read(f"{PREFIX}/journals", partial(list_journals, db), query=JournalsQuery, answer=Page[JournalView],
             errors=[CursorInvalid]),
        read(f"{PREFIX}/journals/{{journalId}}", partial(read_journal, db), answer=JournalView,
             errors=[IdInvalid, rules.JournalNotFound]),
        read(f"{PREFIX}/entries", partial(list_entries, db, clock), query=EntriesQuery, answer=Page[EntryView],
             errors=entries_errors),
        read(f"{PREFIX}/entries/export", partial(export_entries, db, clock), query=EntriesQuery, answer=bytes,
             errors=entries_errors, envelope=False, media_type=CSV),
        read(f"{PREFIX}/accounts/{{account}}/statement", partial(read_statement, db, clock), query=EntriesQuery,
             answer=StatementView, errors=entries_errors),
        read(f"{PREFIX}/blocks", partial(list_blocks, db), query=PagesQuery, answer=Page[BlockView],
             errors=[CursorInvalid]),
        read(f"{PREFIX}/periods", partial(list_periods, db), query=PagesQuery, answer=Page[PeriodView],
             errors=[CursorInvalid]),
        read(f"{PREFIX}/freezes", partial(list_freezes, db), answer=Page[FreezeView]),
        read(f"{PREFIX}/approvals", partial(list_proposals, db, clock), query=PagesQuery, answer=Page[ApprovalView],
             errors=[CursorInvalid]),
        read(f"{PREFIX}/approvals/{{approvalId}}", partial(read_proposal, db, clock), answer=ProposalView,
             errors=[IdInvalid, approvals.ApprovalNotFound]),
        read(f"{PREFIX}/audit", partial(search_audit, db), query=AuditQuery, answer=Page[AuditView],
             permission="audit.read", errors=[CursorInvalid]),
        read(f"{PREFIX}/audit/export", partial(export_audit, db), query=AuditQuery, answer=bytes,
             permission="audit.read", errors=[CursorInvalid], envelope=False, media_type=CSV),
    ]  # fmt: skip


def _acts(acts: Acts) -> list[Route[Any]]:
    post = partial(Route, "POST", permission=POST)
    return [
        post(f"{PREFIX}/journals/preview", partial(preview_journals, acts.clock), body=ManualBatchBody,
             answer=PreviewView, errors=_BATCH_ERRORS),
        post(f"{PREFIX}/events/preview", partial(preview_event, acts.clock), body=EventPreviewBody,
             answer=PreviewView, errors=[rules.EventUnknown, journal_rules.AccountUnknown, journal_rules.AmountNegative,
                                         journal_rules.AssetUnknown, journal_rules.JournalUnbalanced]),
        post(f"{PREFIX}/journals", partial(propose_journals, acts), body=ManualBatchBody, answer=ProposalView,
             status=201, errors=[*_BATCH_ERRORS, *ACT_ERRORS, rules.BatchKeyReused, approvals.ApprovalPending]),
        post(f"{PREFIX}/approvals/{{approvalId}}/decision", partial(decide_journals, acts),
             body=approvals.DecisionBody, answer=ApprovalView, permission=APPROVE,
             errors=[*ACT_ERRORS, IdInvalid, approvals.ApprovalNotFound, approvals.ApprovalByProposer,
                     approvals.ApprovalClosed, control_rules.AccountFrozen]),
        post(f"{PREFIX}/journals/{{journalId}}/reverse", partial(reverse_journal, acts), body=ReasonBody,
             answer=JournalView, errors=[*ACT_ERRORS, IdInvalid, rules.JournalNotFound, rules.JournalReversed,
                                         control_rules.AccountFrozen]),
        post(f"{PREFIX}/periods/close", partial(close_period, acts), body=ClosePeriodBody, answer=PeriodView,
             permission=CLOSE, errors=[*ACT_ERRORS, control_rules.PeriodEndInvalid]),
        post(f"{PREFIX}/accounts/{{account}}/freeze", partial(freeze_account, acts), body=ReasonBody,
             answer=FreezeView, permission=FREEZE, errors=[*_FREEZE_ERRORS, control_rules.AccountFrozen]),
        post(f"{PREFIX}/accounts/{{account}}/unfreeze", partial(unfreeze_account, acts), body=ReasonBody,
             answer=FreezeView, permission=FREEZE, errors=[*_FREEZE_ERRORS, control_rules.AccountNotFrozen]),
    ]  # fmt: skip


async def list_accounts(call: Call) -> Page[AccountView]:
    """The chart of accounts."""
    return views.accounts_page()


async def read_balances(db: Database, clock: Clock, call: Call[None, AtQuery]) -> BalancesView:
    """The trial balance at an instant: debits, credits and balance of every account, by when journals count."""
    at = call.query.at or clock.now()
    return views.balances(at, await reports.balances_at(db, call.caller.merchant_id, at))


async def export_trial_balance(db: Database, clock: Clock, call: Call[None, AtQuery]) -> Encoded:
    """The trial balance at an instant, as CSV."""
    at = call.query.at or clock.now()
    rows = views.balances(at, await reports.balances_at(db, call.caller.merchant_id, at)).accounts
    return Encoded(views.csv_bytes(rows, views.BalanceView), media_type=CSV)


async def list_journals(db: Database, call: Call[None, JournalsQuery]) -> Page[JournalView]:
    """Journals with their lines, booked last first."""
    query = call.query
    before = decode_cursor(query.cursor, UUID)[0] if query.cursor else None
    rows = await reports.list_journals(db, call.caller.merchant_id, query.limit + 1, before, query.template)
    return views.journals_page(rows, query.limit)


async def read_journal(db: Database, call: Call) -> JournalView:
    """One journal with its lines."""
    journal_id = ids.decode("jrn", call.path["journalId"])
    return views.journal(await reports.read_journal(db, call.caller.merchant_id, journal_id))


async def list_entries(db: Database, clock: Clock, call: Call[None, EntriesQuery]) -> Page[EntryView]:
    """Entries of an account, about an owner, or all, in a time: a statement."""
    filter = requests.statement_filter(call.query, call.caller.merchant_id, clock.now())
    lines, after = await reports.list_entries(db, filter)
    return Page([views.entry(line) for line in lines], views.position_cursor(after))


async def export_entries(db: Database, clock: Clock, call: Call[None, EntriesQuery]) -> Encoded:
    """The same as CSV, 10,000 entries at most; the header X-Next-Cursor goes on where it is given."""
    filter = requests.statement_filter(call.query, call.caller.merchant_id, clock.now())
    lines, after = await reports.export_entries(db, filter)
    cursor = views.position_cursor(after)
    rows = [views.entry(line) for line in lines]
    return Encoded(
        views.csv_bytes(rows, EntryView), media_type=CSV, headers={"X-Next-Cursor": cursor} if cursor else {}
    )


async def read_statement(db: Database, clock: Clock, call: Call[None, EntriesQuery]) -> StatementView:
    """A page of an account's statement, with its opening and closing balance."""
    account = call.path["account"]
    number = requests.account_number(account)
    filter = requests.statement_filter(call.query, call.caller.merchant_id, clock.now())
    statement = await reports.read_statement(db, filter, account, number)
    opening, closing = map(views.normal_balance, (statement.opening, statement.closing))
    entries = [views.entry(line) for line in statement.lines]
    return StatementView(account, opening, closing, entries, views.position_cursor(statement.after))


async def list_blocks(db: Database, call: Call[None, PagesQuery]) -> Page[BlockView]:
    """Blocks of the hash chain, of all merchants together, the last one first."""
    before = decode_cursor(call.query.cursor, int)[0] if call.query.cursor else None
    return views.blocks_page(await reports.list_blocks(db, before, call.query.limit + 1), call.query.limit)


async def list_periods(db: Database, call: Call[None, PagesQuery]) -> Page[PeriodView]:
    """Closed periods, the last one first."""
    query = call.query
    before = reports.period_cursor(query.cursor)
    rows = await controls.list_periods(db, call.caller.merchant_id, query.limit + 1, before)
    return views.periods_page(rows, query.limit)


async def list_freezes(db: Database, call: Call) -> Page[FreezeView]:
    """Accounts that are frozen."""
    return Page([views.freeze(each) for each in await controls.list_freezes(db, call.caller.merchant_id)])


async def list_proposals(db: Database, clock: Clock, call: Call[None, PagesQuery]) -> Page[ApprovalView]:
    """Proposed manual journals, newest first."""
    query = call.query
    before = decode_cursor(query.cursor, UUID)[0] if query.cursor else None
    rows = await adjustments.list_proposals(db, clock, call.caller.merchant_id, query.limit + 1, before)
    return views.approvals_page(rows, query.limit, clock.now())


async def search_audit(db: Database, call: Call[None, AuditQuery]) -> Page[AuditView]:
    """Who did what, newest first, by actor, resource, action and time."""
    records = await books.list_audit(db, requests.audit_filter(call.query, call.caller.merchant_id))
    return views.audit_page(records, call.query.limit)


async def export_audit(db: Database, call: Call[None, AuditQuery]) -> Encoded:
    """The same as CSV, a page at a time; the header X-Next-Cursor goes on where it is given."""
    records = await books.list_audit(db, requests.audit_filter(call.query, call.caller.merchant_id))
    page = views.audit_page(records, call.query.limit)
    headers = {"X-Next-Cursor": page.next_cursor} if page.next_cursor else {}
    return Encoded(views.csv_bytes(page.items, AuditView), media_type=CSV, headers=headers)


async def preview_journals(clock: Clock, call: Call[ManualBatchBody]) -> PreviewView:
    """What these journals would book; nothing is."""
    batch = requests.manual_batch(call.body, call.caller.merchant_id, call.caller.user_id, clock.now())
    return views.preview(adjustments.preview_batch(batch))


async def preview_event(clock: Clock, call: Call[EventPreviewBody]) -> PreviewView:
    """What an event with these amounts would book; nothing is."""
    event = requests.previewed_event(call.body, call.caller.merchant_id, call.caller.user_id, clock.now())
    return views.preview(adjustments.preview_event(event))


async def propose_journals(acts: Acts, call: Call[ManualBatchBody]) -> ProposalView:
    """Propose manual journals; another person has them posted. The same key repeats the same proposal."""
    await acts.authorizer.require(call.caller, POST)
    now = acts.clock.now()
    batch = requests.manual_batch(call.body, call.caller.merchant_id, call.caller.user_id, now)
    approval, drafts = await adjustments.propose_journals(acts.db, batch)
    return views.proposal(approval, drafts, now)


async def read_proposal(db: Database, clock: Clock, call: Call) -> ProposalView:
    """Proposed journals with every line, for whoever decides about them."""
    approval_id = ids.decode(approvals.PREFIX, call.path["approvalId"])
    approval, drafts = await adjustments.read_proposal(db, call.caller.merchant_id, approval_id)
    return views.proposal(approval, drafts, clock.now())


async def decide_journals(acts: Acts, call: Call[approvals.DecisionBody]) -> ApprovalView:
    """Have proposed journals posted, or reject them."""
    await acts.authorizer.require(call.caller, APPROVE)
    approval_id, caller = ids.decode(approvals.PREFIX, call.path["approvalId"]), call.caller
    approval = await adjustments.decide_journals(
        acts.db, acts.clock, caller.merchant_id, approval_id, call.body.verdict, caller.user_id, call.body.reason
    )
    return views.approval_view(approval, acts.clock.now())


async def reverse_journal(acts: Acts, call: Call[ReasonBody]) -> JournalView:
    """Take a journal back by its reversal, once."""
    await acts.authorizer.require(call.caller, POST)
    journal_id, caller = ids.decode("jrn", call.path["journalId"]), call.caller
    reversal = await adjustments.reverse_journal(
        acts.db, acts.clock, caller.merchant_id, journal_id, caller.user_id, call.body.reason
    )
    return views.journal(await reports.read_journal(acts.db, caller.merchant_id, reversal.journal_id))


async def close_period(acts: Acts, call: Call[ClosePeriodBody]) -> PeriodView:
    """Close a period permanently: what comes late counts in the open one."""
    await acts.authorizer.require(call.caller, CLOSE)
    caller, body = call.caller, call.body
    return views.period(
        await controls.close_period(acts.db, acts.clock, caller.merchant_id, body.until, caller.user_id, body.reason)
    )


Control = Callable[[Database, Clock, str, str, str, str], Awaitable[control_rules.Freeze]]


async def freeze_account(acts: Acts, call: Call[ReasonBody]) -> FreezeView:
    """Take no entry on an account any more; what needs it waits."""
    return await _control(acts, call, controls.freeze_account)


async def unfreeze_account(acts: Acts, call: Call[ReasonBody]) -> FreezeView:
    """Take entries on an account again."""
    return await _control(acts, call, controls.unfreeze_account)


async def _control(acts: Acts, call: Call[ReasonBody], control: Control) -> FreezeView:
    caller = call.caller
    await acts.authorizer.require(caller, FREEZE)
    return views.freeze(
        await control(acts.db, acts.clock, caller.merchant_id, call.path["account"], caller.user_id, call.body.reason)
    )
