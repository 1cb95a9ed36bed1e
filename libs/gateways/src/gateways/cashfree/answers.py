"""What Cashfree's answers have in common: its error body, its cursors, its times and its words for nothing. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from common.texts import printable
from common.times import parse_time
from gateways import Unknown
from gateways.bounds import ID_CHARACTERS_MAX, REFERENCE_CHARACTERS_MAX
from gateways.json_repair import UNREADABLE, repairing

_CURSOR_CHARACTERS_MAX: Final = 2_048
_CODE_CHARACTERS_MAX: Final = 80
_MESSAGE_CHARACTERS_MAX: Final = 500
_INDIA: Final = "+05:30"
# Words that stand for nothing in Cashfree's answers; "null," is in an example of its own documentation.
_NOTHING: Final = frozenset({"", "NA", "N/A", "null", "null,"})

# Ids are strings since 2023-08-01 and numbers before.
Id = str | int | None


class Error(msgspec.Struct):
    """Cashfree's error body."""

    code: str
    message: Any = None

    @property
    def word(self) -> str:
        """The code, as it may be kept."""
        return printable(self.code, _CODE_CHARACTERS_MAX)

    @property
    def text(self) -> str:
        """The message in lower case, to look for words in; never kept."""
        return printable(self.message, _MESSAGE_CHARACTERS_MAX).lower()

    @property
    def is_missing(self) -> bool:
        """It says that what was asked for does not exist."""
        return self.code.endswith("not_found")


_decode_error = msgspec.json.Decoder(Error).decode
_decode_list = repairing(msgspec.json.Decoder(list[msgspec.Raw]).decode)


class _Page(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    cursor: str | None = None


_decode_page = repairing(msgspec.json.Decoder(_Page).decode)


def error_of(body: bytes) -> Error | None:
    """The error body, or None where *body* is none."""
    try:
        return _decode_error(body)
    except UNREADABLE:
        return None


def unanswered(status: int) -> Unknown:
    """A status that says neither yes nor no."""
    return Unknown("rate_limited" if status == 429 else f"http_{status}")


def entries_of(status: int, body: bytes) -> Sequence[bytes] | Unknown:
    """The entries of a bare array, not yet looked into."""
    if status != 200:
        return unanswered(status)
    try:
        return [bytes(entry) for entry in _decode_list(body)]
    except UNREADABLE:
        return Unknown("unreadable")


def page_of(status: int, body: bytes, cursor: str) -> tuple[Sequence[bytes], str] | Unknown:
    """The entries of a page, not yet looked into, and the next cursor: "" after the last page.

    *cursor* is the one that was sent: a page that names it again would be read for ever.
    """
    if status != 200:
        return unanswered(status)
    try:
        page = _decode_page(body)
    except UNREADABLE:
        return Unknown("unreadable")
    if page.data is None:
        return Unknown("unreadable")
    following = printable(page.cursor, _CURSOR_CHARACTERS_MAX)
    if page.cursor and not following:
        return Unknown("unreadable")
    if following and following == cursor:
        return Unknown("cursor_repeated")
    return [bytes(entry) for entry in page.data], following if page.data else ""


def id_of(value: Id) -> str:
    """The id as a text, or "" where there is none that a column can hold."""
    return printable(value, ID_CHARACTERS_MAX)


def reference_of(value: object) -> str:
    """A bank's reference, a text or a number, or "" where there is none."""
    text = printable(value, REFERENCE_CHARACTERS_MAX).strip()
    return "" if text in _NOTHING else text


def time_of(value: object) -> datetime | None:
    """The moment in UTC. A time without an offset is India's, as Cashfree writes it beside its settlements."""
    if not isinstance(value, str):
        return None
    # An offset comes after the time, a hyphen before it belongs to the date.
    _, _, clock = value.strip().replace(" ", "T", 1).partition("T")
    if clock and not any(sign in clock for sign in "Zz+-"):
        value = f"{value.strip()}{_INDIA}"
    return parse_time(value)
