"""Which request each event comes from, and how that passes through a batch.

An envelope carries the context of each of its events: request, correlation and trace ids. A handler works on events of
many requests at once, so what it announces takes the context of the event that is about the same thing: a payment, a
webhook, a resource of the audit log. Contexts are passed on serialised and opened only for log lines.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from msgspec import Struct

from commdesk.common.v1.common_pb2 import EventContext
from common import context, messages
from common.context import Context, is_request_id

# Ours have some 150 bytes; longer ones are none of ours.
CONTEXT_BYTES_MAX: Final = 512
# The fields that name what an event is about, the most telling first.
_SUBJECT_FIELDS: Final = ("payment_id", "webhook_id", "resource_id", "source_id", "operation_key")


class Subject(Struct, frozen=True):
    """The ids for a log line that a message names; empty for what it does not."""

    payment_id: str = ""
    order_id: str = ""
    user_id: str = ""


def serialised(origin: Context) -> bytes:
    """The EventContext of *origin*, b"" for one without ids."""
    if not (origin.request_id or origin.correlation_id or origin.traceparent):
        return b""
    return EventContext(
        request_id=origin.request_id, correlation_id=origin.correlation_id, traceparent=origin.traceparent
    ).SerializeToString()


@lru_cache(maxsize=4096)
def opened(raw: bytes) -> Context:
    """What is in *raw*, as far as it is well-formed: ids stand in log lines and in headers of calls."""
    if not raw or len(raw) > CONTEXT_BYTES_MAX:
        return context.EMPTY
    try:
        message = messages.parse(EventContext, raw)
    except messages.MessageUnreadable:
        return context.EMPTY
    return Context(
        request_id=message.request_id if is_request_id(message.request_id) else "",
        correlation_id=message.correlation_id if is_request_id(message.correlation_id) else "",
        traceparent=message.traceparent if context.is_traceparent(message.traceparent) else "",
    )


def for_each(contexts: Sequence[bytes], events: int) -> Sequence[bytes]:
    """A context for each of so many *events*: an envelope may carry one for all of them, or none."""
    if len(contexts) == events:
        return contexts
    return [contexts[0] if len(contexts) == 1 else b""] * events


def packed(contexts: Sequence[bytes]) -> Sequence[bytes]:
    """As an envelope carries them: one alone when all are the same."""
    if len(set(contexts)) > 1:
        return contexts
    return contexts[:1] if contexts and contexts[0] else ()


def of_message(message: Message, by_subject: Mapping[str, bytes], own: bytes) -> bytes:
    """The context of an event to announce: of what it is about, or else that of the present work, *own*."""
    for read in _subject_readers(message.DESCRIPTOR):
        found = by_subject.get(read(message))
        if found is not None:
            return found
    return own


def keys_of(message: Message) -> list[str]:
    """The ids by which events that follow from *message* may name the same thing."""
    return [key for read in _subject_readers(message.DESCRIPTOR) if (key := read(message))]


def subjects_of(message: Message) -> list[Subject]:
    """What an event or a request is about: the ids in it, or in each of its items."""
    read, repeated = _id_readers(message.DESCRIPTOR)
    subjects = [read(message)]
    for items, read_item in repeated:
        subjects += [read_item(item) for item in items(message)]
    return [subject for subject in subjects if subject != _NOBODY]


def only(subjects: Iterable[Subject]) -> Subject:
    """The one subject of all; of several, what they have in common."""
    distinct = set(subjects)
    if len(distinct) == 1:
        return distinct.pop()
    return Subject(*(_common([getattr(each, name) for each in distinct]) for name in Subject.__struct_fields__))


def _common(values: Sequence[str]) -> str:
    return values[0] if values and len(set(values)) == 1 else ""


_NOBODY: Final = Subject()
_Read = Callable[[Any], str]


@lru_cache(maxsize=512)
def _subject_readers(kind: Descriptor) -> tuple[_Read, ...]:
    paths = [path for name in _SUBJECT_FIELDS if (path := _path(kind, name))]
    if not paths and _has(kind, "event_id"):
        # A webhook as it was received: the reports about it name its event's id.
        paths = ["event_id"]
    return tuple(attrgetter(path) for path in paths)


@lru_cache(maxsize=512)
def _id_readers(kind: Descriptor) -> tuple[Callable[[Any], Subject], list[tuple[Any, Callable[[Any], Subject]]]]:
    repeated: list[tuple[Any, Callable[[Any], Subject]]] = [
        (attrgetter(field.name), _id_readers(field.message_type)[0])
        for field in kind.fields
        if field.is_repeated and field.message_type is not None and _path(field.message_type, "payment_id")
    ]
    if "payment_ids" in kind.fields_by_name:
        repeated.append((attrgetter("payment_ids"), Subject))
    paths = [_path(kind, name) for name in Subject.__struct_fields__]

    def read(message: Any) -> Subject:
        return Subject(*(attrgetter(path)(message) if path else "" for path in paths))

    return (read if any(paths) else lambda _: _NOBODY), repeated


def _path(kind: Descriptor, name: str) -> str:
    """Where *kind* holds the text *name*: itself, or in its payment."""
    if _has(kind, name):
        return name
    payment = kind.fields_by_name.get("payment")
    if payment is None or payment.is_repeated or payment.message_type is None or not _has(payment.message_type, name):
        return ""
    return f"payment.{name}"


def _has(kind: Descriptor, name: str) -> bool:
    field = kind.fields_by_name.get(name)
    return field is not None and field.cpp_type == field.CPPTYPE_STRING and not field.is_repeated
