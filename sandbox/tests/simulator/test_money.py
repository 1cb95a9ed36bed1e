"""Amounts stay exact from the caller's text to the webhook's."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.money import JSON, paise_of, shortest, two_decimals


@given(st.integers(min_value=0, max_value=10**15))
def test_paise_survive_both_ways_of_writing_them(paise: int) -> None:
    for text in (two_decimals(paise), shortest(paise)):
        assert paise_of(JSON.decode(text.encode())) == paise


@pytest.mark.parametrize(
    ("number", "paise"),
    [(170, 17000), (Decimal("170.0"), 17000), (Decimal("10.15"), 1015), (Decimal("1E+2"), 10000), (0, 0), (-5, -500)],
)
def test_numbers_of_two_decimals_are_paise(number: int | Decimal, paise: int) -> None:
    assert paise_of(number) == paise


@pytest.mark.parametrize(
    "value", ["170", True, None, [], Decimal("0.001"), Decimal("1E+400"), Decimal("0." + "1" * 40)]
)
def test_what_is_no_amount_is_none(value: object) -> None:
    assert paise_of(value) is None


@pytest.mark.parametrize(("paise", "short"), [(17000, "170"), (17050, "170.5"), (17005, "170.05"), (1, "0.01")])
def test_answers_write_an_amount_the_short_way(paise: int, short: str) -> None:
    assert shortest(paise) == short
