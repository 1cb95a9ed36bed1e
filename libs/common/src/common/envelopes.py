"""Sealing events into an envelope, and opening a message that the broker delivered."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from aiormq.abc import DeliveredMessage
from google.protobuf.message import Message
from msgspec import Struct
from pamqp.commands import Basic

from commdesk.common.v1.common_pb2 import Envelope
from common import context, event_contexts, ids, messages
from common.clock import SYSTEM_CLOCK, Clock
from common.events import bounded_micros, micros
from common.texts import printable
from common.times import TimeOutOfRange

# Headers of a redelivery, made afresh each time: RabbitMQ drops silently on an inherited `x-death`, and texts may carry
# personal data, so only numbers, class and code travel.
ATTEMPT, FIRST_FAILED, ERROR_CLASS, ERROR_CODE = "attempt", "first-failed", "error-class", "error-code"
_NAME_CHARACTERS_MAX = 128
_COUNT_MAX = 10_000


class Delivery(Struct):
    """One message from the broker, opened as far as it can be. Mutable: its events are filled in when it is decoded."""

    envelope_id: UUID
    type: str
    producer: str
    traceparent: str
    time_unix_micros: int
    # The serialised events.
    bodies: Sequence[bytes]
    # How many retry tiers it has been through.
    attempt: int
    first_failed_unix_micros: int
    error_class: str
    error_code: str
    # How often the broker took it back from a consumer that went away.
    redeliveries: int
    # Not an envelope: `bodies` holds the message as it came.
    unreadable: bool = False
    # The context of each event, as common.event_contexts reads it.
    contexts: Sequence[bytes] = ()
    # (body, decoded event) for those that could be decoded.
    events: list[tuple[bytes, Any]] = []
    # (context, message) for the same.
    parsed: list[tuple[bytes, Message]] = []
    # As they came; nothing of them is passed on.
    headers: Mapping[str, Any] = {}
    # What the broker itself says: who published it (the user-id, which it has checked), and where.
    user_id: str = ""
    exchange: str = ""
    routing_key: str = ""

    def context_of(self, body: bytes) -> bytes:
        """The context of the event that is serialised as *body*, one of `bodies`."""
        return self.contexts[list(self.bodies).index(body)] if self.contexts else b""


def seal(
    producer: str,
    type_name: str,
    events: Sequence[bytes],
    traceparent: str = "",
    *,
    contexts: Sequence[bytes] = (),
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[UUID, bytes]:
    """A fresh envelope around serialised *events* of one type, each with its context: its id and its bytes."""
    envelope_id = ids.new()
    envelope = Envelope(
        id=envelope_id.bytes,
        type=type_name,
        producer=producer,
        time_unix_micros=micros(clock.now()),
        traceparent=traceparent or context.current().traceparent,
        events=events,
        contexts=event_contexts.packed(contexts),
    )
    return envelope_id, envelope.SerializeToString()


def opened(message: DeliveredMessage, clock: Clock = SYSTEM_CLOCK) -> Delivery:
    """What is in *message*; one that is no envelope comes back marked unreadable."""
    properties, sent = message.header.properties, message.delivery
    assert isinstance(sent, Basic.Deliver)
    delivery = read(message.body, properties.headers or {}, properties.message_id, clock)
    delivery.user_id = properties.user_id or ""
    delivery.exchange = sent.exchange or ""
    delivery.routing_key = sent.routing_key or ""
    return delivery


def read(
    body: bytes, headers: Mapping[str, Any], message_id: str | None = None, clock: Clock = SYSTEM_CLOCK
) -> Delivery:
    """What is in a message of this *body*. Total: whatever a header holds, what comes back can be stored."""
    fields: dict[str, Any] = {
        "headers": headers,
        "attempt": _number(headers.get(ATTEMPT)),
        "first_failed_unix_micros": _time(headers.get(FIRST_FAILED)),
        "error_class": printable(headers.get(ERROR_CLASS), _NAME_CHARACTERS_MAX),
        "error_code": printable(headers.get(ERROR_CODE), _NAME_CHARACTERS_MAX),
        "redeliveries": _number(headers.get("x-delivery-count")),
    }
    try:
        envelope = messages.parse(Envelope, body)
        envelope_id = UUID(bytes=envelope.id)
    except ValueError:
        stable_id = _stable_id(message_id, body, clock)
        return Delivery(stable_id, "", "unknown", "", 0, [body], **fields, unreadable=True)
    return Delivery(
        envelope_id,
        envelope.type,
        envelope.producer,
        envelope.traceparent,
        envelope.time_unix_micros,
        envelope.events,
        **fields,
        contexts=event_contexts.for_each(envelope.contexts, len(envelope.events)),
    )


def _stable_id(message_id: str | None, body: bytes, clock: Clock) -> UUID:
    """The same id for the same message all day long, so that its redelivery is recognised.

    It carries a date, as all ids in the inbox do: one without would stay in the default partition, and alarm.
    """
    return ids.derived(clock.now().date(), message_id.encode() if message_id else body)


def _number(value: object) -> int:
    """A count of a header: what is none counts as nothing, what is too many as many."""
    return min(max(value, 0), _COUNT_MAX) if isinstance(value, int) else 0


def _time(value: object) -> int:
    """A time of a header in microseconds, 0 for what is none."""
    try:
        return bounded_micros(int(value)) if isinstance(value, int) else 0
    except TimeOutOfRange:
        return 0
