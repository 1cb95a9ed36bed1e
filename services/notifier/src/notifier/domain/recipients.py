"""Whom a mail may go to."""

from common import contacts
from common.errors import RequestInvalid


def parse_address(text: str) -> str | None:
    """The address as SMTP takes it, in ASCII on one line; None when *text* is not an address."""
    try:
        return contacts.email_address(text)
    except RequestInvalid:
        return None


def suppression_key(address: str) -> str:
    """The spelling under which an address is suppressed: people do not write it the same way twice."""
    return address.lower()
