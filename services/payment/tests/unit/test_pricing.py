"""Prices: packs, credits, tax and fees add up to the paisa, whatever the amount."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import Money
from payment.domain.errors import AmountInvalid
from payment.domain.invoices import financial_year, number_text, series
from payment.domain.pricing import FeeRule, TaxRule, credits_for, platform_fee, split_tax

amounts = st.integers(1, 50_000_000).map(Money)
rates = st.integers(0, 10_000)


def test_the_five_hundred_rupee_pack_splits_as_the_books_say() -> None:
    total, tax = split_tax(Money(50_000), TaxRule(1800, True, "29"), "29")
    assert total == Money(50_000)
    assert [tax.net.minor, tax.cgst.minor, tax.sgst.minor, tax.igst.minor] == [42_373, 3_814, 3_813, 0]


def test_another_state_pays_igst() -> None:
    _, tax = split_tax(Money(50_000), TaxRule(1800, True, "29"), "27")
    assert [tax.net.minor, tax.cgst.minor, tax.sgst.minor, tax.igst.minor] == [42_373, 0, 0, 7_627]


def test_an_exclusive_price_has_the_tax_on_top() -> None:
    total, tax = split_tax(Money(10_000), TaxRule(1800, False, "29"), "29")
    assert (total, tax.net, tax.cgst, tax.sgst) == (Money(11_800), Money(10_000), Money(900), Money(900))


@given(amounts, rates, st.booleans(), st.sampled_from(["29", "27"]))
def test_the_parts_always_add_up(price: Money, rate: int, inclusive: bool, supply: str) -> None:
    total, tax = split_tax(price, TaxRule(rate, inclusive, "29"), supply)
    parts = [tax.net.minor, tax.cgst.minor, tax.sgst.minor, tax.igst.minor]
    assert sum(parts) == total.minor
    assert min(parts) >= 0
    assert tax.cgst.minor - tax.sgst.minor in (0, 1)
    assert total == price if inclusive else tax.net == price
    # Never a paisa away from the exact share.
    exact = price.minor * 10_000 / (10_000 + rate) if inclusive else price.minor
    assert abs(tax.net.minor - exact) < 1


def test_ten_credits_for_a_rupee() -> None:
    assert (credits_for(Money(10_000)).paid, credits_for(Money(10_000)).bonus) == (1_000, 0)
    with pytest.raises(AmountInvalid):
        credits_for(Money(10_005))


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
        (datetime(2026, 3, 31, 18, 29, 59, tzinfo=UTC), "2025-26"),
        (datetime(2026, 3, 31, 18, 30, tzinfo=UTC), "2026-27"),
        (datetime(2026, 12, 31, tzinfo=UTC), "2026-27"),
        (datetime(2099, 5, 1, tzinfo=UTC), "2099-00"),
    ],
)
def test_the_financial_year_turns_at_midnight_in_india(at: datetime, year: str) -> None:
    assert financial_year(at) == year


def test_invoice_numbers_are_padded_and_grow() -> None:
    name = series("CD", datetime(2026, 4, 1, tzinfo=UTC))
    assert number_text(name, 1) == "CD/2026-27/000001"
    assert number_text(name, 1_234_567) == "CD/2026-27/1234567"
