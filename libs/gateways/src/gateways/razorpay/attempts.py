"""Razorpay's payments, which are attempts here: GET /v1/orders/{id}/payments, and webhooks in the same shape. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
from loguru import logger

from common.money import Money
from common.texts import printable
from gateways import AttemptStatus, PaymentAttempt, PaymentMethod, Unknown
from gateways.client import HttpRequest
from gateways.json_duplicates import has_duplicate_keys
from gateways.json_repair import UNREADABLE, repairing
from gateways.razorpay.answers import id_of, items_of, money_of, reference_of, time_of
from gateways.razorpay.reasons import reason_of


class Payment(msgspec.Struct):
    """One payment; what does not decide may be of any type."""

    id: str | None = None
    status: str | None = None
    amount: int | None = None
    currency: str | None = None
    order_id: str | None = None
    captured: bool | None = None
    method: Any = None
    card: Any = None
    acquirer_data: Any = None
    error_reason: Any = None
    error_code: Any = None
    created_at: Any = None


class _Identified(msgspec.Struct):
    """As much of a payment as is needed to say which one cannot be read."""

    id: Any = None
    order_id: Any = None


_CODE_CHARACTERS_MAX: Final = 200
_GROUP_CHARACTERS_MAX: Final = 32

_decode_payment = repairing(msgspec.json.Decoder(Payment).decode)
_decode_identified = repairing(msgspec.json.Decoder(_Identified).decode)

_DECISIVE: Final = (b'"id"', b'"status"', b'"amount"', b'"currency"', b'"captured"', b'"order_id"')

_STATUS = {
    "created": AttemptStatus.AUTHORIZING,
    # Cash on delivery, not paid yet.
    "pending": AttemptStatus.PENDING,
    "authorized": AttemptStatus.PENDING,
    "captured": AttemptStatus.SUCCESS,
    "failed": AttemptStatus.FAILED,
}
_METHODS = {
    "upi": PaymentMethod.UPI,
    "card": PaymentMethod.CARD,
    "emi": PaymentMethod.CARD,
    "netbanking": PaymentMethod.NETBANKING,
    "wallet": PaymentMethod.WALLET,
    "paylater": PaymentMethod.PAYLATER,
    "cardless_emi": PaymentMethod.CARDLESS_EMI,
    "bank_transfer": PaymentMethod.BANK_TRANSFER,
}
# Where the bank's reference stands, by method.
_REFERENCES: Final = ("rrn", "bank_transaction_id", "transaction_id", "upi_transaction_id", "arn", "auth_code")


def build_get_payments(gateway_order_id: str) -> HttpRequest:
    return HttpRequest("read_attempts", "GET", f"/v1/orders/{quote(gateway_order_id, safe='')}/payments")


def parse_get_payments(
    order_id: str, gateway_order_id: str, status: int, body: bytes
) -> Sequence[PaymentAttempt] | Unknown:
    """The answer to GET /v1/orders/{id}/payments, the earliest attempt first.

    An entry that cannot be read does not hide the others: it is UNKNOWN where it names its payment, and left out where
    it does not.
    """
    items = items_of(status, body)
    if isinstance(items, Unknown):
        return items
    attempts = [_listed_attempt(order_id, gateway_order_id, item) for item in items]
    listed = [attempt for attempt in attempts if attempt is not None]
    # Stable: what has no time stays where the list has it.
    return sorted(listed, key=lambda attempt: attempt.at.timestamp() if attempt.at else 0)


def _listed_attempt(order_id: str, gateway_order_id: str, item: bytes) -> PaymentAttempt | None:
    own = (None, gateway_order_id)
    try:
        payment = _decode_payment(item)
        if payment.order_id not in own:
            return None
        if has_duplicate_keys(item, _DECISIVE, 1):
            raise ValueError("a key is repeated")
        return attempt_of(order_id, payment)
    except UNREADABLE:
        pass
    try:
        identified = _decode_identified(item)
    except UNREADABLE:
        identified = _Identified()
    payment_id = id_of(identified.id)
    logger.bind(order_id=order_id, gateway_payment_id=payment_id).warning("an attempt cannot be read")
    if not payment_id or identified.order_id not in own:
        return None
    return PaymentAttempt(order_id, payment_id, AttemptStatus.UNKNOWN)


def claimed(payment: Payment) -> tuple[str, AttemptStatus, Money]:
    """What decides: the attempt's id, its status, and the amount.

    Raises ValueError when the payment has no id, no status, or no exact amount.
    """
    payment_id = id_of(payment.id)
    if not payment_id or payment.status is None or payment.amount is None or payment.currency is None:
        raise ValueError("a payment without its id, its status or its amount")
    return payment_id, _status(payment.status, payment.captured), money_of(payment.amount, payment.currency)


def attempt_of(order_id: str, payment: Payment) -> PaymentAttempt:
    """The attempt in our words. Raises ValueError as `claimed` does."""
    payment_id, status, amount = claimed(payment)
    reason = ""
    if status is AttemptStatus.FAILED:
        reason = reason_of(
            printable(payment.error_reason, _CODE_CHARACTERS_MAX), printable(payment.error_code, _CODE_CHARACTERS_MAX)
        )
        if reason == "dropped_by_customer":
            status = AttemptStatus.DROPPED
    return PaymentAttempt(
        order_id,
        payment_id,
        status,
        None,
        amount,
        _METHODS.get(payment.method, PaymentMethod.OTHER) if isinstance(payment.method, str) else "",
        _group(payment),
        _bank_reference(payment.acquirer_data),
        reason,
        time_of(payment.created_at),
    )


def _status(word: str, captured: bool | None) -> AttemptStatus:
    if word == "refunded":
        # Wholly given back: after it was captured, or instead of that, when nobody captured it in time.
        if captured is None:
            return AttemptStatus.UNKNOWN
        return AttemptStatus.SUCCESS if captured else AttemptStatus.FAILED
    if word == "captured" and captured is False:
        return AttemptStatus.UNKNOWN
    return _STATUS.get(word, AttemptStatus.UNKNOWN)


def _group(payment: Payment) -> str:
    """The kind of card where it is one, as other gateways name it, or the method's own word."""
    kind = payment.card.get("type") if isinstance(payment.card, Mapping) else None
    if kind in ("credit", "debit", "prepaid"):
        return f"{kind}_card"
    return printable(payment.method, _GROUP_CHARACTERS_MAX)


def _bank_reference(acquirer_data: object) -> str:
    if not isinstance(acquirer_data, Mapping):
        return ""
    references = (reference_of(acquirer_data.get(name)) for name in _REFERENCES)
    return next((reference for reference in references if reference), "")
