"""Cashfree's amounts: rupees as decimals, ours whole minor units. Pure."""

from decimal import Decimal

from common.money import EXPONENTS, Money


def parse_rupees(amount: Decimal, currency: str) -> Money:
    """The amount in minor units. Raises ValueError when it is not a whole number of them, or not a number at all."""
    digits = EXPONENTS.get(currency)
    if digits is None or not amount.is_finite() or abs(amount.adjusted()) > 15:
        raise ValueError("not an amount")
    minor = amount.scaleb(digits)
    if minor != minor.to_integral_value():
        raise ValueError("not a whole number of minor units")
    return Money(int(minor), currency)
