"""What HTTP answers hold."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from common import ids
from common.approvals import Approval, ApprovalStatus
from common.events import from_micros
from common.pages import Page, encode_cursor
from common.times import rfc3339
from ledger.domain.adjustments import BatchSummary
from ledger.domain.audit import AuditRecord
from ledger.domain.blocks import Block
from ledger.domain.chart import ACCOUNTS, CHART, CODES, NORMAL_SIDE, Account, AccountBalance, Side, out_of_balance
from ledger.domain.controls import ClosedPeriod, Freeze
from ledger.domain.journals import BookedJournal, Journal
from ledger.domain.statements import Position, StatementLine


class AccountView(Struct, frozen=True, rename="camel"):
    """An account of the chart."""

    account: str
    number: int
    asset: str
    kind: str
    normal_side: str


class BalanceView(Struct, frozen=True, rename="camel"):
    """Sums of an account; *balance* is on its normal side."""

    account: str
    asset: str
    debit: int
    credit: int
    balance: int


class BalancesView(Struct, frozen=True, rename="camel"):
    """The balances at one instant; *differences* is zero for every asset in books that are right."""

    at: datetime
    accounts: list[BalanceView]
    differences: dict[str, int]


class LineView(Struct, frozen=True, rename="camel"):
    account: str
    debit: int
    credit: int


class JournalView(Struct, frozen=True, rename="camel"):
    """A journal as it is booked."""

    journal_id: str
    template: str
    asset: str
    cause_id: str
    reference: str
    actor_id: str
    effective_at: datetime
    lines: list[LineView]


class DraftView(Struct, frozen=True, rename="camel"):
    """A journal that would be booked."""

    template: str
    asset: str
    lines: list[LineView]
    # When it counts, and why it is posted; "" for what an event would cause.
    effective_at: datetime
    reason: str
    owner_id: str


class PreviewView(Struct, frozen=True, rename="camel"):
    """What would be booked; nothing was."""

    journals: list[DraftView]


class ApprovalView(Struct, frozen=True, rename="camel"):
    """The state of proposed journals: how many, and the sum of their debits by asset."""

    approval_id: str
    status: ApprovalStatus
    journals: int
    debits: dict[str, int]
    proposed_by: str
    reason: str
    proposed_at: datetime
    expires_at: datetime
    decided_by: str | None
    decision_reason: str | None
    decided_at: datetime | None


class ProposalView(Struct, frozen=True, rename="camel"):
    """Journals that wait for another person's approval, or had it."""

    approval: ApprovalView
    journals: list[DraftView]


class EntryView(Struct, frozen=True, rename="camel"):
    """One entry; *countedAt* differs from *effectiveAt* when that was in a closed period."""

    journal_id: str
    line: int
    account: str
    asset: str
    debit: int
    credit: int
    template: str
    cause_id: str
    reference: str
    actor_id: str
    owner_id: str
    reason: str
    effective_at: datetime
    booked_at: datetime
    counted_at: datetime


class StatementView(Struct, frozen=True, rename="camel"):
    """A page of an account's statement: its balances on the normal side before `from` and before `to`, and entries."""

    account: str
    opening: int
    closing: int
    items: list[EntryView]
    next_cursor: str | None


class PeriodView(Struct, frozen=True, rename="camel"):
    """Everything that counts before *closedUntil* can no longer change."""

    closed_until: datetime
    closed_at: datetime
    closed_by: str
    reason: str


class FreezeView(Struct, frozen=True, rename="camel"):
    """A frozen account, or one that was."""

    account: str
    frozen_at: datetime
    frozen_by: str
    reason: str
    unfrozen_at: datetime | None
    unfrozen_by: str | None
    unfreeze_reason: str | None


class BlockView(Struct, frozen=True, rename="camel"):
    """A block of the hash chain."""

    height: int
    cluster: str
    epoch: int
    head: str
    previous: str
    journals: int
    entries: int
    audit_entries: int
    sealed_at: datetime
    signature: str
    key_id: str


class AuditView(Struct, frozen=True, rename="camel"):
    """Who did what to what; states before and after are JSON texts."""

    audit_id: str
    at: datetime
    actor_id: str
    action: str
    resource_type: str
    resource_id: str
    before: str | None
    after: str | None
    ip: str
    user_agent: str
    request_id: str
    correlation_id: str
    trace_id: str
    service: str


def accounts_page() -> Page[AccountView]:
    return Page([_account(account) for account in CHART])


def _account(account: Account) -> AccountView:
    return AccountView(account.code, account.number, account.asset, account.kind, NORMAL_SIDE[account.kind])


def balances(at: datetime, rows: Sequence[AccountBalance]) -> BalancesView:
    views = [BalanceView(row.account, row.asset, row.debit, row.credit, normal_balance(row)) for row in rows]
    return BalancesView(at, views, out_of_balance(rows))


def normal_balance(row: AccountBalance) -> int:
    """The balance of an account on the side on which it grows."""
    grows_by_debit = NORMAL_SIDE[ACCOUNTS[row.account].kind] is Side.DEBIT
    return row.debit - row.credit if grows_by_debit else row.credit - row.debit


