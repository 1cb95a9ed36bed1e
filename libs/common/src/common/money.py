"""Money: an integer of minor units and its currency, in one value. There are no floats anywhere near it.

Splits are by largest remainder, so that the parts always add up to the whole.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from common.errors import InvalidArgument

# What a JSON number carries exactly in every language; 90 trillion rupees.
MINOR_MAX = 2**53

# ISO 4217: how many decimal digits the minor unit has. What is not listed is not a currency we know.
_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF"
    " CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF"
    " IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN"
    " MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS"
    " SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS: dict[str, int] = {code: digits for digits, codes in _DIGITS.items() for code in codes.split()}

_DECIMAL = re.compile(r"(-?)(0|[1-9][0-9]{0,15})(?:\.([0-9]{1,4}))?")


class CurrencyUnknown(InvalidArgument):
    fix = "Use an ISO 4217 code in capitals, such as INR."


class CurrencyMismatch(InvalidArgument):
    fix = "Use one currency; amounts of different currencies are never added or compared."


class AmountOutOfRange(InvalidArgument):
    fix = "Use an amount whose minor units fit in 53 bits."


class AmountMalformed(InvalidArgument):
    fix = "Write the amount as plain decimal digits, with no more decimals than the currency has, such as 500.00."


class Money(Struct, frozen=True):
    """*minor* units (paise for INR) of *currency*. Ordered, added and subtracted within one currency only."""

    minor: int
    currency: str = "INR"

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError(f"minor units are an int, not {type(self.minor).__name__}")
        if not -MINOR_MAX <= self.minor <= MINOR_MAX:
            raise AmountOutOfRange("the amount is too large")
        if self.currency not in EXPONENTS:
            raise CurrencyUnknown("the currency is not known")

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._minor_of(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._minor_of(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __mul__(self, count: int) -> "Money":
        if type(count) is not int:
            raise TypeError("money is multiplied by a whole number only; see share and proportion")
        return Money(self.minor * count, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._minor_of(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._minor_of(other)

    def __gt__(self, other: "Money") -> bool:
        return self.minor > self._minor_of(other)

    def __ge__(self, other: "Money") -> bool:
        return self.minor >= self._minor_of(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __str__(self) -> str:
        return f"{format(self)} {self.currency}"

    def _minor_of(self, other: "Money") -> int:
        if not isinstance(other, Money):
            raise TypeError(f"money goes with money, not with {type(other).__name__}")
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not go together")
        return other.minor


def total(amounts: Iterable[Money], currency: str = "INR") -> Money:
    """The sum; zero of *currency* when there is nothing to add."""
    result = Money(0, currency)
    for amount in amounts:
        result += amount
    return result


def parse(text: str, currency: str = "INR") -> Money:
    """The amount that *text* writes in plain ASCII decimal digits, exactly.

    Raises AmountMalformed for anything else: exponents, NaN, signs but one leading minus, "-0", leading zeros, spaces,
    separators, other scripts' digits, more decimals than the currency has.
    """
    digits = EXPONENTS.get(currency)
    if digits is None:
        raise CurrencyUnknown("the currency is not known")
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise AmountMalformed("not a plain decimal amount")
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(fraction) > digits:
        raise AmountMalformed(f"{currency} has {digits} decimals")
    minor = int(whole) * 10**digits + int(fraction.ljust(digits, "0") or "0")
    if sign and not minor:
        raise AmountMalformed("zero has no sign")
    return Money(-minor if sign else minor, currency)


def format(money: Money) -> str:
    """The amount as decimal digits with all decimals of its currency: "500.00", "-0.05", "1200" for JPY."""
    digits = EXPONENTS[money.currency]
    sign = "-" if money.minor < 0 else ""
    whole, fraction = divmod(abs(money.minor), 10**digits)
    return f"{sign}{whole}.{fraction:0{digits}d}" if digits else f"{sign}{whole}"


def allocate_int(total: int, weights: Sequence[int]) -> list[int]:
    """*total* split in proportion to *weights* by largest remainder; ties go to the earlier one. Adds up exactly.

    A negative total is split like its opposite. Raises ValueError when a weight is negative or all are zero.
    """
    weight_sum = sum(weights)
    if weight_sum <= 0 or min(weights) < 0:
        raise ValueError("weights are zero or more, and not all zero")
    shares, remainders = [], []
    for weight in weights:
        share, remainder = divmod(abs(total) * weight, weight_sum)
        shares.append(share)
        remainders.append(remainder)
    missing = abs(total) - sum(shares)
    for index in sorted(range(len(shares)), key=lambda index: -remainders[index])[:missing]:
        shares[index] += 1
    return shares if total >= 0 else [-share for share in shares]


def allocate(money: Money, weights: Sequence[int]) -> list[Money]:
    """*money* split in proportion to *weights*; see allocate_int."""
    return [Money(minor, money.currency) for minor in allocate_int(money.minor, weights)]


def proportion(money: Money, numerator: int, denominator: int) -> Money:
    """*money* × numerator ÷ denominator, rounded half away from zero to whole minor units."""
    if denominator <= 0 or numerator < 0:
        raise ValueError("a proportion is zero or more, of a positive whole")
    minor = (2 * abs(money.minor) * numerator + denominator) // (2 * denominator)
    return Money(minor if money.minor >= 0 else -minor, money.currency)


def share(money: Money, basis_points: int) -> Money:
    """*basis_points* hundredths of a per cent of *money*, rounded half away from zero: 500 is 5 %."""
    return proportion(money, basis_points, 10_000)
