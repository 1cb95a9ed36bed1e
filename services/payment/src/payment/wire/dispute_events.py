"""What payment announces about disputes, and to whom it raises an alert."""

from datetime import datetime
from typing import Any

from commdesk.common.v1.events_pb2 import AdminAlertRaised, AuditRecorded
from commdesk.payment.v1 import disputes_pb2 as pb
from common import events, ids
from common.events import head, micros
from common.times import rfc3339
from gateways.disputes import DisputeSnapshot, DisputeStatus
from payment.domain.decisions import ACTOR
from payment.domain.disputes import PREFIX, Dispute, DisputeTransition, Evidence
from payment.domain.payments import Payment
from payment.wire.events import SERVICE, money, payment_message, tax

_STATUS: dict[DisputeStatus, Any] = {
    status: pb.DisputeStatus.Value(f"DISPUTE_STATUS_{status.value}") for status in DisputeStatus
}


def dispute_message(dispute: Dispute) -> pb.Dispute:
    """A dispute as other services see it: no personal data."""
    return pb.Dispute(
        dispute_id=ids.encode(PREFIX, dispute.id),
        merchant_id=dispute.merchant_id,
        payment_id=ids.encode("pay", dispute.payment_id),
        gateway_dispute_id=dispute.gateway_dispute_id,
        status=_STATUS[dispute.status],
        amount=money(dispute.amount),
        reason_code=dispute.reason_code,
        respond_by_unix_micros=micros(dispute.respond_by) if dispute.respond_by else 0,
        tax=tax(dispute.tax),
        hold_id=dispute.hold_id,
        value_held=dispute.value_held,
        fee_minor=dispute.fee_minor,
        seq=dispute.seq,
        created_unix_micros=micros(dispute.created_at),
    )


def disputed(payment: Payment, dispute: Dispute, at: datetime) -> pb.PaymentDisputed:
    return pb.PaymentDisputed(**head(at), payment=payment_message(payment), dispute=dispute_message(dispute))


def won(payment: Payment, dispute: Dispute, at: datetime) -> pb.PaymentDisputeWon:
    return pb.PaymentDisputeWon(**head(at), payment=payment_message(payment), dispute=dispute_message(dispute))


def lost(payment: Payment, dispute: Dispute, at: datetime) -> pb.PaymentDisputeLost:
    return pb.PaymentDisputeLost(**head(at), payment=payment_message(payment), dispute=dispute_message(dispute))


def audit(dispute: Dispute, transition: DisputeTransition, at: datetime) -> AuditRecorded:
    before = transition.from_status
    return events.audit(
        "dispute.open" if before is None else f"dispute.{transition.to_status.lower()}",
        ("dispute", ids.encode(PREFIX, dispute.id)),
        service=SERVICE,
        at=at,
        merchant_id=dispute.merchant_id,
        actor_id=ACTOR,
        before={"status": before} if before else None,
        after={"status": transition.to_status, "seq": transition.seq},
        payment_id=ids.encode("pay", dispute.payment_id),
    )


def audit_evidence(dispute: Dispute, evidence: Evidence, number_before: int, at: datetime) -> AuditRecorded:
    return events.audit(
        "dispute.add_evidence",
        ("dispute", ids.encode(PREFIX, dispute.id)),
        service=SERVICE,
        at=at,
        merchant_id=dispute.merchant_id,
        actor_id=evidence.actor_id,
        before={"evidence": number_before},
        after={"evidence": number_before + 1, "note": evidence.note, "fileReference": evidence.file_reference},
        payment_id=ids.encode("pay", dispute.payment_id),
    )


def arrival_alert(dispute: Dispute, at: datetime) -> AdminAlertRaised:
    until = f"; answer it in the gateway's dashboard until {rfc3339(dispute.respond_by)}" if dispute.respond_by else ""
    return events.alert(
        "dispute_arrived",
        f"{ids.encode('pay', dispute.payment_id)} is disputed over {dispute.amount}{until}",
        service=SERVICE,
        at=at,
        fields=_names(dispute),
    )


def deadline_alert(dispute: Dispute, at: datetime) -> AdminAlertRaised:
    until = rfc3339(dispute.respond_by) if dispute.respond_by else "soon"
    return events.alert(
        "dispute_deadline",
        f"nobody has answered {ids.encode(PREFIX, dispute.id)} over {dispute.amount}: it is lost after {until}",
        service=SERVICE,
        at=at,
        fields=_names(dispute),
    )


def contradiction_alert(dispute: Dispute, contradiction: str, at: datetime) -> AdminAlertRaised:
    return events.alert(
        "dispute_contradicted",
        f"{ids.encode(PREFIX, dispute.id)} has ended and is shown otherwise ({contradiction}): nothing was changed",
        service=SERVICE,
        at=at,
        fields=_names(dispute),
    )


def mismatch_alert(payment: Payment, shown: DisputeSnapshot, problem: str, at: datetime) -> AdminAlertRaised:
    return events.alert(
        "dispute_mismatch",
        f"the gateway shows a dispute of {ids.encode('pay', payment.id)} that does not fit ({problem}):"
        " answer it by hand",
        service=SERVICE,
        at=at,
        fields={
            "paymentId": ids.encode("pay", payment.id),
            "gatewayDisputeId": shown.gateway_dispute_id,
            "gatewayPaymentId": shown.gateway_payment_id,
            "amount": str(shown.amount),
        },
    )


def _names(dispute: Dispute) -> dict[str, str]:
    return {
        "disputeId": ids.encode(PREFIX, dispute.id),
        "paymentId": ids.encode("pay", dispute.payment_id),
        "gatewayDisputeId": dispute.gateway_dispute_id,
        "reasonCode": dispute.reason_code,
    }
