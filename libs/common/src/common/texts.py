"""Texts that come from outside, made such that columns, JSON, log lines and terminals can carry them."""

from typing import Annotated, Final

from msgspec import Meta

# Why staff decided as they did: no control characters, and more than blanks.
Reason = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=500,
        pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*\Z",
        description="Why. It is kept permanently in the audit log, so it holds no personal data.",
        examples=["checked with the gateway"],
    ),
]
NUL: Final = "\0"


def printable(value: object, characters_max: int) -> str:
    """*value* if it is a text of at most so many characters, all of them printable, or the digits of an integer.

    "" for everything else: control, format and bidirectional characters, lone surrogates, other types.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        # No id is longer, and Python refuses to format very long integers.
        value = str(value) if value.bit_length() <= 256 else ""
    if isinstance(value, str) and len(value) <= characters_max and value.isprintable():
        return value
    return ""


def storable(text: str, characters_max: int) -> str:
    """*text* without what no column takes (NUL, lone surrogates), cut to *characters_max*."""
    text = text[:characters_max]
    if NUL in text:
        text = text.replace(NUL, "")
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode()
    return text
