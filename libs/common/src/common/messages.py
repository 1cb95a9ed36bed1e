"""Protobuf messages that come from another process, read totally: what is in a text field can be stored."""

from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from common.texts import NUL

M = TypeVar("M", bound=Message)


class MessageUnreadable(ValueError):
    """Not a message of its type, or *field* holds a NUL character, which no column stores."""

    def __init__(self, field: str = "") -> None:
        super().__init__(f"{field} holds a NUL character" if field else "malformed")
        self.field = field


def parse(kind: type[M], raw: bytes) -> M:
    """The message of type *kind* in *raw*. Raises MessageUnreadable."""
    try:
        message = kind.FromString(raw)
    except DecodeError:
        raise MessageUnreadable from None
    # Few messages hold a zero byte at all, and only those are looked through.
    if b"\0" in raw and (field := field_with_nul(message)) is not None:
        raise MessageUnreadable(field)
    return message


def field_with_nul(message: Message, path: str = "") -> str | None:
    """Which text field of *message*, nested ones included, holds a NUL character."""
    for descriptor, value in message.ListFields():
        name = path + descriptor.name
        if _is_map(descriptor):
            if any(_holds_nul(each, "") is not None for pair in value.items() for each in pair):
                return name
        elif descriptor.is_repeated:
            for index, each in enumerate(value):
                if (field := _holds_nul(each, f"{name}[{index}].")) is not None:
                    return field or f"{name}[{index}]"
        elif (field := _holds_nul(value, f"{name}.")) is not None:
            return field or name
    return None


def _holds_nul(value: Any, path: str) -> str | None:
    """The field inside *value*, "" when it is *value* itself, None when there is none."""
    if isinstance(value, str):
        return "" if NUL in value else None
    return field_with_nul(value, path) if isinstance(value, Message) else None


def _is_map(descriptor: FieldDescriptor) -> bool:
    kind = descriptor.message_type
    return kind is not None and kind.has_options and bool(kind.GetOptions().map_entry)
