"""Webhooks of types that no code handles: one alert per account, type and window, with advice."""

from datetime import timedelta

WINDOW = timedelta(days=1)
# Beyond so many types of one account an alert does not name the type: a signer could invent new ones without end.
TYPES_MAX = 100
OTHER = "OTHER"

_BY_HAND = "it is not handled yet"
# A part of the type's name → what to do. The first that fits.
_ADVICE = (
    ("REFUND", f"{_BY_HAND}: compare the refund with the payment, and take credits back by hand where they are left"),
    ("SETTLEMENT", f"{_BY_HAND}: compare the settlement with the bank statement"),
    ("CHARGES", "it repeats a success, for its fees: nothing to do, or switch it off in the gateway's dashboard"),
    ("SUBSCRIPTION", f"{_BY_HAND}: no subscription of ours exists; look in the gateway's dashboard who made it"),
)


def advice(type_name: str) -> str:
    """What an operator does about webhooks of this type."""
    name = type_name.upper()
    default = f"{_BY_HAND}: look in the gateway's dashboard what it means, or switch it off there"
    return next((text for part, text in _ADVICE if part in name), default)


def alerted_type(type_name: str, known: set[str]) -> str:
    """The type under which an alert is raised, given the *known* types of the account."""
    return type_name if type_name in known or len(known) < TYPES_MAX else OTHER
