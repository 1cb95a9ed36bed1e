"""What the HTTP endpoints answer."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from msgspec import Struct

from common import ids
from common.pages import Page, encode_cursor, page
from reconciler.domain.billing import BillingSummary, Figures
from reconciler.domain.runs import Case, CaseStatus, Run, RunReport, RunStatus, Scope
from reconciler.wire.events import CASE, RUN


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
    totals: Mapping[str, int]
    unavailable_services: Sequence[str]


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
    )


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
        success_rate_basis_points=figures.success_rate_basis_points,
        average_duration_micros=figures.average_duration_micros,
    )
