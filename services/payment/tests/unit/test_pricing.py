"""Prices: packs, credits, tax and fees add up to the paisa, whatever the amount."""

import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import EXPONENTS, CurrencyUnknown, Money
from payment.domain.errors import AmountInvalid, SeriesExhausted
from payment.domain.gst_states import STATES, is_state
from payment.domain.invoices import PREFIX_PATTERN, document_number, financial_year, series
from payment.domain.pricing import FeeRule, TaxRule, credits_for, platform_fee, split_tax

amounts = st.integers(1, 50_000_000).map(Money)
rates = st.integers(0, 10_000)


def test_the_five_hundred_rupee_pack_splits_as_the_books_say() -> None:
    total, tax = split_tax(Money(50_000), TaxRule(1800, True, "29"), "29")
    assert total == Money(50_000)
    assert [tax.net.minor, tax.cgst.minor, tax.sgst.minor, tax.igst.minor] == [42_374, 3_813, 3_813, 0]


def test_another_state_pays_igst() -> None:
    _, tax = split_tax(Money(50_000), TaxRule(1800, True, "29"), "27")
    assert [tax.net.minor, tax.cgst.minor, tax.sgst.minor, tax.igst.minor] == [42_373, 0, 0, 7_627]


def test_an_exclusive_price_has_the_tax_on_top() -> None:
    total, tax = split_tax(Money(10_000), TaxRule(1800, False, "29"), "29")
    assert (total, tax.net, tax.cgst, tax.sgst) == (Money(11_800), Money(10_000), Money(900), Money(900))


@given(amounts, rates, st.booleans())
def test_the_parts_add_up_and_the_halves_are_equal(price: Money, rate: int, inclusive: bool) -> None:
    rule = TaxRule(rate, inclusive, "29")
    totals = set()
    for supply in ("29", "27"):
        total, tax = split_tax(price, rule, supply)
        totals.add(total)
        parts = [tax.net.minor, tax.cgst.minor, tax.sgst.minor, tax.igst.minor]
        assert sum(parts) == total.minor
        assert min(parts) >= 0
        assert tax.cgst == tax.sgst
        assert tax.igst.minor == 0 or tax.cgst.minor == 0
        # Rounded to the paisa, and an odd paisa of the tax beside it.
        exact = price.minor * 10_000 / (10_000 + rate) if inclusive else price.minor
        assert -0.5 <= tax.net.minor - exact <= 1.5
    # What is to be paid does not depend on where the customer is.
    assert len(totals) == 1
    if inclusive:
        assert totals == {price}


@pytest.mark.parametrize("inclusive", [True, False])
def test_the_odd_paisa_is_part_of_the_taxable_value(inclusive: bool) -> None:
    seen = set()
    for minor in range(1, 2_000):
        _, local = split_tax(Money(minor), TaxRule(1800, inclusive, "29"), "29")
        _, across = split_tax(Money(minor), TaxRule(1800, inclusive, "29"), "27")
        odd = across.igst.minor % 2
        assert (local.net.minor - across.net.minor, local.cgst.minor) == (odd, across.igst.minor // 2)
        seen.add(odd)
    assert seen == {0, 1}


def test_ten_credits_for_a_rupee() -> None:
    assert (credits_for(Money(10_000)).paid, credits_for(Money(10_000)).bonus) == (1_000, 0)
    with pytest.raises(AmountInvalid):
        credits_for(Money(10_005))


@pytest.mark.parametrize("currency", sorted(EXPONENTS.keys() - {"INR"}))
def test_credits_have_a_price_in_rupees_alone(currency: str) -> None:
    with pytest.raises(CurrencyUnknown) as refused:
        credits_for(Money(10_000, currency))
    assert list(refused.value.fields) == ["currency"]


RULES = (
    FeeRule(),
    FeeRule("mer_a", "", 300, 100, 5_000),
    FeeRule("", "CONSULTATION", 1_000),
    FeeRule("mer_a", "CONSULTATION", 0),
)


@pytest.mark.parametrize(
    ("merchant", "service", "amount", "fee"),
    [
        ("mer_x", "", 50_000, 2_500),
        ("mer_a", "", 50_000, 1_500),
        ("mer_a", "", 1_000, 100),
        ("mer_a", "", 50, 50),
        ("mer_a", "", 5_000_000, 5_000),
        ("mer_x", "CONSULTATION", 50_000, 5_000),
        ("mer_a", "CONSULTATION", 50_000, 0),
    ],
)
def test_the_most_specific_fee_rule_decides(merchant: str, service: str, amount: int, fee: int) -> None:
    assert platform_fee(Money(amount), merchant, service, RULES) == Money(fee)


def test_without_rules_the_fee_is_five_per_cent() -> None:
    assert platform_fee(Money(50_000), "mer_x", "", ()) == Money(2_500)


@pytest.mark.parametrize(
    ("at", "year"),
    [
        (datetime(2026, 3, 31, 18, 29, 59, tzinfo=UTC), "2526"),
        (datetime(2026, 3, 31, 18, 30, tzinfo=UTC), "2627"),
        (datetime(2026, 12, 31, tzinfo=UTC), "2627"),
        (datetime(2099, 5, 1, tzinfo=UTC), "9900"),
    ],
)
def test_the_financial_year_turns_at_midnight_in_india(at: datetime, year: str) -> None:
    assert financial_year(at) == year


def test_invoice_numbers_are_padded_and_grow() -> None:
    name = series("CD", datetime(2026, 4, 1, tzinfo=UTC))
    assert document_number(name, 1) == "CD2627/000001"
    assert document_number(name, 1_234_567) == "CD2627/1234567"


@given(st.from_regex(PREFIX_PATTERN, fullmatch=True).map(str.strip), st.integers(1, 10**12))
def test_no_number_is_longer_than_the_law_allows(prefix: str, number: int) -> None:
    """Rule 46(b), and the stricter rule of the invoice registration portal."""
    name = series(prefix, datetime(2026, 4, 1, tzinfo=UTC))
    try:
        text = document_number(name, number)
    except SeriesExhausted:
        assert number >= 10_000_000
        return
    assert re.fullmatch(r"[A-Z1-9][A-Z0-9/-]{0,15}", text)
    assert len(text) <= 16


@pytest.mark.parametrize(("prefix", "last"), [("A", 10**10 - 1), ("CD", 10**9 - 1), ("ABCD", 10**7 - 1)])
def test_a_series_ends_before_its_numbers_are_too_long(prefix: str, last: int) -> None:
    name = series(prefix, datetime(2026, 4, 1, tzinfo=UTC))
    assert len(document_number(name, last)) == 16
    with pytest.raises(SeriesExhausted):
        document_number(name, last + 1)


@pytest.mark.parametrize("code", ["00", "25", "28", "39", "50", "96", "98", "99", "", "2", "029", "KA", "٢٩"])
def test_what_is_no_state_today_is_none(code: str) -> None:
    assert not is_state(code, date(2026, 11, 27))


def test_states_were_divided_and_merged() -> None:
    assert len(STATES) == 39
    assert sum(is_state(code, date(2026, 11, 27)) for code in STATES) == 37
    assert is_state("97", date(2026, 11, 27))
    assert [is_state("25", day) for day in (date(2020, 1, 25), date(2020, 1, 26))] == [True, False]
    assert [is_state("28", day) for day in (date(2014, 6, 1), date(2014, 6, 2))] == [True, False]
    assert [is_state("38", day) for day in (date(2019, 10, 30), date(2019, 10, 31))] == [False, True]
