"""Analytics events in; alerts and audit lines out."""

from datetime import datetime
from typing import Final
from uuid import UUID

from commdesk.common.v1.events_pb2 import AdminAlertRaised, AuditRecorded
from commdesk.payment.v1.events_pb2 import AnalyticsPaymentCreated, AnalyticsPaymentFailed, AnalyticsPaymentSucceeded
from commdesk.webhook_ingest.v1.events_pb2 import AnalyticsWebhookFailed
from common import ids
from common.events import EVENT, alert, audit, from_micros
from reconciler.domain.billing import BillingEvent, BillingKind
from reconciler.domain.runs import Case, Run

RUN: Final = "run"
CASE: Final = "cse"


def payment_created(message: AnalyticsPaymentCreated) -> BillingEvent:
    return BillingEvent(
        event_id=ids.decode(EVENT, message.event_id),
        kind=BillingKind.PAYMENT_CREATED,
        occurred_at=from_micros(message.time_unix_micros),
        gateway=message.gateway,
        merchant_id=message.merchant_id,
        payment_id=message.payment_id,
        amount_minor=message.amount.minor,
        currency=message.amount.currency,
        pack_id=message.pack_id,
    )


def payment_succeeded(message: AnalyticsPaymentSucceeded) -> BillingEvent:
    return BillingEvent(
        event_id=ids.decode(EVENT, message.event_id),
        kind=BillingKind.PAYMENT_SUCCEEDED,
        occurred_at=from_micros(message.time_unix_micros),
        gateway=message.gateway,
        merchant_id=message.merchant_id,
        payment_id=message.payment_id,
        amount_minor=message.amount.minor,
        currency=message.amount.currency,
        method=message.method,
        pack_id=message.pack_id,
        duration_micros=message.duration_micros,
        is_late=message.is_late,
    )


def payment_failed(message: AnalyticsPaymentFailed) -> BillingEvent:
    return BillingEvent(
        event_id=ids.decode(EVENT, message.event_id),
        kind=BillingKind.PAYMENT_FAILED,
        occurred_at=from_micros(message.time_unix_micros),
        gateway=message.gateway,
        merchant_id=message.merchant_id,
        payment_id=message.payment_id,
        amount_minor=message.amount.minor,
        currency=message.amount.currency,
        reason=message.reason,
    )


def webhook_failed(message: AnalyticsWebhookFailed) -> BillingEvent:
    """It names no merchant that could be believed."""
    return BillingEvent(
        event_id=ids.decode(EVENT, message.event_id),
        kind=BillingKind.WEBHOOK_FAILED,
        occurred_at=from_micros(message.time_unix_micros),
        gateway=message.gateway,
        reason=message.reason,
    )


def case_opened(case: Case, event_id: UUID, at: datetime) -> AdminAlertRaised:
    return alert(
        "reconciliation_mismatch",
        f"{case.kind} ({case.reference}): {case.detail}",
        service="reconciler",
        at=at,
        fields={"caseId": ids.encode(CASE, case.case_id), "kind": case.kind, "reference": case.reference},
        event_id=event_id,
    )


def case_resolved(case: Case, event_id: UUID, at: datetime) -> AdminAlertRaised:
    """The cause of the alert of `case_opened` is over."""
    return alert(
        "reconciliation_mismatch",
        f"resolved: {case.kind} ({case.reference})",
        service="reconciler",
        at=at,
        fields={
            "caseId": ids.encode(CASE, case.case_id),
            "kind": case.kind,
            "reference": case.reference,
            "cleared": "true",
        },
        event_id=event_id,
    )


def run_audited(run: Run, merchant_id: str, event_id: UUID, at: datetime) -> AuditRecorded:
    """Who had the books compared, and the result."""
    return audit(
        "reconciliation.run",
        ("reconciliation_run", ids.encode(RUN, run.run_id)),
        service="reconciler",
        at=at,
        merchant_id=merchant_id,
        actor_id=run.actor,
        after={"status": run.status, "casesOpened": run.cases_opened, "casesResolved": run.cases_resolved},
        event_id=event_id,
    )