def journal(booked: BookedJournal) -> JournalView:
    return JournalView(
        ids.encode("jrn", booked.journal_id),
        booked.template,
        booked.asset,
        ids.encode("evt", booked.cause_id),
        ids.encode(booked.reference_prefix, booked.reference),
        booked.actor_id,
        booked.effective_at,
        [LineView(line.account, line.debit, line.credit) for line in booked.entries],
    )


def journals_page(rows: Sequence[BookedJournal], limit: int) -> Page[JournalView]:
    shown = rows[:limit]
    cursor = encode_cursor(shown[-1].journal_id) if len(rows) > limit else None
    return Page([journal(row) for row in shown], cursor)


def draft(posted: Journal) -> DraftView:
    lines = [LineView(CODES[entry.account], entry.debit, entry.credit) for entry in posted.entries]
    effective_at = from_micros(posted.event.effective_unix_micros)
    return DraftView(posted.template, posted.asset, lines, effective_at, posted.reason, posted.event.owner_id)


def preview(drafts: Iterable[Journal]) -> PreviewView:
    return PreviewView([draft(each) for each in drafts])


def proposal(approval: Approval, drafts: Iterable[Journal], now: datetime) -> ProposalView:
    return ProposalView(approval_view(approval, now), [draft(each) for each in drafts])


def approval_view(approval: Approval, now: datetime) -> ApprovalView:
    current = approval.at(now)
    detail = msgspec.convert(approval.detail, BatchSummary)
    return ApprovalView(
        current.text_id,
        current.status,
        detail.journals,
        detail.debits,
        current.proposed_by,
        current.reason,
        current.proposed_at,
        current.expires_at,
        current.decided_by,
        current.decision_reason,
        current.decided_at,
    )


def approvals_page(rows: Sequence[Approval], limit: int, now: datetime) -> Page[ApprovalView]:
    shown = rows[:limit]
    cursor = encode_cursor(shown[-1].id) if len(rows) > limit else None
    return Page([approval_view(row, now) for row in shown], cursor)


def entry(line: StatementLine) -> EntryView:
    return EntryView(
        ids.encode("jrn", line.journal_id),
        line.line,
        line.account,
        line.asset,
        line.debit,
        line.credit,
        line.template,
        ids.encode("evt", line.cause_id),
        ids.encode(line.reference_prefix, line.reference),
        line.actor_id,
        line.owner_id,
        line.reason,
        line.effective_at,
        line.booked_at,
        line.counted_at,
    )


def position_cursor(after: Position | None) -> str | None:
    return encode_cursor(after.journal_id, after.line) if after else None


def periods_page(rows: Sequence[ClosedPeriod], limit: int) -> Page[PeriodView]:
    shown = rows[:limit]
    cursor = encode_cursor(shown[-1].closed_until) if len(rows) > limit else None
    return Page([period(row) for row in shown], cursor)


def period(closed: ClosedPeriod) -> PeriodView:
    return PeriodView(closed.closed_until, closed.closed_at, closed.closed_by, closed.reason)


def freeze(frozen: Freeze) -> FreezeView:
    return FreezeView(
        frozen.account,
        frozen.frozen_at,
        frozen.frozen_by,
        frozen.reason,
        frozen.unfrozen_at,
        frozen.unfrozen_by,
        frozen.unfreeze_reason,
    )


def blocks_page(rows: Sequence[Block], limit: int) -> Page[BlockView]:
    shown = rows[:limit]
    cursor = encode_cursor(shown[-1].height) if len(rows) > limit else None
    return Page([_block(row) for row in shown], cursor)


def _block(block: Block) -> BlockView:
    contents = block.contents
    return BlockView(
        block.height,
        block.cluster,
        block.range.epoch,
        block.head.hex(),
        block.previous.hex(),
        contents.journals,
        contents.entries,
        contents.audit_entries,
        block.sealed_at,
        block.signature.hex(),
        block.key_id,
    )


def audit_page(rows: Sequence[AuditRecord], limit: int) -> Page[AuditView]:
    shown = rows[:limit]
    cursor = encode_cursor(shown[-1].audit_id) if len(rows) > limit else None
    return Page([audit(row) for row in shown], cursor)


def audit(record: AuditRecord) -> AuditView:
    return AuditView(
        ids.encode("evt", record.audit_id),
        from_micros(record.time_unix_micros),
        record.actor_id,
        record.action,
        record.resource_type,
        record.resource_id,
        record.before_state,
        record.after_state,
        record.ip_address,
        record.user_agent,
        record.request_id,
        record.correlation_id,
        record.trace_id,
        record.service,
    )


def csv_bytes(rows: Iterable[EntryView] | Iterable[AuditView] | Iterable[BalanceView], kind: type[Struct]) -> bytes:
    """*rows* as CSV (RFC 4180, UTF-8), with a heading; a text that a spreadsheet would take for a formula is quoted."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = kind.__struct_fields__
    writer.writerow(kind.__struct_encode_fields__)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in names])
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
