"""Cashfree's attempts: the entries of GET /orders/{id}/payments, which webhooks have in the same shape. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from loguru import logger

from common.money import Money
from common.texts import printable
from common.times import parse_time
from gateways import AttemptStatus, PaymentAttempt, PaymentMethod, Unknown
from gateways.bounds import ID_CHARACTERS_MAX
from gateways.cashfree.amounts import parse_rupees
from gateways.cashfree.answers import entries_of, reference_of
from gateways.cashfree.reasons import reason_of
from gateways.client import HttpRequest
from gateways.json_duplicates import has_duplicate_keys
from gateways.json_repair import UNREADABLE, repairing


class Payment(msgspec.Struct):
    """One attempt; in a webhook without the order's fields, which stand beside it.

    Only what decides is typed: a field that we merely show may be of any type without making the attempt unreadable.
    """

    # A string since 2023-08-01, a number before.
    cf_payment_id: str | int | None = None
    payment_status: str | None = None
    order_id: str = ""
    order_amount: Decimal | None = None
    order_currency: str | None = None
    payment_amount: Decimal | None = None
    payment_currency: str | None = None
    payment_group: Any = None
    payment_method: Any = None
    payment_time: Any = None
    payment_completion_time: Any = None
    bank_reference: Any = None
    is_captured: bool | None = None
    error_details: Any = None


class _Identified(msgspec.Struct):
    """As much of an attempt as is needed to say which one cannot be read."""

    cf_payment_id: str | int | None = None
    order_id: Any = None


_GROUP_CHARACTERS_MAX: Final = 32
_CODE_CHARACTERS_MAX: Final = 200

# Entries are not looked into before: a half character in one is met here.
_decode_payment = repairing(msgspec.json.Decoder(Payment).decode)
_decode_identified = repairing(msgspec.json.Decoder(_Identified).decode)

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
    """The answer to GET /orders/{id}/payments.

    An entry that cannot be read does not hide the others: it is UNKNOWN where it names its payment, and left out where
    it does not.
    """
    entries = entries_of(status, body)
    if isinstance(entries, Unknown):
        return entries
    attempts = (_listed_attempt(order_id, entry) for entry in entries)
    return [attempt for attempt in attempts if attempt is not None]


def _listed_attempt(order_id: str, entry: bytes) -> PaymentAttempt | None:
    try:
        payment = _decode_payment(entry)
        if payment.order_id not in ("", order_id):
            return None
        if has_duplicate_keys(entry, _DECISIVE, 1):
            raise ValueError("a key is repeated")
        return attempt_of(order_id, payment, payment.error_details)
    except UNREADABLE:
        pass
    try:
        identified = _decode_identified(entry)
    except UNREADABLE:
        identified = _Identified()
    payment_id = printable(identified.cf_payment_id, ID_CHARACTERS_MAX)
    logger.bind(order_id=order_id, gateway_payment_id=payment_id).warning("an attempt cannot be read")
    if not payment_id or identified.order_id not in (None, "", order_id):
        return None
    return PaymentAttempt(order_id, payment_id, AttemptStatus.UNKNOWN)


def claimed(payment: Payment) -> tuple[str, AttemptStatus, Money | None, Money | None]:
    """What decides: the attempt's id, its status, the order's amount and the paid one.

    Raises ValueError when the attempt names no payment, no status, or no exact amount.
    """
    payment_id = printable(payment.cf_payment_id, ID_CHARACTERS_MAX)
    if not payment_id or payment.payment_status is None:
        raise ValueError("a payment without its id or its status")
    status = _ATTEMPT_STATUS.get(payment.payment_status, AttemptStatus.UNKNOWN)
    if status is AttemptStatus.SUCCESS and payment.is_captured is False:
        # Authorised only: the money is not ours before the capture.
        status = AttemptStatus.PENDING
    order_amount = _money(payment.order_amount, payment.order_currency)
    return payment_id, status, order_amount, _money(payment.payment_amount, payment.payment_currency)


def attempt_of(order_id: str, payment: Payment, error: object) -> PaymentAttempt:
    """The attempt in our words. Raises ValueError as `claimed` does."""
    payment_id, status, order_amount, amount = claimed(payment)
    reason = ""
    if status is AttemptStatus.DROPPED:
        reason = "dropped_by_customer"
    elif status is AttemptStatus.FAILED:
        reason = reason_of(*_codes(error)) if error else "failed"
    return PaymentAttempt(
        order_id,
        payment_id,
        status,
        order_amount,
        amount,
        _method(payment.payment_method),
        printable(payment.payment_group, _GROUP_CHARACTERS_MAX),
        reference_of(payment.bank_reference),
        reason,
        # Times without an offset are IST by Cashfree's habit; such a one is not worth guessing for.
        parse_time(payment.payment_completion_time) or parse_time(payment.payment_time),
    )


def _codes(error: object) -> tuple[str, str]:
    """What says why an attempt failed, the more telling word first."""
    if not isinstance(error, Mapping):
        return "", ""
    return printable(error.get("error_reason"), _CODE_CHARACTERS_MAX), printable(
        error.get("error_code"), _CODE_CHARACTERS_MAX
    )


def _money(amount: Decimal | None, currency: str | None) -> Money | None:
    return None if amount is None or currency is None else parse_rupees(amount, currency)


def _method(method: object) -> str:
    if isinstance(method, Mapping) and method:
        return _METHODS.get(str(next(iter(method))), PaymentMethod.OTHER)
    return ""
