"""Cashfree's amounts: rupees as decimals, ours whole minor units. Pure."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from common.money import EXPONENTS, Money
from gateways.bounds import MINOR_MAX

# More digits are no amount, and arithmetic would begin to round.
_DIGITS_MAX: Final = 24


def parse_rupees(amount: Decimal, currency: str) -> Money:
    """The amount in minor units. Raises ValueError when it is below zero, above ten thousand crore, not a whole number
    of minor units, not a number at all, or in a currency that is not known."""
    if amount.is_signed():
        raise ValueError("not an amount")
    return Money(_minor(amount, currency), currency)


def parse_signed_rupees(amount: Decimal, currency: str) -> int:
    """The amount in minor units, below zero as well. Raises ValueError as `parse_rupees` does."""
    return -_minor(amount.copy_negate(), currency) if amount.is_signed() else _minor(amount, currency)


def round_rupees(amount: Decimal, currency: str) -> int:
    """A charge or a tax, which is stated with up to four decimals, rounded half even to minor units.

    Raises ValueError and ArithmeticError for what is no amount.
    """
    unit = Decimal(1).scaleb(-EXPONENTS.get(currency, 0))
    return parse_signed_rupees(amount.quantize(unit, ROUND_HALF_EVEN), currency)


def _minor(amount: Decimal, currency: str) -> int:
    digits = EXPONENTS.get(currency)
    if digits is None or not amount.is_finite() or abs(amount.adjusted()) > 15:
        raise ValueError("not an amount")
    if len(amount.as_tuple().digits) > _DIGITS_MAX:
        raise ValueError("more digits than an amount has")
    minor = amount.scaleb(digits)
    if minor != minor.to_integral_value():
        raise ValueError("not a whole number of minor units")
    if minor > MINOR_MAX:
        raise ValueError("more than anybody pays")
    return int(minor)
