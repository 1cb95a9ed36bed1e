"""Cashfree's webhooks: base64(HMAC-SHA256(client secret, x-webhook-timestamp + raw body)), epoch milliseconds. Pure.

What a body is about (`summarise_webhook`) and what it claims of a payment (`parse_webhook`) are read with the same
structs.
"""

import base64
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from common.keys import digest
from common.texts import printable
from common.times import parse_time
from gateways import (
    DisputeWebhook,
    IgnoredWebhook,
    MalformedWebhook,
    PaymentWebhook,
    RefundWebhook,
    SettlementWebhook,
    WebhookContent,
    WebhookSignature,
    WebhookSummary,
)
from gateways.bounds import ID_CHARACTERS_MAX
from gateways.cashfree import disputes, refunds, settlements
from gateways.cashfree.answers import Id, reference_of
from gateways.cashfree.attempts import Payment, attempt_of, claimed
from gateways.cashfree.disputes import Dispute, DisputedOrder
from gateways.cashfree.refunds import Refund
from gateways.json_repair import UNREADABLE, repairing
from gateways.verification import WebhookTimestampInvalid

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Milliseconds until the year 2286; more digits are no time that we could meet.
_TIMESTAMP_DIGITS_MAX: Final = 13
# The dashboard's "test this endpoint".
_TEST_TYPE: Final = "WEBHOOK"
# PAYMENT_CHARGES_WEBHOOK repeats a SUCCESS and is about fees: it must never count as a payment.
_PAYMENT_TYPES: Final = frozenset({"PAYMENT_SUCCESS_WEBHOOK", "PAYMENT_FAILED_WEBHOOK", "PAYMENT_USER_DROPPED_WEBHOOK"})
_REFUND_TYPES: Final = frozenset({"REFUND_STATUS_WEBHOOK", "AUTO_REFUND_STATUS_WEBHOOK"})
_DISPUTE_TYPES: Final = frozenset({"DISPUTE_CREATED", "DISPUTE_UPDATED", "DISPUTE_CLOSED"})
# VENDOR_SETTLEMENT_… are about money of vendors, which none of our accounts has.
_SETTLEMENT_TYPES: Final = frozenset(
    {"SETTLEMENT_INITIATED", "SETTLEMENT_SUCCESS", "SETTLEMENT_FAILED", "SETTLEMENT_REVERSED"}
)

T = TypeVar("T")

_ABSENT: Final = msgspec.Raw(b"null")


# ── Signatures ───────────────────────────────────────────────────────────────────────────────────────────────────


