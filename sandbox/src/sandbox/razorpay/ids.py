"""Ids as Razorpay makes them: a prefix and 14 letters and digits that sort by age."""

import itertools
import re
import secrets
import string

from sandbox.clock import now_ms

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_COUNTED, _RANDOM = 9, 5
_FORM = re.compile(r"([a-z]+)_[0-9A-Za-z]{14}")
# It keeps growing over restarts, so that nothing new has an old id.
_counter = itertools.count(now_ms() * 1_000)


def new_id(prefix: str) -> str:
    """A new id, such as pay_29QQoUBi66xm2f."""
    number, digits = next(_counter), ""
    for _ in range(_COUNTED):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return f"{prefix}_{digits}" + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))


def is_id(text: str, prefix: str) -> bool:
    """Whether a text has the form of an id with that prefix."""
    match = _FORM.fullmatch(text)
    return match is not None and match[1] == prefix


def bank_reference(of_id: str) -> str:
    """Twelve digits that belong to an id: an RRN or ARN, the same whenever it is asked for."""
    return f"{int.from_bytes(of_id.encode()) % 10**12:012d}"
