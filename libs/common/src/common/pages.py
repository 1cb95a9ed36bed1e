"""Pages of a list: `{"items": […], "nextCursor": …}`, asked for by `limit` and `cursor`.

A read asks for one row more than the page has; whether it comes says whether there is a next page. The cursor holds
the sort key of the last row, so that rows that are added meanwhile move nothing.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar, overload

import msgspec
from msgspec import Meta

from common import times
from common.errors import InvalidArgument

LIMIT_MAX = 200
CURSOR_LENGTH_MAX = 512

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
R = TypeVar("R")

# What a bigint column and a timestamptz column can be compared with.
_BOUNDED: dict[type, Any] = {
    int: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
    datetime: Annotated[datetime, Meta(tz=True)],
    str: Annotated[str, Meta(pattern=r"^[^\x00]*\Z")],
}


class CursorInvalid(InvalidArgument):
    """The cursor is not one that this list gave."""

    fix = "Use `nextCursor` of the page before as it is, with the same filters, or start without a cursor."


class Page(msgspec.Struct, Generic[T], frozen=True, rename="camel"):
    """One page; *next_cursor* continues after it and is null on the last one."""

    items: list[T]
    next_cursor: str | None = None


class PageQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """What the queries of lists start from."""

    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="How many items at most.")] = 50
    cursor: (
        Annotated[str, Meta(min_length=1, max_length=CURSOR_LENGTH_MAX, description="`nextCursor` of the page before.")]
        | None
    ) = None


def page(rows: Sequence[R], limit: int, view: Callable[[R], T], cursor: Callable[[R], str]) -> Page[T]:
    """The page that *rows*, read with one more than *limit*, make; *cursor* is made of the last row shown."""
    shown = rows[:limit]
    return Page([view(row) for row in shown], cursor(shown[-1]) if len(rows) > limit else None)


def encode_cursor(*values: object) -> str:
    """An opaque text for a URL that `decode_cursor` gives back as values: UUIDs, integers, texts, times."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).rstrip(b"=").decode()


@overload
def decode_cursor(text: str, first: type[T1], /) -> tuple[T1]: ...
@overload
def decode_cursor(text: str, first: type[T1], second: type[T2], /) -> tuple[T1, T2]: ...
@overload
def decode_cursor(text: str, first: type[T1], second: type[T2], third: type[T3], /) -> tuple[T1, T2, T3]: ...
def decode_cursor(text: str, /, *types: Any) -> tuple[Any, ...]:
    """The values in a cursor, each of its type. Raises CursorInvalid."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        values = _decoder(types).decode(raw)
        if not all(times.is_filter(value) for value in values if isinstance(value, date)):
            raise ValueError("a time at which comparing ends")
        return values
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        raise CursorInvalid("the cursor is not one of this list", cursor="is not known") from None


@lru_cache(maxsize=256)
def _decoder(types: tuple[type, ...]) -> msgspec.json.Decoder[tuple[Any, ...]]:
    shape: Any = tuple[tuple(_BOUNDED.get(each, each) for each in types)]  # type: ignore[misc]  # known at run time only
    return msgspec.json.Decoder(shape)