def read_signature(headers: Mapping[str, str]) -> WebhookSignature:
    timestamp = headers.get("x-webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _TIMESTAMP_DIGITS_MAX):
        raise WebhookTimestampInvalid("expected epoch milliseconds in x-webhook-timestamp")
    return WebhookSignature(
        headers.get("x-webhook-signature", ""),
        _EPOCH + timedelta(milliseconds=int(timestamp)),
        timestamp,
        _bounded(headers.get("x-webhook-version")) or "",
        _attempt(headers),
    )


def sign(secret: bytes, given: WebhookSignature, body: bytes) -> str:
    """The signature that Cashfree makes for *body* at the given time."""
    return base64.b64encode(hmac.digest(secret, given.timestamp.encode() + body, "sha256")).decode()


def _attempt(headers: Mapping[str, str]) -> int:
    """The delivery's number; a header that is absent or odd counts as the first."""
    text = headers.get("x-webhook-attempt", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 1


# ── Bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────


class _Envelope(msgspec.Struct):
    type: str = ""
    event_time: msgspec.Raw = _ABSENT
    data: msgspec.Raw = _ABSENT


class _Settlement(msgspec.Struct):
    settlement_id: Id = None
    status: str | None = None
    # A number in some versions.
    utr: Any = None


class _Data(msgspec.Struct):
    order: DisputedOrder | None = None
    order_details: DisputedOrder | None = None
    payment: Payment | None = None
    refund: Refund | None = None
    auto_refund: Refund | None = None
    settlement: _Settlement | None = None
    dispute: Dispute | None = None
    error_details: Any = None


_decode_envelope = repairing(msgspec.json.Decoder(_Envelope).decode)
# The envelope's decoder does not look into the data: a half character in it is met here.
_decode_data = repairing(msgspec.json.Decoder(_Data | None).decode)
_decode_text = msgspec.json.Decoder(str).decode


def summarise_webhook(body: bytes) -> WebhookSummary:
    """What *body* says of itself. Never raises: what cannot be read is an empty summary."""
    try:
        envelope = _decode_envelope(body)
    except UNREADABLE:
        return WebhookSummary()
    type_ = _bounded(envelope.type)
    if type_ is None:
        return WebhookSummary()
    event_time = _event_time(envelope.event_time)
    try:
        data = _decode_data(bytes(envelope.data)) or _Data()
    except UNREADABLE:
        # The type is known, the rest is of a shape that we have not met: the body's hash alone identifies it.
        return WebhookSummary(type_, event_time, is_test=type_ == _TEST_TYPE)
    return _summary(type_, event_time, data)


def parse_webhook(body: bytes) -> WebhookContent:
    """What a webhook claims of a payment, a refund, a dispute or a settlement; another kind of event is ignored, what
    cannot be read is malformed."""
    try:
        envelope = _decode_envelope(body)
        read = READERS.get(envelope.type)
        if read is None:
            return IgnoredWebhook("unsupported_type" if envelope.type else "no_type")
        return read(_decode_data(bytes(envelope.data)) or _Data()) or MalformedWebhook("incomplete")
    except UNREADABLE:
        return MalformedWebhook("unreadable")


def _payment(data: _Data) -> PaymentWebhook | None:
    order_id, payment = _paid_order(data)
    if order_id is None or payment is None:
        return None
    return PaymentWebhook(order_id, attempt_of(order_id, payment, data.error_details))


def _refund(data: _Data) -> RefundWebhook | None:
    if data.auto_refund is not None:
        snapshot = refunds.snapshot_of(data.auto_refund)
        return RefundWebhook(msgspec.structs.replace(snapshot, is_automatic=True))
    return RefundWebhook(refunds.snapshot_of(data.refund)) if data.refund is not None else None


def _dispute(data: _Data) -> DisputeWebhook | None:
    if data.dispute is None:
        return None
    return DisputeWebhook(disputes.snapshot_of(data.dispute, data.order_details or data.order or DisputedOrder()))


def _settled(data: _Data) -> SettlementWebhook | None:
    settlement = data.settlement or _Settlement()
    settlement_id = _id(settlement.settlement_id)
    if settlement_id is None or settlement.status is None:
        return None
    return SettlementWebhook(settlement_id, settlements.status_of(settlement.status), reference_of(settlement.utr))


# How each type is read; other types are none of ours.
READERS: Final[Mapping[str, Callable[[_Data], WebhookContent | None]]] = {
    **dict.fromkeys(_PAYMENT_TYPES, _payment),
    **dict.fromkeys(_REFUND_TYPES, _refund),
    **dict.fromkeys(_DISPUTE_TYPES, _dispute),
    **dict.fromkeys(_SETTLEMENT_TYPES, _settled),
}


def _paid_order(data: _Data) -> tuple[str | None, Payment | None]:
    """The order that a payment webhook is about, and its attempt, completed by the fields that stand at the order."""
    order, payment = data.order or DisputedOrder(), data.payment
    if payment is not None:
        payment.order_amount, payment.order_currency = order.order_amount, order.order_currency
    return _bounded(order.order_id), payment


def _summary(type_: str, event_time: datetime | None, data: _Data) -> WebhookSummary:
    refund = data.refund or data.auto_refund or Refund()
    payment = data.payment or Payment()
    order = data.order or data.order_details or DisputedOrder()
    payment_id = _id(payment.cf_payment_id) or _id(refund.cf_payment_id) or _id(order.cf_payment_id)
    subject, status = _CLAIMS.get(type_, _unclaimed)(data)
    return WebhookSummary(
        type=type_,
        event_time=event_time,
        order_id=_bounded(order.order_id) or _bounded(refund.order_id),
        gateway_payment_id=payment_id,
        gateway_refund_id=_id(refund.cf_refund_id),
        gateway_status=status,
        identity=digest(type_, *subject, status).hex() if subject and status else "",
        is_test=type_ == _TEST_TYPE,
    )


def _claimed(data: _Data) -> tuple[tuple[str, ...], str | None]:
    """All of a payment webhook's claim that payment acts on, and its status: together with the type one event.

    Bodies that claim different things are different events, so no body makes a duplicate of one that says something
    else, and none that is malformed makes a duplicate of one that can be read.
    """
    order_id, payment = _paid_order(data)
    if payment is None:
        return (), None
    status = _bounded(payment.payment_status)
    try:
        payment_id, attempt_status, *amounts = claimed(payment)
    except UNREADABLE:
        return (), status
    if order_id is None:
        return (), status
    parts = [part for money in amounts for part in (("", "") if money is None else (str(money.minor), money.currency))]
    return ("payment", order_id, payment_id, attempt_status, *parts), status


def _claimed_of_refund(data: _Data) -> tuple[tuple[str, ...], str | None]:
    """As `_claimed`. A refund that has got its bank reference since says something new under the same status."""
    status = _bounded((data.refund or data.auto_refund or Refund()).refund_status)
    content = _readable(_refund, data)
    if content is None:
        return (), status
    it = content.refund
    own = (it.refund_id, it.gateway_refund_id, it.order_id, it.gateway_payment_id)
    return ("refund", *own, str(it.amount.minor), it.amount.currency, it.bank_reference), status


def _claimed_of_dispute(data: _Data) -> tuple[tuple[str, ...], str | None]:
    """As `_claimed`. A dispute may say the same status twice (a comment, a changed type), hence its time."""
    dispute = data.dispute or Dispute()
    status = _bounded(dispute.dispute_status)
    content = _readable(_dispute, data)
    it = content.dispute if content else None
    if it is None or it.updated_at is None:
        return (), status
    own = (it.gateway_dispute_id, it.order_id, it.gateway_payment_id, str(it.amount.minor), it.amount.currency)
    times = (it.updated_at.isoformat(), it.respond_by.isoformat() if it.respond_by else "")
    return ("dispute", *own, *times, it.reason_code, printable(dispute.dispute_update, ID_CHARACTERS_MAX)), status


def _claimed_of_settlement(data: _Data) -> tuple[tuple[str, ...], str | None]:
    settlement = data.settlement or _Settlement()
    settlement_id = _id(settlement.settlement_id)
    status = _bounded(settlement.status)
    return (("settlement", settlement_id, reference_of(settlement.utr)) if settlement_id else (), status)


def _readable(read: Callable[[_Data], T | None], data: _Data) -> T | None:
    try:
        return read(data)
    except UNREADABLE:
        return None


# Other kinds, subscriptions and links for instance, come back to a status that they had: their bodies alone identify
# them.
_CLAIMS: Final[Mapping[str, Callable[[_Data], tuple[tuple[str, ...], str | None]]]] = {
    **dict.fromkeys(_PAYMENT_TYPES, _claimed),
    **dict.fromkeys(_REFUND_TYPES, _claimed_of_refund),
    **dict.fromkeys(_DISPUTE_TYPES, _claimed_of_dispute),
    **dict.fromkeys(_SETTLEMENT_TYPES, _claimed_of_settlement),
}


def _unclaimed(data: _Data) -> tuple[tuple[str, ...], str | None]:
    """The payment that an event of another kind is about, and its status: with the type they name one event."""
    if data.payment is None:
        return (), None
    payment_id = _id(data.payment.cf_payment_id)
    order_id = _bounded((data.order or data.order_details or DisputedOrder()).order_id) or ""
    return (("payment", payment_id, order_id) if payment_id else (), _bounded(data.payment.payment_status))


def _event_time(raw: msgspec.Raw) -> datetime | None:
    try:
        return parse_time(_decode_text(raw))
    except UNREADABLE:
        return None


def _id(value: Id) -> str | None:
    return printable(value, ID_CHARACTERS_MAX) or None


def _bounded(text: str | None) -> str | None:
    """*text* if a column can hold it: short, printable, not empty."""
    return printable(text, ID_CHARACTERS_MAX) or None
