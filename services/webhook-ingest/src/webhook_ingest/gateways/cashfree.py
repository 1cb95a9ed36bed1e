"""Cashfree's webhooks: base64(HMAC-SHA256(client secret, x-webhook-timestamp + raw body)), epoch milliseconds."""

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from webhook_ingest.domain import Reading, WebhookSignatureInvalid, WebhookTimestampInvalid, check_window
from webhook_ingest.gateways import Signed

_TEXT_CHARACTERS_MAX: Final = 128
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Milliseconds until the year 2286; more digits are no time that we could meet.
_TIMESTAMP_DIGITS_MAX: Final = 13
# The dashboard's "test this endpoint".
_TEST_TYPE: Final = "WEBHOOK"

_ABSENT: Final = msgspec.Raw(b"null")

# Ids are strings since 2023-08-01 and numbers before.
Id = str | int | None


class _Envelope(msgspec.Struct):
    type: str
    event_time: msgspec.Raw = _ABSENT
    data: msgspec.Raw = _ABSENT


class _Order(msgspec.Struct):
    order_id: str | None = None
    cf_payment_id: Id = None


class _Payment(msgspec.Struct):
    cf_payment_id: Id = None
    payment_status: str | None = None


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
    payment: _Payment | None = None
    refund: _Refund | None = None
    auto_refund: _Refund | None = None
    settlement: _Settlement | None = None
    dispute: _Dispute | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_data = msgspec.json.Decoder(_Data | None)
_text = msgspec.json.Decoder(str)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Cashfree:
    """Verifies with any of *secrets*: two are current while a secret is being rotated."""

    name = "cashfree"

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets or not all(secrets):
            raise ValueError("at least one webhook secret is needed, and none may be empty")
        self._keys = tuple(secret.encode() for secret in secrets)

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime, window: timedelta) -> Signed:
        timestamp = headers.get("x-webhook-timestamp", "")
        signed_at = _moment(timestamp)
        check_window(signed_at, now, window)
        signature = headers.get("x-webhook-signature", "")
        if not self._is_ours(signature, timestamp.encode() + body):
            raise WebhookSignatureInvalid("the signature does not match the body")
        return Signed(signature, signed_at, _bounded(headers.get("x-webhook-version")) or "", _attempt(headers))

    def _is_ours(self, signature: str, message: bytes) -> bool:
        """Compares with every secret and in constant time, so that the answer's delay tells nothing."""
        given = signature.encode("utf-8", "surrogateescape")
        matches = [
            hmac.compare_digest(base64.b64encode(hmac.digest(key, message, "sha256")), given) for key in self._keys
        ]
        return any(matches)

    def read(self, body: bytes) -> Reading:
        try:
            envelope = _envelope.decode(body)
        except _UNREADABLE:
            return Reading()
        type_ = _bounded(envelope.type)
        if type_ is None:
            return Reading()
        event_time = _event_time(envelope.event_time)
        try:
            data = _data.decode(envelope.data) or _Data()
        except _UNREADABLE:
            # The type is known, the rest is of a shape that we have not met: the body's hash alone identifies it.
            return Reading(type_, event_time, is_test=type_ == _TEST_TYPE)
        return _reading(type_, event_time, data)


def _reading(type_: str, event_time: datetime | None, data: _Data) -> Reading:
    refund = data.refund or data.auto_refund or _Refund()
    payment = data.payment or _Payment()
    order = data.order or data.order_details or _Order()
    payment_id = _id(payment.cf_payment_id) or _id(refund.cf_payment_id) or _id(order.cf_payment_id)
    subject, status = _subject(data)
    return Reading(
        type=type_,
        event_time=event_time,
        order_id=_bounded(order.order_id) or _bounded(refund.order_id),
        gateway_payment_id=payment_id,
        gateway_refund_id=_id(refund.cf_refund_id),
        gateway_status=status,
        identity=f"{type_}|{subject}|{status}" if subject and status else "",
        is_test=type_ == _TEST_TYPE,
    )


def _subject(data: _Data) -> tuple[str, str | None]:
    """The thing that the event is about and its status: together with the type they name one event.

    Payment ids and statuses separate what is really new: another attempt has another cf_payment_id, and PENDING before
    SUCCESS another status. A dispute may say the same status twice (a comment, a changed type), hence its time.
    Subscriptions and links come back to a status that they had, so their bodies alone identify them.
    """
    if data.refund or data.auto_refund:
        refund = data.refund or data.auto_refund or _Refund()
        refund_id = _id(refund.cf_refund_id) or _bounded(refund.refund_id)
        return (f"refund:{refund_id}" if refund_id else "", _bounded(refund.refund_status))
    if data.payment:
        payment_id = _id(data.payment.cf_payment_id)
        return (f"payment:{payment_id}" if payment_id else "", _bounded(data.payment.payment_status))
    if data.settlement:
        settlement_id = _id(data.settlement.settlement_id)
        return (f"settlement:{settlement_id}" if settlement_id else "", _bounded(data.settlement.status))
    if data.dispute and (dispute_id := _id(data.dispute.dispute_id)) and data.dispute.updated_at:
        return (
            f"dispute:{dispute_id}:{data.dispute.updated_at}:{data.dispute.dispute_update}",
            _bounded(data.dispute.dispute_status),
        )
    return "", None


def _moment(timestamp: str) -> datetime:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _TIMESTAMP_DIGITS_MAX):
        raise WebhookTimestampInvalid("expected epoch milliseconds in x-webhook-timestamp")
    return _EPOCH + timedelta(milliseconds=int(timestamp))


def _attempt(headers: Mapping[str, str]) -> int:
    """The delivery's number; a header that is absent or odd counts as the first. It is not signed: a figure only."""
    text = headers.get("x-webhook-attempt", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 1


def _event_time(raw: msgspec.Raw) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text.decode(raw))
    except (*_UNREADABLE, ValueError):
        return None
    return moment if moment.tzinfo is not None and 1971 < moment.year < 9998 else None


def _id(value: Id) -> str | None:
    return _bounded(str(value)) if value is not None else None


def _bounded(text: str | None) -> str | None:
    """*text* if a column can hold it: short, printable, not empty."""
    return text if text and len(text) <= _TEXT_CHARACTERS_MAX and text.isprintable() else None
