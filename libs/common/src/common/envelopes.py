"""Sealing events into an envelope, and opening a message that the broker delivered."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from aiormq.abc import DeliveredMessage
from google.protobuf.message import DecodeError
from msgspec import Struct

from commdesk.common.v1.common_pb2 import Envelope
from common import context, ids
from common.clock import SYSTEM_CLOCK, Clock
from common.events import micros

# Headers of a redelivery, made afresh each time: RabbitMQ drops silently on an inherited `x-death`, and texts may carry
# personal data, so only numbers, class and code travel.
ATTEMPT, FIRST_FAILED, ERROR_CLASS, ERROR_CODE = "attempt", "first-failed", "error-class", "error-code"


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
    # (body, decoded event) for those that could be decoded.
    events: list[tuple[bytes, Any]] = []
    # As they came; nothing of them is passed on.
    headers: Mapping[str, Any] = {}


def seal(
    producer: str, type_name: str, events: Sequence[bytes], traceparent: str = "", *, clock: Clock = SYSTEM_CLOCK
) -> tuple[UUID, bytes]:
    """A fresh envelope around serialised *events* of one type: its id and its bytes."""
    envelope_id = ids.new()
    envelope = Envelope(
        id=envelope_id.bytes,
        type=type_name,
        producer=producer,
        time_unix_micros=micros(clock.now()),
        traceparent=traceparent or context.current().traceparent,
        events=events,
    )
    return envelope_id, envelope.SerializeToString()


def opened(message: DeliveredMessage, clock: Clock = SYSTEM_CLOCK) -> Delivery:
    """What is in *message*; one that is no envelope comes back marked unreadable."""
    headers = message.header.properties.headers or {}
    fields: dict[str, Any] = {
        "headers": headers,
        "attempt": _number(headers.get(ATTEMPT)),
        "first_failed_unix_micros": _number(headers.get(FIRST_FAILED)),
        "error_class": str(headers.get(ERROR_CLASS) or ""),
        "error_code": str(headers.get(ERROR_CODE) or ""),
        "redeliveries": _number(headers.get("x-delivery-count")),
    }
    try:
        envelope = Envelope.FromString(message.body)
        envelope_id = UUID(bytes=envelope.id)
    except (DecodeError, ValueError):
        return Delivery(_stable_id(message, clock), "", "unknown", "", 0, [message.body], **fields, unreadable=True)
    return Delivery(
        envelope_id,
        envelope.type,
        envelope.producer,
        envelope.traceparent,
        envelope.time_unix_micros,
        envelope.events,
        **fields,
    )


def _stable_id(message: DeliveredMessage, clock: Clock) -> UUID:
    """The same id for the same message all day long, so that its redelivery is recognised.

    It carries a date, as all ids in the inbox do: one without would stay in the default partition, and alarm.
    """
    message_id = message.header.properties.message_id
    return ids.derived(clock.now().date(), message_id.encode() if message_id else message.body)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
