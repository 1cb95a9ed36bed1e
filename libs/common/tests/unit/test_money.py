from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import money
from common.money import EXPONENTS, MINOR_MAX, AmountMalformed, CurrencyMismatch, Money

minors = st.integers(-MINOR_MAX, MINOR_MAX)
currencies = st.sampled_from(sorted(EXPONENTS))
weights = st.lists(st.integers(0, 10**9), min_size=1, max_size=50).filter(any)


@given(minors, currencies)
def test_what_is_formatted_is_read_again(minor: int, currency: str):
    amount = Money(minor, currency)
    assert money.parse(money.format(amount), currency) == amount


@given(minors, currencies)
def test_formatting_is_exact(minor: int, currency: str):
    assert Decimal(money.format(Money(minor, currency))) == Decimal(minor).scaleb(-EXPONENTS[currency])


@pytest.mark.parametrize(
    ("text", "minor"), [("500.00", 50_000), ("500", 50_000), ("500.5", 50_050), ("0", 0), ("0.01", 1), ("-1.10", -110)]
)
def test_plain_decimals_are_read(text: str, minor: int):
    assert money.parse(text) == Money(minor)


@pytest.mark.parametrize(
    "text",
    ["1e2", "1E2", "NaN", "nan", "Infinity", "-inf", "٣", "1٣", "१२", "1.005", "1.000", "-0", "-0.00", " 1", "1 ",
     "1\n", "1_0", "", "-", ".", ".5", "5.", "+1", "--1", "01", "00", "1,000", "1.0.0",
     "0x10", "₹5", "9" * 17, "9" * 5000],
)  # fmt: skip
def test_anything_else_is_refused(text: str):
    with pytest.raises(AmountMalformed):
        money.parse(text)


@given(st.text())
def test_reading_never_fails_otherwise(text: str):
    try:
        assert Decimal(money.format(money.parse(text))) == Decimal(text)
    except (AmountMalformed, money.AmountOutOfRange):
        pass


def test_decimals_are_the_currencys():
    assert money.parse("1200", "JPY") == Money(1200, "JPY")
    assert money.format(Money(1234, "KWD")) == "1.234"
    with pytest.raises(AmountMalformed):
        money.parse("1.0", "JPY")
    with pytest.raises(money.CurrencyUnknown):
        money.parse("1", "inr")


def test_an_amount_beyond_53_bits_is_refused():
    with pytest.raises(money.AmountOutOfRange):
        money.parse("9" * 16)
    with pytest.raises(money.AmountOutOfRange):
        Money(MINOR_MAX) + Money(1)


@pytest.mark.parametrize("minor", [1.0, True, "1", None, Decimal(1)])
def test_minor_units_are_integers(minor: object):
    with pytest.raises(TypeError):
        Money(minor)  # type: ignore[arg-type]


def test_currencies_do_not_mix():
    rupee, dollar = Money(1, "INR"), Money(1, "USD")
    for mixed in (lambda: rupee + dollar, lambda: rupee - dollar, lambda: rupee < dollar, lambda: rupee >= dollar):
        with pytest.raises(CurrencyMismatch):
            mixed()
    assert rupee != dollar
    with pytest.raises(TypeError):
        rupee + 1  # type: ignore[operator]
    with pytest.raises(TypeError):
        rupee * 0.5  # type: ignore[operator]


@given(minors, minors)
def test_money_is_ordered_and_added_as_its_minor_units(one: int, other: int):
    assert (Money(one) < Money(other), Money(one) <= Money(other)) == (one < other, one <= other)
    if abs(one + other) <= MINOR_MAX:
        assert Money(one) + Money(other) == money.total([Money(one), Money(other)]) == Money(one + other)


@given(minors, weights)
def test_parts_add_up_and_are_fair(minor: int, parts: list[int]):
    shares = money.allocate(Money(minor), parts)
    assert money.total(shares) == Money(minor)
    for share, weight in zip(shares, parts, strict=True):
        # Within one unit of the exact part, and nothing for no weight.
        assert abs(share.minor * sum(parts) - minor * weight) < sum(parts)
        assert weight or not share
    assert [-share for share in shares] == money.allocate(Money(-minor), parts)


def test_the_gst_of_a_pack_is_split_by_largest_remainder():
    # 500.00 with 18 % inside: net, CGST, SGST
    assert money.allocate_int(50_000, [100, 9, 9]) == [42_373, 3_814, 3_813]


@pytest.mark.parametrize("parts", [[], [0], [0, 0], [1, -1], [2, -1]])
def test_weights_must_make_sense(parts: list[int]):
    with pytest.raises(ValueError):
        money.allocate_int(10, parts)


@given(minors, st.integers(0, 10_000))
def test_a_share_is_rounded_half_away_from_zero(minor: int, basis_points: int):
    exact = (Decimal(minor) * basis_points / 10_000).quantize(Decimal(1), rounding="ROUND_HALF_UP")
    assert money.share(Money(minor), basis_points).minor == int(exact)
