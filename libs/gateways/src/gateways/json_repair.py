"""JSON that would be readable but for half a character somewhere in it: one bad text must not hide all the others."""

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

# What decoding foreign JSON may raise: UnicodeDecodeError and Decimal's errors are among them.
UNREADABLE: Final = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)

# A pair of escaped surrogates, which is one character, or half of one.
_SURROGATES = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


def repairing(decode: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """*decode*, tried once more with every half character made a NUL, which makes its text one that nobody takes."""

    def read(body: bytes) -> T:
        try:
            return decode(body)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            repaired = without_half_characters(body)
            if repaired == body:
                raise
            return decode(repaired)

    return read


def without_half_characters(body: bytes) -> bytes:
    text = _NOT_UTF8.sub(r"\\u0000", body.decode("utf-8", "surrogateescape"))
    return _SURROGATES.sub(lambda match: match[1] or b"\\u0000", text.encode())
