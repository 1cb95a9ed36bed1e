"""What a payment buys and how its price splits: packs, credits, GST, platform fee. Integers only."""

from collections.abc import Sequence

import msgspec

from common.money import Money, allocate_int, share
from payment.domain.errors import AmountInvalid

# 10 credits for a rupee: one credit is 10 paise.
CREDIT_MINOR = 10


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
    """net + cgst + sgst + igst = amount, always."""

    net: Money
    cgst: Money
    sgst: Money
    igst: Money


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
    """Credits that a free amount buys: 10 for a rupee, no bonus. Raises AmountInvalid when it does not divide."""
    if amount.minor % CREDIT_MINOR:
        raise AmountInvalid(amount=f"must be a multiple of {CREDIT_MINOR} paise, the price of one credit")
    return Credits(paid=amount.minor // CREDIT_MINOR)


def split_tax(price: Money, rule: TaxRule, place_of_supply: str) -> tuple[Money, Tax]:
    """The amount to charge and its parts, by largest remainder.

    In the seller's own state the tax is CGST and SGST in halves, elsewhere IGST. An odd paisa goes to CGST.
    """
    rate, local, currency = rule.rate_basis_points, place_of_supply == rule.seller_state, price.currency
    cgst = sgst = igst = 0
    if rule.inclusive:
        if local:
            net, cgst, sgst = allocate_int(price.minor, (20_000, rate, rate))
        else:
            net, igst = allocate_int(price.minor, (10_000, rate))
    else:
        net, tax = price.minor, share(price, rate).minor
        if local:
            cgst, sgst = allocate_int(tax, (1, 1))
        else:
            igst = tax
    parts = Tax(Money(net, currency), Money(cgst, currency), Money(sgst, currency), Money(igst, currency))
    return Money(net + cgst + sgst + igst, currency), parts


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
