"""Cashfree's webhooks: base64(HMAC-SHA256(client secret, x-webhook-timestamp + raw body)), epoch milliseconds. Pure.

What a body is about (`summarise_webhook`) and what it claims of a payment (`parse_webhook`) are read with the same
structs.
"""

import base64
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from common.keys import digest
from common.texts import printable
from common.times import parse_time
from gateways import (
    IgnoredWebhook,
    MalformedWebhook,
    PaymentWebhook,
    WebhookContent,
    WebhookSignature,
    WebhookSummary,
)
from gateways.cashfree.attempts import Payment, attempt_of, claimed
from gateways.cashfree.orders import ID_CHARACTERS_MAX
from gateways.json_repair import UNREADABLE, repairing
from gateways.verification import WebhookTimestampInvalid

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Milliseconds until the year 2286; more digits are no time that we could meet.
_TIMESTAMP_DIGITS_MAX: Final = 13
# The dashboard's "test this endpoint".
_TEST_TYPE: Final = "WEBHOOK"
# PAYMENT_CHARGES_WEBHOOK repeats a SUCCESS and is about fees: it must never count as a payment.
_PAYMENT_TYPES: Final = frozenset({"PAYMENT_SUCCESS_WEBHOOK", "PAYMENT_FAILED_WEBHOOK", "PAYMENT_USER_DROPPED_WEBHOOK"})

_ABSENT: Final = msgspec.Raw(b"null")

# Ids are strings since 2023-08-01 and numbers before.
Id = str | int | None


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


class _Order(msgspec.Struct):
    order_id: str | None = None
    order_amount: Decimal | None = None
    order_currency: str | None = None
    cf_payment_id: Id = None


class _Refund(msgspec.Struct):
    cf_refund_id: Id = None
    refund_id: str | None = None
    cf_payment_id: Id = None
    order_id: str | None = None
    refund_status: str | None = None


class _Settlement(msgspec.Struct):
    settlement_id: Id = None
    status: str | None = None


class _Dispute(msgspec.Struct):
    dispute_id: Id = None
    dispute_status: str | None = None
    dispute_update: str | None = None
    updated_at: str | None = None


class _Data(msgspec.Struct):
    order: _Order | None = None
    order_details: _Order | None = None
    payment: Payment | None = None
    refund: _Refund | None = None
    auto_refund: _Refund | None = None
    settlement: _Settlement | None = None
    dispute: _Dispute | None = None
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
    """What a payment webhook claims; another kind of event is ignored, what cannot be read is malformed."""
    try:
        envelope = _decode_envelope(body)
        if envelope.type not in _PAYMENT_TYPES:
            return IgnoredWebhook("unsupported_type" if envelope.type else "no_type")
        data = _decode_data(bytes(envelope.data)) or _Data()
        order_id, payment = _paid_order(data)
        if order_id is None or payment is None:
            return MalformedWebhook("incomplete")
        return PaymentWebhook(order_id, attempt_of(order_id, payment, data.error_details))
    except UNREADABLE:
        return MalformedWebhook("unreadable")


def _paid_order(data: _Data) -> tuple[str | None, Payment | None]:
    """The order that a payment webhook is about, and its attempt, completed by the fields that stand at the order."""
    order, payment = data.order or _Order(), data.payment
    if payment is not None:
        payment.order_amount, payment.order_currency = order.order_amount, order.order_currency
    return _bounded(order.order_id), payment


def _summary(type_: str, event_time: datetime | None, data: _Data) -> WebhookSummary:
    refund = data.refund or data.auto_refund or _Refund()
    payment = data.payment or Payment()
    order = data.order or data.order_details or _Order()
    payment_id = _id(payment.cf_payment_id) or _id(refund.cf_payment_id) or _id(order.cf_payment_id)
    subject, status = _claimed(data) if type_ in _PAYMENT_TYPES else _subject(data)
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


def _subject(data: _Data) -> tuple[tuple[str, ...], str | None]:
    """The thing that the event is about, with what it belongs to, and its status: with the type they name one event.

    A dispute may say the same status twice (a comment, a changed type), hence its time. Subscriptions and links come
    back to a status that they had, so their bodies alone identify them.
    """
    order = data.order or data.order_details or _Order()
    order_id = _bounded(order.order_id) or ""
    if data.refund or data.auto_refund:
        refund = data.refund or data.auto_refund or _Refund()
        refund_id = _id(refund.cf_refund_id) or _bounded(refund.refund_id)
        owner = (_bounded(refund.order_id) or order_id, _id(refund.cf_payment_id) or "")
        return (("refund", refund_id, *owner) if refund_id else (), _bounded(refund.refund_status))
    if data.payment:
        payment_id = _id(data.payment.cf_payment_id)
        return (("payment", payment_id, order_id) if payment_id else (), _bounded(data.payment.payment_status))
    if data.settlement:
        settlement_id = _id(data.settlement.settlement_id)
        return (("settlement", settlement_id) if settlement_id else (), _bounded(data.settlement.status))
    if data.dispute and (dispute_id := _id(data.dispute.dispute_id)) and data.dispute.updated_at:
        return (
            ("dispute", dispute_id, order_id, str(data.dispute.updated_at), str(data.dispute.dispute_update)),
            _bounded(data.dispute.dispute_status),
        )
    return (), None


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
