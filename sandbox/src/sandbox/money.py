"""Amounts: exact decimals at the edge, whole paise inside, never a float."""

from decimal import Decimal
from typing import Any

import msgspec

# Numbers with a fraction arrive as Decimal, so 170.10 is exactly 17010 paise.
JSON = msgspec.json.Decoder(float_hook=Decimal)

_DIGITS_MAX = 18  # beyond any amount of money, and well within what Decimal scales without rounding


def paise_of(number: Any) -> int | None:
    """The whole paise in a JSON number, or None if it is not a number of at most two decimals."""
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        return None
    exact = Decimal(number)
    if not exact.is_finite() or len(exact.as_tuple().digits) > _DIGITS_MAX or exact.adjusted() > _DIGITS_MAX:
        return None
    paise = exact.scaleb(2)
    return int(paise) if paise == paise.to_integral_value() else None


def two_decimals(paise: int) -> str:
    """170.00: how amounts stand in webhook bodies, which are signed as text."""
    rupees, rest = divmod(paise, 100)
    return f"{rupees}.{rest:02d}"


def shortest(paise: int) -> str:
    """170, 170.5 or 170.05: how amounts stand in API answers."""
    rupees, rest = divmod(paise, 100)
    if not rest:
        return str(rupees)
    return f"{rupees}.{rest // 10}" if rest % 10 == 0 else f"{rupees}.{rest:02d}"
