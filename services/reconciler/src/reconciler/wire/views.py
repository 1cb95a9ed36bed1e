"""What the HTTP endpoints answer."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime

import msgspec
from msgspec import Struct

from common import ids
from common.pages import Page, encode_cursor, page
from reconciler.domain.bank import StoredStatement
from reconciler.domain.billing import BillingSummary, Figures
from reconciler.domain.cases import CaseFile
from reconciler.domain.closes import Close
from reconciler.domain.runs import Case, CaseStatus, Run, RunReport, RunStatus, Scope
from reconciler.wire.events import CASE, CLOSE, RUN, STATEMENT


class RunView(Struct, frozen=True, rename="camel"):
    """One run: what was compared, the result, and which services did not answer."""

    run_id: str
    scope: Scope
    status: RunStatus
    actor: str
    started_at: datetime
    finished_at: datetime | None
    envelopes_checked: int
    envelopes_republished: int
    cases_opened: int
    cases_resolved: int
    payments_checked: int
    settlements_checked: int
    totals: Mapping[str, int]
    unavailable_services: Sequence[str]


class EvidenceView(Struct, frozen=True, rename="camel"):
    """What one side says; amounts are minor units."""

    source: str
    values: Mapping[str, str]


class CaseView(Struct, frozen=True, rename="camel"):
    """What is wrong, until a run finds it right again."""

    case_id: str
    run_id: str
    kind: str
    reference: str
    detail: str
    status: CaseStatus
    opened_at: datetime
    resolved_at: datetime | None
    payment_id: str
    settlement_id: str
    merchant_id: str
    # Minor units: how much money is in question.
    amount: int
    currency: str
    owner: str
    resolved_by: str
    resolution: str
    evidence: Sequence[EvidenceView]


class NoteView(Struct, frozen=True, rename="camel"):
    """A person's note on a case."""

    author: str
    note: str
    created_at: datetime


class CaseFileView(Struct, frozen=True, rename="camel"):
    """A case with its notes, oldest first, and earlier cases about the same, newest first."""

    case: CaseView
    notes: Sequence[NoteView]
    history: Sequence[CaseView]


class CloseFiguresView(Struct, frozen=True, rename="camel"):
    """One currency of a day; minor units. matched + explained + open = total."""

    currency: str
    payments: int
    total: int
    matched: int
    explained: int
    open: int
    other_cases: int
    other_amount: int
    settlements: int
    settled_net: int
    banked: int


class CloseView(Struct, frozen=True, rename="camel"):
    """What of a day in India was matched, explained and open when it was closed."""

    close_id: str
    day: date
    closed_at: datetime
    closed_by: str
    currencies: Sequence[CloseFiguresView]


class ClosesView(Struct, frozen=True, rename="camel"):
    """Closes, the last one first."""

    items: Sequence[CloseView]


class BankStatementView(Struct, frozen=True, rename="camel"):
    """A stored statement; *linesAdded*: those that no earlier statement of the account held."""

    statement_id: str
    format: str
    currency: str
    first_on: date
    last_on: date
    lines: int
    lines_added: int


class RunReportView(Struct, frozen=True, rename="camel"):
    """A finished run, and the cases that are open because of what it found."""

    run: RunView
    cases: Sequence[CaseView]


class FiguresView(Struct, frozen=True, rename="camel"):
    """Amounts are minor units of *currency*; the rate is of the payments that came to an end."""

    currency: str
    payments_created: int
    payments_succeeded: int
    payments_failed: int
    created_amount: int
    succeeded_amount: int
    failed_amount: int
    # Refunds that were asked for, whatever became of them.
    refunds_created: int
    refunds_amount: int
    success_rate_basis_points: int | None
    average_duration_micros: int | None


class DayView(Struct, frozen=True, rename="camel"):
    """One day (UTC) in one currency."""

    day: date
    figures: FiguresView


class SummaryView(Struct, frozen=True, rename={"first": "from", "last": "to", "webhook_failures": "webhookFailures"}):
    """Sums by currency, and the days they are made of."""

    first: date
    last: date
    totals: Sequence[FiguresView]
    days: Sequence[DayView]
    # Refused webhooks name no merchant that could be believed: null for all but the platform.
    webhook_failures: int | None


def runs(rows: Sequence[Run], limit: int) -> Page[RunView]:
    return page(rows, limit, run, lambda row: encode_cursor(row.started_at, row.run_id))


