"""Events in: what the other services announce, as the ledger sees it."""

from operator import attrgetter
from uuid import UUID

import msgspec

from commdesk.common.v1 import common_pb2
from commdesk.common.v1 import events_pb2 as common_events
from commdesk.payment.v1 import events_pb2 as payment_events
from commdesk.wallet.v1 import events_pb2 as wallet_events
from common import ids
from common.errors import InvalidArgument
from common.events import bounded_micros
from ledger.domain.audit import AuditRecord
from ledger.domain.journals import FinancialEvent


class CurrencyMixed(InvalidArgument):
    """One event has amounts in several currencies."""

    fix = "Correct the announcing service; a financial event is about one currency."


class AuditMalformed(InvalidArgument):
    """An audit event has a state that is not JSON, or a text that a database cannot hold."""

    fix = "Correct the announcing service; states are compact JSON or empty."


def payment_succeeded(message: payment_events.PaymentSucceeded) -> FinancialEvent:
    payment = message.payment
    tax, currency, amount = payment.tax, payment.amount.currency, payment.amount.minor
    follows_receipt = bool(message.receipt_id)
    return FinancialEvent(
        "payment.success",
        ids.decode("evt", message.event_id),
        payment.merchant_id,
        "pay",
        ids.decode("pay", payment.payment_id),
        None,
        bounded_micros(message.time_unix_micros),
        payment.gateway,
        currency,
        {
            "taken": 0 if follows_receipt else amount,
            "applied": amount if follows_receipt else 0,
            "net": _minor(tax.net, currency),
            "cgst": _minor(tax.cgst, currency),
            "sgst": _minor(tax.sgst, currency),
            "igst": _minor(tax.igst, currency),
        },
    )


def payment_received(message: payment_events.PaymentReceived) -> FinancialEvent:
    return _receipt_event("payment.received", message, "received")


def payment_receipt_refunded(message: payment_events.PaymentReceiptRefunded) -> FinancialEvent:
    return _receipt_event("payment.receipt.refunded", message, "refunded")


def _receipt_event(
    key: str, message: payment_events.PaymentReceived | payment_events.PaymentReceiptRefunded, amount: str
) -> FinancialEvent:
    """About the receipt's own amount: it is not always the payment's."""
    payment = message.payment
    return FinancialEvent(
        key,
        ids.decode("evt", message.event_id),
        payment.merchant_id,
        "pay",
        ids.decode("pay", payment.payment_id),
        None,
        bounded_micros(message.time_unix_micros),
        payment.gateway,
        message.amount.currency,
        {amount: message.amount.minor},
    )


def wallet_credited(message: wallet_events.WalletCredited) -> FinancialEvent:
    cause, reference = _cause_and_reference(message.event_id, message.transaction_id)
    return FinancialEvent(
        "wallet.credited",
        cause,
        message.owner.merchant_id,
        "wtx",
        reference,
        ids.decode("pay", message.payment_id) if message.payment_id else None,
        bounded_micros(message.time_unix_micros),
        "",
        "",
        {"credits_paid": message.credits_paid, "credits_bonus": message.credits_bonus},
    )


def wallet_debited(message: wallet_events.WalletDebited) -> FinancialEvent:
    cause, reference = _cause_and_reference(message.event_id, message.transaction_id)
    return FinancialEvent(
        "wallet.debited",
        cause,
        message.owner.merchant_id,
        "wtx",
        reference,
        None,
        bounded_micros(message.time_unix_micros),
        "",
        message.value.currency,
        {
            "credits_paid": message.credits_paid,
            "credits_bonus": message.credits_bonus,
            "value": message.value.minor,
        },
    )


def _cause_and_reference(event_id: str, transaction_id: str) -> tuple[UUID, UUID]:
    """The ids behind both. The wallet gives an event its transaction's id: one decoding is nearly always enough."""
    cause = ids.decode("evt", event_id)
    return cause, cause if transaction_id == "wtx" + event_id[3:] else ids.decode("wtx", transaction_id)


def _minor(money: common_pb2.Money, currency: str) -> int:
    """A part in the currency of the whole; a part that is zero may leave its currency out."""
    if money.minor and money.currency != currency:
        raise CurrencyMixed(f"{money.currency or 'no currency'} in an event in {currency or 'no currency'}")
    return money.minor


# Those that no decoder looks into: JSON has no NUL, and ids have their own characters.
_texts_of = attrgetter(
    "merchant_id", "actor_id", "action", "resource_type", "resource_id", "ip_address", "user_agent", "trace_id",
    "request_id", "correlation_id", "service",
)  # fmt: skip


def audit_recorded(message: common_events.AuditRecorded) -> AuditRecord:
    record = AuditRecord(
        ids.decode("evt", message.event_id),
        bounded_micros(message.time_unix_micros),
        message.merchant_id,
        message.actor_id,
        message.action,
        message.resource_type,
        message.resource_id,
        _state(message.before_json),
        _state(message.after_json),
        message.ip,
        message.user_agent,
        message.trace_id,
        message.request_id,
        message.correlation_id,
        message.service,
    )
    if "\0" in "".join(_texts_of(record)):
        raise AuditMalformed("a field holds a NUL character")
    return record


def _state(text: str) -> str | None:
    if not text:
        return None
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise AuditMalformed("a state is not JSON") from None
    if "\\u0000" in text:
        raise AuditMalformed("a state holds a NUL character")
    return text
