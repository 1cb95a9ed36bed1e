"""Razorpay's webhooks: hex HMAC-SHA256 of the raw body under the webhook's own secret. Pure.

No time is signed, and the event's id stands in a header that is not signed: what a body claims identifies its event
(`summarise_webhook`), so that a repetition is known by its content. Payments name Razorpay's order only.
"""

import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from common.keys import digest
from common.texts import printable
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
from gateways.json_repair import UNREADABLE, repairing
from gateways.razorpay import disputes, refunds, settlements
from gateways.razorpay.answers import id_of, reference_of, time_of
from gateways.razorpay.attempts import Payment, attempt_of
from gateways.razorpay.disputes import Dispute
from gateways.razorpay.orders import RECEIPT_CHARACTERS_MAX
from gateways.razorpay.refunds import Refund

_PAYMENT_EVENTS: Final = frozenset(
    {"payment.authorized", "payment.captured", "payment.failed", "payment.pending", "order.paid"}
)
_REFUND_EVENTS: Final = frozenset({"refund.created", "refund.processed", "refund.failed", "refund.speed_changed"})
_DISPUTE_EVENTS: Final = frozenset(
    f"payment.dispute.{word}" for word in ("created", "won", "lost", "closed", "under_review", "action_required")
)
_SETTLEMENT_EVENTS: Final = frozenset({"settlement.processed"})

T = TypeVar("T")

_ABSENT: Final = msgspec.Raw(b"null")


# ── Signatures ───────────────────────────────────────────────────────────────────────────────────────────────────


def read_signature(headers: Mapping[str, str]) -> WebhookSignature:
    return WebhookSignature(headers.get("x-razorpay-signature", ""))


def sign(secret: bytes, given: WebhookSignature, body: bytes) -> str:
    """The signature that Razorpay makes for *body*."""
    return hmac.digest(secret, body, "sha256").hex()


# ── Bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────


class _Envelope(msgspec.Struct):
    event: str = ""
    created_at: Any = None
    payload: msgspec.Raw = _ABSENT


class _Order(msgspec.Struct):
    id: str | None = None
    receipt: Any = None


class _Settlement(msgspec.Struct):
    id: str | None = None
    status: str | None = None
    utr: Any = None


class _PaymentPart(msgspec.Struct):
    entity: Payment | None = None


class _OrderPart(msgspec.Struct):
    entity: _Order | None = None


class _RefundPart(msgspec.Struct):
    entity: Refund | None = None


class _DisputePart(msgspec.Struct):
    entity: Dispute | None = None


class _SettlementPart(msgspec.Struct):
    entity: _Settlement | None = None


class _Payload(msgspec.Struct):
    payment: _PaymentPart | None = None
    order: _OrderPart | None = None
    refund: _RefundPart | None = None
    dispute: _DisputePart | None = None
    settlement: _SettlementPart | None = None
    # Where the envelope should have it, in one of the documented samples.
    created_at: Any = None

    @property
    def paid_by(self) -> Payment:
        return (self.payment.entity if self.payment else None) or Payment()

    @property
    def paid_order(self) -> _Order:
        return (self.order.entity if self.order else None) or _Order()

    @property
    def refunded(self) -> Refund | None:
        return self.refund.entity if self.refund else None

    @property
    def disputed(self) -> Dispute | None:
        return self.dispute.entity if self.dispute else None

    @property
    def settled(self) -> _Settlement:
        return (self.settlement.entity if self.settlement else None) or _Settlement()

    @property
    def order_id(self) -> str:
        """Ours, where the order is beside the payment."""
        return printable(self.paid_order.receipt, RECEIPT_CHARACTERS_MAX)

    @property
    def gateway_order_id(self) -> str:
        return id_of(self.paid_by.order_id) or id_of(self.paid_order.id)


_decode_envelope = repairing(msgspec.json.Decoder(_Envelope).decode)
# The envelope's decoder does not look into the payload: a half character in it is met here.
_decode_payload = repairing(msgspec.json.Decoder(_Payload | None).decode)


def summarise_webhook(body: bytes) -> WebhookSummary:
    """What *body* says of itself. Never raises: what cannot be read is an empty summary."""
    try:
        envelope = _decode_envelope(body)
    except UNREADABLE:
        return WebhookSummary()
    type_ = printable(envelope.event, ID_CHARACTERS_MAX)
    if not type_:
        return WebhookSummary()
    event_time = time_of(envelope.created_at)
    try:
        payload = _decode_payload(bytes(envelope.payload)) or _Payload()
    except UNREADABLE:
        # The type is known, the rest is of a shape that we have not met: the body's hash alone identifies it.
        return WebhookSummary(type_, event_time)
    return _summary(type_, event_time or time_of(payload.created_at), payload)


