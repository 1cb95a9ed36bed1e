"""Rows as the domain's values, by named columns."""

from typing import Any

import msgspec

from reconciler.domain.billing import BillingDay, Figures
from reconciler.domain.records import Settlement
from reconciler.domain.runs import Case, CaseStatus, Evidence, Run, RunStatus, Scope

CASE_COLUMNS = (
    "case_id, run_id, kind, reference, detail, status, opened_at, resolved_at, payment_id, settlement_id, merchant_id,"
    " amount_minor, currency, evidence, owner, resolved_by, resolution"
)

SETTLEMENT_COLUMNS = (
    "settlement_id, merchant_id, gateway, account_id, gateway_settlement_id, utr, status, currency, gross_minor,"
    " fee_minor, fee_tax_minor, adjustment_minor, net_minor, settled_at, seq"
)


def settlement(row: Any) -> Settlement:
    return Settlement(
        settlement_id=row.settlement_id,
        merchant_id=row.merchant_id,
        gateway=row.gateway,
        account_id=row.account_id,
        gateway_settlement_id=row.gateway_settlement_id,
        utr=row.utr,
        status=row.status,
        currency=row.currency,
        gross_minor=row.gross_minor,
        fee_minor=row.fee_minor,
        fee_tax_minor=row.fee_tax_minor,
        adjustment_minor=row.adjustment_minor,
        net_minor=row.net_minor,
        seq=row.seq,
        settled_at=row.settled_at,
    )


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
        payments_checked=row.payments_checked,
        settlements_checked=row.settlements_checked,
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
        payment_id=row.payment_id,
        settlement_id=row.settlement_id,
        merchant_id=row.merchant_id,
        amount_minor=row.amount_minor,
        currency=row.currency,
        evidence=msgspec.convert(row.evidence, tuple[Evidence, ...]),
        owner=row.owner,
        resolved_by=row.resolved_by,
        resolution=row.resolution,
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
            refunds=row.refunds,
            refunds_minor=row.refunds_minor,
        ),
    )
