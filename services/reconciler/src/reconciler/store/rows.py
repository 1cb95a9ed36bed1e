"""Rows as the domain's values, by named columns."""

from typing import Any

import msgspec

from reconciler.domain.billing import BillingDay, Figures
from reconciler.domain.runs import Case, CaseStatus, Run, RunStatus, Scope

CASE_COLUMNS = "case_id, run_id, kind, reference, detail, status, opened_at, resolved_at"


def run(row: Any) -> Run:
    return Run(
        run_id=row.run_id,
        scope=Scope(row.scope),
        status=RunStatus(row.status),
        actor=row.actor,
        started_at=row.started_at,
        finished_at=row.finished_at,
        envelopes_checked=row.envelopes_checked,
        envelopes_republished=row.envelopes_republished,
        cases_opened=row.cases_opened,
        cases_resolved=row.cases_resolved,
        totals=msgspec.convert(row.totals, dict[str, int]),
        unavailable=row.unasked,
    )


def case(row: Any) -> Case:
    return Case(
        case_id=row.case_id,
        run_id=row.run_id,
        kind=row.kind,
        reference=row.reference,
        detail=row.detail,
        status=CaseStatus(row.status),
        opened_at=row.opened_at,
        resolved_at=row.resolved_at,
    )


def billing_day(row: Any) -> BillingDay:
    return BillingDay(
        row.day,
        row.currency,
        Figures(
            created=row.created,
            succeeded=row.succeeded,
            failed=row.failed,
            created_minor=row.created_minor,
            succeeded_minor=row.succeeded_minor,
            failed_minor=row.failed_minor,
            duration_micros=row.duration_micros,
            late=row.late,
        ),
    )
