"""Whom a mail may go to."""

import re
from typing import Final

# What RFC 5321 lets through without quoting, in ASCII, with a domain that has a dot. Anything odder is not worth the
# ways in which mail servers differ about it. `fullmatch` leaves no room for a line break.
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_LOCAL_CHARACTERS_MAX: Final = 64
_ADDRESS_CHARACTERS_MAX: Final = 254


def is_address(text: str) -> bool:
    """Whether mail may be sent to *text*: one plain ASCII address, nothing around it."""
    return (
        len(text) <= _ADDRESS_CHARACTERS_MAX
        and text.find("@") <= _LOCAL_CHARACTERS_MAX
        and _ADDRESS.fullmatch(text) is not None
    )


def suppression_key(address: str) -> str:
    """The spelling under which an address is suppressed: people do not write it the same way twice."""
    return address.lower()
