"""Analytics events in; alerts and audit lines out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from commdesk.common.v1.events_pb2 import AdminAlertRaised, AuditRecorded
from commdesk.payment.v1.events_pb2 import (
    AnalyticsPaymentCreated,
    AnalyticsPaymentFailed,
    AnalyticsPaymentSucceeded,
    PaymentSyncRequested,
)
from commdesk.payment.v1.refunds_pb2 import AnalyticsRefundCreated
from commdesk.webhook_ingest.v1.events_pb2 import AnalyticsWebhookFailed
from common import ids
from common.events import EVENT, alert, audit, from_micros, head
from reconciler.domain.bank import StoredStatement
from reconciler.domain.billing import BillingEvent, BillingKind
from reconciler.domain.closes import Close
from reconciler.domain.runs import Case, Run

RUN: Final = "run"
CASE: Final = "cas"
CLOSE: Final = "rcl"
STATEMENT: Final = "bst"


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


def refund_created(message: AnalyticsRefundCreated) -> BillingEvent:
    return BillingEvent(
        event_id=ids.decode(EVENT, message.event_id),
        kind=BillingKind.REFUND_CREATED,
        occurred_at=from_micros(message.time_unix_micros),
        gateway=message.gateway,
        merchant_id=message.merchant_id,
        payment_id=message.payment_id,
        amount_minor=message.amount.minor,
        currency=message.amount.currency,
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


def sync_requested(case: Case, event_id: UUID, at: datetime) -> PaymentSyncRequested:
    """The command to payment to look the order up at the gateway, and decide by what it says."""
    return PaymentSyncRequested(
        **head(at, event_id), payment_id=case.payment_id, merchant_id=case.merchant_id, asked_by="RECONCILIATION"
    )


def differences_opened(
    run: Run, opened: Mapping[str, int], opened_minor: Mapping[str, int], event_id: UUID, at: datetime
) -> AdminAlertRaised:
    """One alert for all that a run's matching has opened, however many cases those are."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(opened.items()))
    amounts = ", ".join(f"{minor} {currency} (minor units)" for currency, minor in sorted(opened_minor.items()))
    return alert(
        "reconciliation_mismatch",
        f"{sum(opened.values())} cases opened: {kinds}; {amounts} in question",
        service="reconciler",
        at=at,
        fields={"runId": ids.encode(RUN, run.run_id), "opened": str(sum(opened.values()))},
        event_id=event_id,
    )


def case_audited(
    action: str, before: Case, after: Case, actor: str, merchant_id: str, event_id: UUID, at: datetime
) -> AuditRecorded:
    """Who noted on, took, re-ran or resolved a case; the reason of a resolution is part of it."""
    return audit(
        f"reconciliation.case.{action}",
        ("reconciliation_case", ids.encode(CASE, after.case_id)),
        service="reconciler",
        at=at,
        merchant_id=merchant_id,
        actor_id=actor,
        before={"status": before.status, "owner": before.owner},
        after={
            "status": after.status,
            "owner": after.owner,
            "kind": after.kind,
            "amount": after.amount_minor,
            "resolution": after.resolution,
        },
        event_id=event_id,
        payment_id=after.payment_id,
    )


def close_audited(close: Close, merchant_id: str, event_id: UUID, at: datetime) -> AuditRecorded:
    """Who closed which day, and what was open."""
    return audit(
        "reconciliation.closed",
        ("reconciliation_close", ids.encode(CLOSE, close.close_id)),
        service="reconciler",
        at=at,
        merchant_id=merchant_id,
        actor_id=close.closed_by,
        after={
            "day": close.day.isoformat(),
            "open": {figures.currency: figures.open_minor for figures in close.currencies},
        },
        event_id=event_id,
    )


def statement_audited(
    stored: StoredStatement, actor: str, merchant_id: str, event_id: UUID, at: datetime
) -> AuditRecorded:
    """Who uploaded which days of a bank account."""
    statement = stored.statement
    return audit(
        "reconciliation.statement.stored",
        ("bank_statement", ids.encode(STATEMENT, stored.statement_id)),
        service="reconciler",
        at=at,
        merchant_id=merchant_id,
        actor_id=actor,
        after={
            "format": statement.format,
            "from": statement.first_on.isoformat(),
            "to": statement.last_on.isoformat(),
            "lines": len(statement.lines),
            "added": stored.lines_added,
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
        after={
            "status": run.status,
            "casesOpened": run.cases_opened,
            "casesResolved": run.cases_resolved,
            "paymentsChecked": run.payments_checked,
        },
        event_id=event_id,
    )
