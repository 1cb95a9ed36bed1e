"""Cashfree's attempts: the entries of GET /orders/{id}/payments, which webhooks have in the same shape. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from common.money import Money
from gateways import AttemptStatus, PaymentAttempt, PaymentMethod, Unknown
from gateways.cashfree.amounts import parse_rupees
from gateways.cashfree.orders import unanswered
from gateways.cashfree.reasons import reason_of
from gateways.client import HttpRequest
from gateways.json_duplicates import has_duplicate_keys


class ErrorDetails(msgspec.Struct):
    error_code: str | None = None
    error_reason: str | None = None
    error_source: str | None = None


class Payment(msgspec.Struct):
    """One attempt; in a webhook without the order's fields, which stand beside it."""

    # A string since 2023-08-01, a number before.
    cf_payment_id: str | int | None = None
    payment_status: str | None = None
    order_id: str = ""
    order_amount: Decimal | None = None
    order_currency: str | None = None
    payment_amount: Decimal | None = None
    payment_currency: str | None = None
    payment_group: str | None = None
    payment_method: Any = None
    payment_time: str | None = None
    payment_completion_time: str | None = None
    bank_reference: str | int | None = None
    is_captured: bool | None = None
    error_details: ErrorDetails | None = None


_decode_payments = msgspec.json.Decoder(list[Payment]).decode

_DECISIVE = (b'"cf_payment_id"', b'"payment_status"', b'"payment_amount"', b'"payment_currency"', b'"is_captured"')

_ATTEMPT_STATUS = {
    "SUCCESS": AttemptStatus.SUCCESS,
    "FAILED": AttemptStatus.FAILED,
    "VOID": AttemptStatus.FAILED,
    "CANCELLED": AttemptStatus.FAILED,
    "USER_DROPPED": AttemptStatus.DROPPED,
    "PENDING": AttemptStatus.PENDING,
    "NOT_ATTEMPTED": AttemptStatus.AUTHORIZING,
}
# Words that stand for nothing in Cashfree's answers.
_NOTHING = frozenset({"", "NA", "N/A", "null"})
# payment_method's key in REST and in webhooks → ours.
_METHODS = {
    "upi": PaymentMethod.UPI,
    "card": PaymentMethod.CARD,
    "emi": PaymentMethod.CARD,
    "netbanking": PaymentMethod.NETBANKING,
    "app": PaymentMethod.WALLET,
    "cardless_emi": PaymentMethod.CARDLESS_EMI,
    "paylater": PaymentMethod.PAYLATER,
    "pay_later": PaymentMethod.PAYLATER,
    "banktransfer": PaymentMethod.BANK_TRANSFER,
    "bank_transfer": PaymentMethod.BANK_TRANSFER,
    "vba_transfer": PaymentMethod.BANK_TRANSFER,
}


def build_get_payments(order_id: str) -> HttpRequest:
    return HttpRequest("read_attempts", "GET", f"/orders/{order_id}/payments")


def parse_get_payments(order_id: str, status: int, body: bytes) -> Sequence[PaymentAttempt] | Unknown:
    """The answer to GET /orders/{id}/payments."""
    if status != 200:
        return unanswered(status)
    try:
        payments = _decode_payments(body)
        if has_duplicate_keys(body, _DECISIVE, len(payments)):
            return Unknown("unreadable")
        return [
            attempt_of(order_id, payment, payment.error_details)
            for payment in payments
            if payment.order_id in ("", order_id)
        ]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Unknown("unreadable")


def attempt_of(order_id: str, payment: Payment, error: ErrorDetails | None) -> PaymentAttempt:
    """The attempt in our words. Raises ValueError when it names no payment, no status, or no exact amount."""
    if payment.cf_payment_id is None or payment.payment_status is None:
        raise ValueError("a payment without its id or its status")
    status = _ATTEMPT_STATUS.get(payment.payment_status, AttemptStatus.UNKNOWN)
    if status is AttemptStatus.SUCCESS and payment.is_captured is False:
        # Authorised only: the money is not ours before the capture.
        status = AttemptStatus.PENDING
    reason = ""
    if status is AttemptStatus.DROPPED:
        reason = "dropped_by_customer"
    elif status is AttemptStatus.FAILED:
        reason = reason_of(error.error_reason or "", error.error_code or "") if error else "failed"
    bank = "" if payment.bank_reference is None else str(payment.bank_reference)
    return PaymentAttempt(
        order_id,
        str(payment.cf_payment_id),
        status,
        _money(payment.order_amount, payment.order_currency),
        _money(payment.payment_amount, payment.payment_currency),
        _method(payment.payment_method),
        (payment.payment_group or "")[:32],
        "" if bank in _NOTHING else bank[:64],
        reason,
        _time(payment.payment_completion_time or payment.payment_time),
    )


def _money(amount: Decimal | None, currency: str | None) -> Money | None:
    return None if amount is None or currency is None else parse_rupees(amount, currency)


def _method(method: object) -> str:
    if isinstance(method, Mapping) and method:
        return _METHODS.get(str(next(iter(method))), PaymentMethod.OTHER)
    return ""


def _time(text: str | None) -> datetime | None:
    """Times without an offset are IST by Cashfree's habit; such a one is not worth guessing for."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None
