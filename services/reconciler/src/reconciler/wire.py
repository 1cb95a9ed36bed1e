"""Messages and JSON in and out; no decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from commdesk.common.v1.common_pb2 import Money
from commdesk.common.v1.events_pb2 import AdminAlertRaised, AuditRecorded
from commdesk.payment.v1 import events_pb2 as payment_events
from commdesk.reconciler.v1 import reconciler_pb2 as pb
from commdesk.webhook_ingest.v1.events_pb2 import AnalyticsWebhookFailed
from common import context, ids
from common.errors import InvalidArgument
from reconciler.domain import BillingDay, BillingEvent, BillingKind, Case, CaseStatus, Run

RUN, CASE = "run", "cse"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class BillingFiguresWrong(InvalidArgument):
    """An analytics event has a negative amount or duration."""

    fix = "Correct the announcing service; then discard the dead letter."


class CaseStatusUnknown(InvalidArgument):
    """There is no such status of a case."""

    fix = "Ask for OPEN, RESOLVED or ANY."


def unix_micros(time: datetime) -> int:
    """Whole microseconds since the epoch; `datetime.timestamp` would go through a float."""
    return (time - _EPOCH) // _MICROSECOND


# ── Events in ────────────────────────────────────────────────────────────────────────────────────────────────────


def payment_created(message: payment_events.AnalyticsPaymentCreated) -> BillingEvent:
    return _payment(message, BillingKind.PAYMENT_CREATED, message.amount, pack_id=message.pack_id)


def payment_succeeded(message: payment_events.AnalyticsPaymentSucceeded) -> BillingEvent:
    return _payment(
        message,
        BillingKind.PAYMENT_SUCCEEDED,
        message.amount,
        method=message.method,
        pack_id=message.pack_id,
        duration_micros=message.duration_micros,
    )


def payment_failed(message: payment_events.AnalyticsPaymentFailed) -> BillingEvent:
    return _payment(message, BillingKind.PAYMENT_FAILED, message.amount, reason=message.reason)


def webhook_failed(message: AnalyticsWebhookFailed) -> BillingEvent:
    return BillingEvent(
        ids.decode("evt", message.event_id),
        BillingKind.WEBHOOK_FAILED,
        "",
        "",
        0,
        "",
        message.gateway,
        "",
        "",
        message.reason,
        0,
        message.time_unix_micros,
    )


def _payment(
    message: Any,
    kind: BillingKind,
    amount: Money,
    *,
    method: str = "",
    pack_id: str = "",
    reason: str = "",
    duration_micros: int = 0,
) -> BillingEvent:
    if amount.minor < 0 or duration_micros < 0:
        raise BillingFiguresWrong("an amount or a duration is below zero")
    return BillingEvent(
        ids.decode("evt", message.event_id),
        kind,
        message.merchant_id,
        message.payment_id,
        amount.minor,
        amount.currency,
        message.gateway,
        method,
        pack_id,
        reason,
        duration_micros,
        message.time_unix_micros,
    )


# ── Announcements ────────────────────────────────────────────────────────────────────────────────────────────────


def alert(case: Case, event_id: UUID, now: datetime) -> AdminAlertRaised:
    return AdminAlertRaised(
        event_id=ids.encode("evt", event_id),
        time_unix_micros=unix_micros(now),
        cause="reconciliation_mismatch",
        service="reconciler",
        summary=f"{case.kind} ({case.reference}): {case.detail}",
        fields={"case_id": ids.encode(CASE, case.case_id), "kind": case.kind, "reference": case.reference},
    )


def audit(run: Run, merchant_id: str, event_id: UUID, now: datetime) -> AuditRecorded:
    """That somebody had the books compared, and what came of it."""
    asked = context.current()
    state = {"status": run.status, "casesOpened": run.cases_opened, "casesResolved": run.cases_resolved}
    return AuditRecorded(
        event_id=ids.encode("evt", event_id),
        time_unix_micros=unix_micros(now),
        merchant_id=merchant_id,
        actor_id=run.actor,
        action="reconciliation.run",
        resource_type="reconciliation_run",
        resource_id=ids.encode(RUN, run.run_id),
        after_json=msgspec.json.encode(state).decode(),
        ip=asked.ip,
        user_agent=asked.user_agent,
        trace_id=context.trace_id(),
        request_id=asked.request_id,
        service="reconciler",
    )


# ── gRPC out ─────────────────────────────────────────────────────────────────────────────────────────────────────


def run_message(run: Run, cases: Iterable[Case]) -> pb.RunResponse:
    return pb.RunResponse(
        run_id=ids.encode(RUN, run.run_id),
        envelopes_checked=run.envelopes_checked,
        envelopes_republished=run.envelopes_republished,
        cases=[case_message(case) for case in cases],
        totals=run.totals,
    )


def case_message(case: Case) -> pb.Case:
    return pb.Case(
        case_id=ids.encode(CASE, case.case_id),
        run_id=ids.encode(RUN, case.run_id),
        kind=case.kind,
        reference=case.reference,
        detail=case.detail,
        status=case.status,
        opened_unix_micros=unix_micros(case.opened_at),
    )


def case_status(text: str) -> CaseStatus | None:
    """The status asked for: OPEN when nothing is said, None for any. Raises CaseStatusUnknown."""
    if text == "ANY":
        return None
    try:
        return CaseStatus(text or CaseStatus.OPEN)
    except ValueError:
        raise CaseStatusUnknown(status="is OPEN, RESOLVED or ANY") from None


# ── JSON out ─────────────────────────────────────────────────────────────────────────────────────────────────────


def run_json(run: Run) -> dict[str, object]:
    return {
        "runId": ids.encode(RUN, run.run_id),
        "scope": run.scope,
        "status": run.status,
        "actor": run.actor,
        "startedAt": run.started_at,
        "finishedAt": run.finished_at,
        "envelopesChecked": run.envelopes_checked,
        "envelopesRepublished": run.envelopes_republished,
        "casesOpened": run.cases_opened,
        "casesResolved": run.cases_resolved,
        "totals": run.totals,
        "servicesNotAsked": run.unasked,
    }


def case_json(case: Case) -> dict[str, object]:
    return {
        "caseId": ids.encode(CASE, case.case_id),
        "runId": ids.encode(RUN, case.run_id),
        "kind": case.kind,
        "reference": case.reference,
        "detail": case.detail,
        "status": case.status,
        "openedAt": case.opened_at,
        "resolvedAt": case.resolved_at,
    }


def summary_json(days: Sequence[BillingDay], failures: int | None) -> dict[str, object]:
    """Days and their sums by currency; rates are basis points of the payments that came to an end."""
    currencies = sorted({day.currency for day in days})
    totals = {currency: _figures([day for day in days if day.currency == currency]) for currency in currencies}
    summary: dict[str, object] = {
        "totals": totals,
        "days": [{"day": day.day, "currency": day.currency, **_figures([day])} for day in days],
    }
    return summary if failures is None else summary | {"webhookFailures": failures}


def _figures(days: Sequence[BillingDay]) -> Mapping[str, object]:
    succeeded, failed = sum(day.succeeded for day in days), sum(day.failed for day in days)
    return {
        "paymentsCreated": sum(day.created for day in days),
        "paymentsSucceeded": succeeded,
        "paymentsFailed": failed,
        "createdMinor": sum(day.created_minor for day in days),
        "succeededMinor": sum(day.succeeded_minor for day in days),
        "failedMinor": sum(day.failed_minor for day in days),
        "successRateBasisPoints": succeeded * 10_000 // (succeeded + failed) if succeeded + failed else None,
        "averageDurationMicros": sum(day.duration_micros for day in days) // succeeded if succeeded else None,
    }
