"""What Razorpay's answers have in common: ids, amounts, times, notes, collections and the error body. Pure.

Amounts are integers of minor units, times are epoch seconds, and an id that does not exist is a 400.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from common.money import EXPONENTS, Money
from common.texts import printable
from common.times import END, FIRST
from gateways import Unknown
from gateways.bounds import MINOR_MAX, REFERENCE_CHARACTERS_MAX
from gateways.json_repair import UNREADABLE, repairing

# Collections have at most so many items in one answer, the report of settled items aside.
PAGE_ITEMS: Final = 100
_CODE_CHARACTERS_MAX: Final = 80
_TEXT_CHARACTERS_MAX: Final = 500
# A prefix that says what it is, and 14 letters and digits.
_ID: Final = re.compile(r"[a-z]{2,12}_[A-Za-z0-9]{1,64}")
_FIRST_SECOND: Final = int(FIRST.timestamp())
_END_SECOND: Final = int(END.timestamp())


class Error(msgspec.Struct):
    """What is in the error body."""

    code: str
    description: Any = None
    reason: Any = None

    @property
    def word(self) -> str:
        """The reason, or the code where there is none, as it may be kept; never the text."""
        reason = printable(self.reason, _CODE_CHARACTERS_MAX)
        return reason if reason not in ("", "NA") else printable(self.code, _CODE_CHARACTERS_MAX)

    @property
    def text(self) -> str:
        """The description in lower case, to look for words in; never kept."""
        return printable(self.description, _TEXT_CHARACTERS_MAX).lower()

    @property
    def is_refusal(self) -> bool:
        """It is about the request: GATEWAY_ERROR and SERVER_ERROR do not say what became of it."""
        return self.code not in ("GATEWAY_ERROR", "SERVER_ERROR")

    @property
    def is_missing(self) -> bool:
        """It says that what was asked for does not exist."""
        return "id provided does not exist" in self.text


class _ErrorBody(msgspec.Struct):
    error: Error


class _Collection(msgspec.Struct):
    items: list[msgspec.Raw]


_decode_error = msgspec.json.Decoder(_ErrorBody).decode
_decode_collection = repairing(msgspec.json.Decoder(_Collection).decode)


def error_of(body: bytes) -> Error | None:
    """The error that *body* tells of, or None where it tells of none."""
    try:
        return _decode_error(body).error
    except UNREADABLE:
        return None


def unanswered(status: int) -> Unknown:
    """A status that says neither yes nor no."""
    return Unknown("rate_limited" if status == 429 else f"http_{status}")


def items_of(status: int, body: bytes) -> Sequence[bytes] | Unknown:
    """The items of a collection, not yet looked into."""
    if status != 200:
        return unanswered(status)
    try:
        return [bytes(item) for item in _decode_collection(body).items]
    except UNREADABLE:
        return Unknown("unreadable")


def id_of(value: object) -> str:
    """One of Razorpay's ids, or "" where *value* is none: what is not an id never becomes part of a path."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def reference_of(value: object) -> str:
    """A bank's reference, or "" where there is none."""
    return printable(value, REFERENCE_CHARACTERS_MAX).strip()


def money_of(amount: int, currency: str) -> Money:
    """*amount* in minor units. Raises ValueError when nobody pays it, or its currency is not known."""
    if currency not in EXPONENTS or not 0 <= amount <= MINOR_MAX:
        raise ValueError("not an amount")
    return Money(amount, currency)


def time_of(value: object) -> datetime | None:
    """The moment of *value* epoch seconds; None for what is no such number, and before 2000 or after 2099."""
    if not isinstance(value, int) or isinstance(value, bool) or not _FIRST_SECOND <= value < _END_SECOND:
        return None
    return datetime.fromtimestamp(value, UTC)


def note_of(notes: object, name: str, characters_max: int) -> str:
    """The note of that name. Without any note Razorpay writes an empty list."""
    return printable(notes.get(name), characters_max) if isinstance(notes, Mapping) else ""
