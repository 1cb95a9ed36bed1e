"""What a payment buys and how its price splits: packs, credits, GST, platform fee. Integers only."""

from collections.abc import Mapping, Sequence

import msgspec

from common.money import CurrencyUnknown, Money, proportion, share
from payment.domain.errors import AmountInvalid

# What one credit costs in minor units: 10 paise, so that a rupee buys ten. Another currency needs a row of its own.
CREDIT_MINOR: Mapping[str, int] = {"INR": 10}


class Credits(msgspec.Struct, frozen=True, gc=False):
    """Whole credits; bonus credits are a lot of their own."""

    paid: int = 0
    bonus: int = 0


class Pack(msgspec.Struct, frozen=True):
    """Credits at a price, as of one version."""

    id: str
    version: int
    price: Money
    credits: Credits


class Tax(msgspec.Struct, frozen=True, gc=False):
    """net + cgst + sgst + igst = amount, always. cgst = sgst; until November 2026 cgst could be a paisa more."""

    net: Money
    cgst: Money
    sgst: Money
    igst: Money


def no_tax(currency: str) -> Tax:
    zero = Money(0, currency)
    return Tax(zero, zero, zero, zero)


class TaxRule(msgspec.Struct, frozen=True, gc=False):
    """GST rate in basis points (1800 is 18 %), whether prices contain it, and the seller's state code."""

    rate_basis_points: int
    inclusive: bool
    seller_state: str


class FeeRule(msgspec.Struct, frozen=True, gc=False):
    """Platform fee of a merchant and service type ("" matches any): a share, with bounds in minor units."""

    merchant_id: str = ""
    service_type: str = ""
    basis_points: int = 500
    minimum_minor: int = 0
    maximum_minor: int | None = None


def credits_for(amount: Money) -> Credits:
    """Credits that a free amount buys, without bonus.

    Raises CurrencyUnknown when credits have no price in its currency, AmountInvalid when it is no whole credits.
    """
    credit_minor = CREDIT_MINOR.get(amount.currency)
    if credit_minor is None:
        raise CurrencyUnknown("credits have no price in this currency", currency="buys no credits; choose a pack")
    if amount.minor % credit_minor:
        raise AmountInvalid(amount=f"must be a multiple of {credit_minor} minor units, the price of one credit")
    return Credits(paid=amount.minor // credit_minor)


def split_tax(price: Money, rule: TaxRule, place_of_supply: str) -> tuple[Money, Tax]:
    """The amount to charge and its parts: the same amount wherever the customer is.

    Across states the tax is IGST. In the seller's own state it is CGST and SGST, which are equal to the paisa: the odd
    paisa of a tax that does not halve goes to the taxable value.
    """
    rate, currency = rule.rate_basis_points, price.currency
    if rule.inclusive:
        total = price
        tax = price - proportion(price, 10_000, 10_000 + rate)
    else:
        tax = share(price, rate)
        total = price + tax
    zero = Money(0, currency)
    if place_of_supply != rule.seller_state:
        return total, Tax(total - tax, zero, zero, tax)
    half = Money(tax.minor // 2, currency)
    return total, Tax(total - half - half, half, half, zero)


def platform_fee(amount: Money, merchant_id: str, service_type: str, rules: Sequence[FeeRule]) -> Money:
    """The fee by the most specific rule that matches; never more than the amount."""
    rule = max(
        (r for r in rules if r.merchant_id in ("", merchant_id) and r.service_type in ("", service_type)),
        key=lambda r: (bool(r.merchant_id), bool(r.service_type)),
        default=FeeRule(),
    )
    fee = max(share(amount, rule.basis_points).minor, rule.minimum_minor)
    if rule.maximum_minor is not None:
        fee = min(fee, rule.maximum_minor)
    return Money(min(fee, amount.minor), amount.currency)