def cases(rows: Sequence[Case], limit: int) -> Page[CaseView]:
    return page(rows, limit, case, lambda row: encode_cursor(row.opened_at, row.case_id))


def run_report(report: RunReport) -> RunReportView:
    return RunReportView(run(report.run), [case(each) for each in report.cases])


def run(run: Run) -> RunView:
    return RunView(
        run_id=ids.encode(RUN, run.run_id),
        scope=run.scope,
        status=run.status,
        actor=run.actor,
        started_at=run.started_at,
        finished_at=run.finished_at,
        envelopes_checked=run.envelopes_checked,
        envelopes_republished=run.envelopes_republished,
        cases_opened=run.cases_opened,
        cases_resolved=run.cases_resolved,
        payments_checked=run.payments_checked,
        settlements_checked=run.settlements_checked,
        totals=run.totals,
        unavailable_services=run.unavailable,
    )


def case(case: Case) -> CaseView:
    return CaseView(
        case_id=ids.encode(CASE, case.case_id),
        run_id=ids.encode(RUN, case.run_id),
        kind=case.kind,
        reference=case.reference,
        detail=case.detail,
        status=case.status,
        opened_at=case.opened_at,
        resolved_at=case.resolved_at,
        payment_id=case.payment_id,
        settlement_id=case.settlement_id,
        merchant_id=case.merchant_id,
        amount=case.amount_minor,
        currency=case.currency,
        owner=case.owner,
        resolved_by=case.resolved_by,
        resolution=case.resolution,
        evidence=[EvidenceView(each.source, each.values) for each in case.evidence],
    )


def case_file(file: CaseFile) -> CaseFileView:
    return CaseFileView(
        case(file.case),
        [NoteView(note.author, note.text, note.created_at) for note in file.notes],
        [case(each) for each in file.history],
    )


def close(close: Close) -> CloseView:
    return CloseView(
        close_id=ids.encode(CLOSE, close.close_id),
        day=close.day,
        closed_at=close.closed_at,
        closed_by=close.closed_by,
        currencies=[
            CloseFiguresView(
                currency=each.currency,
                payments=each.payments,
                total=each.total_minor,
                matched=each.matched_minor,
                explained=each.explained_minor,
                open=each.open_minor,
                other_cases=each.other_cases,
                other_amount=each.other_minor,
                settlements=each.settlements,
                settled_net=each.settled_net_minor,
                banked=each.banked_minor,
            )
            for each in close.currencies
        ],
    )


def statement(stored: StoredStatement) -> BankStatementView:
    return BankStatementView(
        statement_id=ids.encode(STATEMENT, stored.statement_id),
        format=stored.statement.format,
        currency=stored.statement.currency,
        first_on=stored.statement.first_on,
        last_on=stored.statement.last_on,
        lines=len(stored.statement.lines),
        lines_added=stored.lines_added,
    )


_REPORT_COLUMNS = (
    *("caseId", "kind", "reference", "status", "paymentId", "settlementId", "merchantId", "amount", "currency"),
    *("owner", "openedAt", "resolvedAt", "resolvedBy", "resolution", "detail"),
)


def report_csv(report: RunReport) -> bytes:
    """The run's cases, one a line, with a heading; a text that a spreadsheet would take for a formula is quoted."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_REPORT_COLUMNS)
    for each in report.cases:
        values = msgspec.to_builtins(case(each))
        writer.writerow([_cell(values[name]) for name in _REPORT_COLUMNS])
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def summary(summary: BillingSummary) -> SummaryView:
    return SummaryView(
        first=summary.period.first,
        last=summary.period.last,
        totals=[_figures(currency, figures) for currency, figures in summary.totals.items()],
        days=[DayView(day.day, _figures(day.currency, day.figures)) for day in summary.days],
        webhook_failures=summary.webhook_failures,
    )


def _figures(currency: str, figures: Figures) -> FiguresView:
    return FiguresView(
        currency=currency,
        payments_created=figures.created,
        payments_succeeded=figures.succeeded,
        payments_failed=figures.failed,
        created_amount=figures.created_minor,
        succeeded_amount=figures.succeeded_minor,
        failed_amount=figures.failed_minor,
        refunds_created=figures.refunds,
        refunds_amount=figures.refunds_minor,
        success_rate_basis_points=figures.success_rate_basis_points,
        average_duration_micros=figures.average_duration_micros,
    )
