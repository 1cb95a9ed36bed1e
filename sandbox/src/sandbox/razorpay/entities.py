"""Orders, payments, refunds and disputes as API answers and as webhooks carry them: the same shapes."""

from collections.abc import Sequence
from typing import Any

from sandbox.faults import TRUTH, Report
from sandbox.razorpay.domain import Dispute, Notes, Order, Payment, PaymentStatus, Refund, RefundStatus
from sandbox.razorpay.ids import bank_reference

_PROOFS = (
    "shipping_proof",
    "billing_proof",
    "cancellation_proof",
    "customer_communication",
    "proof_of_service",
    "explanation_letter",
    "refund_confirmation",
    "access_activity_log",
    "refund_cancellation_policy",
    "term_and_conditions",
    "others",
)
_REASONS = {
    "chargeback": "The customer asks the bank for the money back.",
    "goods_or_services_not_received": "The goods or services have not been received.",
    "duplicate_processing": "The customer paid twice.",
    "fraud": "The customer did not authorise the payment.",
}


def collection(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A page of a list."""
    return {"entity": "collection", "count": len(items), "items": items}


def order(it: Order, report: Report = TRUTH, *, with_payments: bool = False) -> dict[str, Any]:
    amount = report.amount(it.amount)
    entity: dict[str, Any] = {
        "id": it.id,
        "entity": "order",
        "amount": amount,
        "amount_paid": amount if it.is_paid else 0,
        "amount_due": 0 if it.is_paid else amount,
        "currency": report.currency or it.currency,
        "receipt": it.receipt,
        "offer_id": None,
        "status": it.status,
        "attempts": len(it.payments),
        "notes": notes(it.notes),
        "created_at": it.created_at,
    }
    if with_payments:
        entity["payments"] = collection([payment(it, each, report) for each in it.payments])
    return entity


def payment(of: Order, it: Payment, report: Report = TRUTH) -> dict[str, Any]:
    failure = it.failure
    refunded = it.refunded
    entity: dict[str, Any] = {
        "id": it.id,
        "entity": "payment",
        "amount": report.amount(it.amount),
        "currency": report.currency or it.currency,
        "base_amount": report.amount(it.amount),
        "status": it.status,
        "order_id": of.id,
        "invoice_id": None,
        "international": False,
        "method": it.method.kind,
        "amount_refunded": refunded,
        "amount_transferred": 0,
        "refund_status": None if not refunded else "full" if refunded >= it.amount else "partial",
        "captured": it.captured_at is not None,
        "description": None,
        "card_id": _card_id(it) if it.method.kind == "card" else None,
        "bank": it.method.bank,
        "wallet": it.method.wallet,
        "vpa": it.method.handle if it.method.kind == "upi" else None,
        "email": it.email,
        "contact": it.contact,
        "notes": notes(it.notes),
        "fee": it.fee,
        "tax": it.tax,
        "error_code": failure and failure.code,
        "error_description": failure and failure.description,
        "error_source": failure and failure.source,
        "error_step": failure and failure.step,
        "error_reason": failure and failure.reason,
        "acquirer_data": _acquirer_data(it),
        "created_at": it.created_at,
    }
    if it.method.kind == "card":
        entity["card"] = card(it)
    elif it.method.kind == "upi":
        entity["upi"] = {"vpa": it.method.handle, "payer_account_type": "bank_account", "flow": "collect"}
    if it.is_late:
        entity["late_authorized"] = True
    return entity


def card(it: Payment) -> dict[str, Any]:
    """The card of a payment by card."""
    return {
        "id": _card_id(it),
        "entity": "card",
        "name": "Test Customer",
        "last4": it.method.handle[-4:],
        "network": it.method.network,
        "type": "credit",
        "issuer": "HDFC",
        "international": False,
        "emi": False,
        "sub_type": "consumer",
        "token_iin": None,
    }


def refund(it: Refund, report: Report = TRUTH) -> dict[str, Any]:
    done = it.status is RefundStatus.PROCESSED
    return {
        "id": it.id,
        "entity": "refund",
        "amount": report.amount(it.amount),
        "currency": report.currency or it.currency,
        "payment_id": it.payment_id,
        "notes": notes(it.notes),
        "receipt": it.receipt,
        "acquirer_data": {"arn": bank_reference(it.id) if done else None},
        "created_at": it.created_at,
        "batch_id": None,
        "status": it.status,
        "speed_processed": it.speed_processed,
        "speed_requested": it.speed,
    }


def dispute(it: Dispute) -> dict[str, Any]:
    return {
        "id": it.id,
        "entity": "dispute",
        "payment_id": it.payment_id,
        "amount": it.amount,
        "currency": it.currency,
        "amount_deducted": it.deducted,
        "reason_code": it.reason_code,
        "reason_description": _REASONS.get(it.reason_code, it.reason_code.replace("_", " ")),
        "respond_by": it.respond_by,
        "status": it.status,
        "phase": it.phase,
        "created_at": it.created_at,
        "evidence": {
            "amount": it.amount if it.contested_amount is None else it.contested_amount,
            "summary": it.summary,
            **dict.fromkeys(_PROOFS),
            "submitted_at": it.submitted_at,
        },
    }


def notes(it: Notes) -> Notes | list[Any]:
    """An empty array where there are none, as Razorpay has it."""
    return it or []


def _card_id(it: Payment) -> str:
    return it.id.replace("pay_", "card_")


def _acquirer_data(it: Payment) -> dict[str, Any]:
    is_known = it.status not in (PaymentStatus.CREATED, PaymentStatus.FAILED)
    reference = bank_reference(it.id) if is_known else None
    match it.method.kind:
        case "upi":
            return {"rrn": reference, "upi_transaction_id": reference and f"SBX{reference}"}
        case "netbanking":
            return {"bank_transaction_id": reference}
        case "wallet":
            return {"transaction_id": reference}
        case _:
            return {"auth_code": reference and reference[-6:], "rrn": reference}