def parse_webhook(body: bytes) -> WebhookContent:
    """What a webhook claims of a payment, a refund, a dispute or a settlement; another kind of event is ignored, what
    cannot be read is malformed."""
    try:
        envelope = _decode_envelope(body)
        read = READERS.get(envelope.event)
        if read is None:
            return IgnoredWebhook("unsupported_type" if envelope.event else "no_type")
        return read(_decode_payload(bytes(envelope.payload)) or _Payload()) or MalformedWebhook("incomplete")
    except UNREADABLE:
        return MalformedWebhook("unreadable")


def _payment(payload: _Payload) -> WebhookContent | None:
    if payload.payment is None:
        return None
    attempt = attempt_of(payload.order_id, payload.paid_by)
    if not payload.gateway_order_id:
        # A payment link's or a QR code's: Razorpay gives money back that was paid without an order.
        return IgnoredWebhook("no_order")
    return PaymentWebhook(payload.order_id, attempt, payload.gateway_order_id)


def _refund(payload: _Payload) -> WebhookContent | None:
    refund, payment = payload.refunded, payload.paid_by
    if refund is None or not payload.gateway_order_id or payment.id != refund.payment_id:
        return None
    content = RefundWebhook(refunds.snapshot_of("", refund), payload.gateway_order_id)
    # The money was authorised and never captured: it was not ours, so that nothing of ours goes back.
    return IgnoredWebhook("refund_of_uncaptured") if payment.captured is False else content


def _dispute(payload: _Payload) -> WebhookContent | None:
    dispute = payload.disputed
    if dispute is None or not payload.gateway_order_id or payload.paid_by.id != dispute.payment_id:
        return None
    return DisputeWebhook(disputes.snapshot_of("", dispute), payload.gateway_order_id)


def _settled(payload: _Payload) -> WebhookContent | None:
    settlement = payload.settled
    settlement_id = id_of(settlement.id)
    if not settlement_id or settlement.status is None:
        return None
    return SettlementWebhook(settlement_id, settlements.status_of(settlement.status), reference_of(settlement.utr))


# How each event is read; other events are none of ours.
READERS: Final[Mapping[str, Callable[[_Payload], WebhookContent | None]]] = {
    **dict.fromkeys(_PAYMENT_EVENTS, _payment),
    **dict.fromkeys(_REFUND_EVENTS, _refund),
    **dict.fromkeys(_DISPUTE_EVENTS, _dispute),
    **dict.fromkeys(_SETTLEMENT_EVENTS, _settled),
}


def _summary(type_: str, event_time: datetime | None, payload: _Payload) -> WebhookSummary:
    refund, dispute = payload.refunded or Refund(), payload.disputed or Dispute()
    status = refund.status or dispute.status or payload.settled.status or payload.paid_by.status
    claim = _claim(type_, payload)
    return WebhookSummary(
        type=type_,
        event_time=event_time,
        order_id=payload.order_id or None,
        gateway_payment_id=id_of(payload.paid_by.id) or id_of(refund.payment_id) or id_of(dispute.payment_id) or None,
        gateway_refund_id=id_of(refund.id) or None,
        gateway_status=printable(status, ID_CHARACTERS_MAX) or None,
        identity=digest(type_, *claim).hex() if claim else "",
    )


def _claim(type_: str, payload: _Payload) -> tuple[str, ...]:
    """All of a webhook's claim that payment acts on: together with the event's name one event.

    Bodies that claim different things are different events, so no body makes a duplicate of one that says something
    else, and none that is malformed, or of another kind, makes a duplicate of anything.
    """
    read = READERS.get(type_)
    if read is None:
        return ()
    try:
        content = read(payload)
    except UNREADABLE:
        return ()
    match content:
        case PaymentWebhook(order_id, attempt, gateway_order_id):
            own = ("payment", order_id, gateway_order_id, attempt.gateway_payment_id, str(attempt.status))
            return (*own, str(attempt.amount), attempt.bank_reference)
        case RefundWebhook(refund, gateway_order_id):
            own = ("refund", refund.refund_id, refund.gateway_refund_id, gateway_order_id, refund.gateway_payment_id)
            return (*own, str(refund.status), str(refund.amount), refund.bank_reference)
        case DisputeWebhook(dispute, gateway_order_id):
            claim = (str(dispute.status), str(dispute.amount), dispute.reason_code)
            times = (str(dispute.respond_by), str(dispute.updated_at))
            return ("dispute", dispute.gateway_dispute_id, gateway_order_id, dispute.gateway_payment_id, *claim, *times)
        case SettlementWebhook(settlement_id, status, utr):
            return ("settlement", settlement_id, str(status), utr)
    return ()
