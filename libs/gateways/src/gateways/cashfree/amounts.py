"""Cashfree's amounts: rupees as decimals, ours whole minor units. Pure."""

from decimal import Decimal
from typing import Final

from common.money import EXPONENTS, Money

# Ten thousand crore rupees in paise: above what any gateway takes, and far below what a JSON number carries exactly.
MINOR_MAX: Final = 10**13
# More digits are no amount, and arithmetic would begin to round.
_DIGITS_MAX: Final = 24


def parse_rupees(amount: Decimal, currency: str) -> Money:
    """The amount in minor units. Raises ValueError when it is below zero, above ten thousand crore, not a whole number
    of minor units, not a number at all, or in a currency that is not known."""
    digits = EXPONENTS.get(currency)
    if digits is None or not amount.is_finite() or abs(amount.adjusted()) > 15 or amount.is_signed():
        raise ValueError("not an amount")
    if len(amount.as_tuple().digits) > _DIGITS_MAX:
        raise ValueError("more digits than an amount has")
    minor = amount.scaleb(digits)
    if minor != minor.to_integral_value():
        raise ValueError("not a whole number of minor units")
    if minor > MINOR_MAX:
        raise ValueError("more than anybody pays")
    return Money(int(minor), currency)
