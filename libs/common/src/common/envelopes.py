"""Sealing events into an envelope, and opening a message that the broker delivered."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiormq.abc import DeliveredMessage
from google.protobuf.message import DecodeError

from commdesk.common.v1.common_pb2 import Envelope
from common import context, ids

# Headers of a hop, made afresh each time: RabbitMQ drops silently on an inherited `x-death`, and texts may carry
# personal data, so only numbers, class and code travel.
ATTEMPT, FIRST_FAILED, ERROR_CLASS, ERROR_CODE = "attempt", "first-failed", "error-class", "error-code"


@dataclass(slots=True)
class Delivery:
    """One message from the broker, opened as far as it can be."""

    envelope_id: UUID
    type: str
    producer: str
    traceparent: str
    time_unix_micros: int
    # The serialised events.
    bodies: Sequence[bytes]
    # How many rungs of the ladder it has behind it.
    attempt: int
    first_failed_unix_micros: int
    error_class: str
    error_code: str
    # How often the broker took it back from a consumer that went away.
    redeliveries: int
    # Not an envelope: `bodies` holds the message as it came.
    unreadable: bool = False
    # (body, decoded event) for those that could be decoded.
    events: list[tuple[bytes, Any]] = field(default_factory=list)


def seal(producer: str, type_name: str, events: Sequence[bytes], traceparent: str = "") -> tuple[UUID, bytes]:
    """A fresh envelope around serialised *events* of one type: its id and its bytes."""
    envelope_id = ids.new()
    envelope = Envelope(
        id=envelope_id.bytes,
        type=type_name,
        producer=producer,
        time_unix_micros=time.time_ns() // 1000,
        traceparent=traceparent or context.current().traceparent,
        events=events,
    )
    return envelope_id, envelope.SerializeToString()


def opened(message: DeliveredMessage) -> Delivery:
    """What is in *message*; one that is no envelope comes back marked unreadable."""
    headers = message.header.properties.headers or {}
    hop: dict[str, Any] = {
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
        return Delivery(_stable_id(message), "", "unknown", "", 0, [message.body], **hop, unreadable=True)
    return Delivery(
        envelope_id,
        envelope.type,
        envelope.producer,
        envelope.traceparent,
        envelope.time_unix_micros,
        envelope.events,
        **hop,
    )


def _stable_id(message: DeliveredMessage) -> UUID:
    """The same id for the same message all day long, so that its redelivery is recognised.

    It carries a date, as all ids in the inbox do: one without would lie in the default partition for ever, and alarm.
    """
    known = message.header.properties.message_id
    return ids.derived(datetime.now(UTC).date(), known.encode() if known else message.body)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
