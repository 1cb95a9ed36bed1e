"""Cashfree's attempts: the entries of GET /orders/{id}/payments, and the same thing as its webhooks tell it. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from common.money import EXPONENTS, Money
from payment.domain import AttemptStatus, Claim
from payment.gateways import Heard, Parked, Unreadable
from payment.gateways.cashfree_reasons import reason_of
from payment.gateways.said_twice import says_twice


class _ErrorDetails(msgspec.Struct):
    error_code: str | None = None
    error_reason: str | None = None
    error_source: str | None = None


class _Payment(msgspec.Struct):
    cf_payment_id: str | int
    payment_status: str
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
    error_details: _ErrorDetails | None = None


_read_payments = msgspec.json.Decoder(list[_Payment]).decode

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
# payment_method's key in REST and in webhooks → the word of ours.
_OUR_METHOD = {
    "upi": "upi",
    "card": "card",
    "emi": "card",
    "netbanking": "netbanking",
    "app": "wallet",
    "cardless_emi": "cardless_emi",
    "paylater": "paylater",
    "pay_later": "paylater",
    "banktransfer": "bank_transfer",
    "bank_transfer": "bank_transfer",
    "vba_transfer": "bank_transfer",
}


def exact(amount: Decimal, currency: str) -> Money:
    """The amount in minor units. Raises ValueError when it is not a whole number of them, or not a number at all."""
    digits = EXPONENTS.get(currency)
    if digits is None or not amount.is_finite() or abs(amount.adjusted()) > 15:
        raise ValueError("not an amount")
    minor = amount.scaleb(digits)
    if minor != minor.to_integral_value():
        raise ValueError("not a whole number of minor units")
    return Money(int(minor), currency)


def attempts(order_id: str, body: bytes) -> Sequence[Claim] | None:
    """The claims of a list of payments; None when it cannot be read."""
    try:
        payments = _read_payments(body)
        if says_twice(body, _DECISIVE, len(payments)):
            return None
        return [
            claim_of(order_id, payment, payment.error_details)
            for payment in payments
            if payment.order_id in ("", order_id)
        ]
    except (msgspec.MsgspecError, ValueError):
        return None


def claim_of(order_id: str, payment: _Payment, error: _ErrorDetails | None) -> Claim:
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
    return Claim(
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
    return None if amount is None or currency is None else exact(amount, currency)


def _method(method: object) -> str:
    if isinstance(method, Mapping) and method:
        return _OUR_METHOD.get(str(next(iter(method))), "other")
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


class _HookOrder(msgspec.Struct):
    order_id: str
    order_amount: Decimal | None = None
    order_currency: str | None = None


class _HookData(msgspec.Struct):
    order: _HookOrder | None = None
    payment: _Payment | None = None
    error_details: _ErrorDetails | None = None


class _Hook(msgspec.Struct):
    type: str
    data: _HookData


class _HookType(msgspec.Struct):
    type: str = ""


_read_hook = msgspec.json.Decoder(_Hook).decode
_read_hook_type = msgspec.json.Decoder(_HookType).decode

# PAYMENT_CHARGES_WEBHOOK repeats a SUCCESS and is about fees: it must never count as a payment.
PAYMENT_WEBHOOKS = frozenset({"PAYMENT_SUCCESS_WEBHOOK", "PAYMENT_FAILED_WEBHOOK", "PAYMENT_USER_DROPPED_WEBHOOK"})


def read_webhook(body: bytes) -> Heard | Parked | Unreadable:
    """The claim of a payment webhook; another kind of event is Parked, what cannot be read is Unreadable."""
    try:
        kind = _read_hook_type(body).type
        if kind not in PAYMENT_WEBHOOKS:
            return Parked("unsupported_type" if kind else "no_type")
        data = _read_hook(body).data
        if data.order is None or data.payment is None:
            return Unreadable("incomplete")
        payment = data.payment
        payment.order_amount, payment.order_currency = data.order.order_amount, data.order.order_currency
        return Heard(data.order.order_id, claim_of(data.order.order_id, payment, data.error_details))
    except (msgspec.MsgspecError, ValueError):
        return Unreadable("unreadable")
