"""From a create request to a new payment: what it costs, what it buys, which gateway account takes the money."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import msgspec

from common import ids
from common.money import Money
from gateways import Customer
from payment.domain.errors import (
    AmountInvalid,
    CurrencyNotEnabled,
    OrderIdInvalid,
    PackOrAmountRequired,
    PlaceOfSupplyInvalid,
)
from payment.domain.gst_states import is_state
from payment.domain.invoices import IST
from payment.domain.metadata import Metadata
from payment.domain.payments import Origin, Payment, Transition, parse_payment_id
from payment.domain.pricing import Credits, FeeRule, Pack, TaxRule, credits_for, platform_fee, split_tax
from payment.domain.routing import RouteDecision, RouteRequest
from payment.domain.states import FraudReview, Review, Status

ORDER_ID = re.compile(r"[A-Za-z0-9_-]{3,45}")


class PaymentLimits(msgspec.Struct, frozen=True):
    """What the settings allow and ask of a new payment."""

    currencies: frozenset[str]
    amount_min_minor: int
    amount_max_minor: int
    order_life_seconds: int
    first_check_seconds: int
    tax: TaxRule


class AccountChoice(msgspec.Struct, frozen=True):
    """The gateway account in which a payment's order is made, and why there."""

    gateway: str
    gateway_account_id: str
    # Empty where there was one account only.
    routing: tuple[RouteDecision, ...] = ()


# The account of a new payment. Raises NoGatewayAccount, or RequestInvalid when all need a phone number.
ChooseAccount: TypeAlias = Callable[[RouteRequest], AccountChoice]


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded request to pay; its amount and ids are not checked yet."""

    merchant_id: str
    user_id: str
    pack_id: str = ""
    amount_minor: int | None = None
    currency: str = "INR"
    order_id: str = ""
    # The merchant's order that is paid; its amount is the payment's.
    parent_order_id: UUID | None = None
    customer: Customer
    # The customer's address is the account's own.
    is_account_email: bool = False
    # A member buys credits; a merchant that asks by API key takes money for what it sells itself.
    buys_credits: bool = True
    # Why the gateway cannot be given the customer's number, which is sealed; "" when it can.
    phone_problem: str = ""
    origin: Origin
    place_of_supply: str = ""
    description: str = ""
    metadata: Metadata = {}
    provider_id: str = ""
    service_type: str = ""
    method_hint: str = ""
    return_url: str = ""
    idempotency_key: str = ""


def price(purchase: Purchase, pack: Pack | None, limits: PaymentLimits) -> tuple[Money, Credits]:
    """Price and credits of a purchase. Raises an InvalidArgument that names the field."""
    if (purchase.amount_minor is None) == (not purchase.pack_id):
        raise PackOrAmountRequired("send packId or amount")
    if purchase.currency not in limits.currencies:
        raise CurrencyNotEnabled(currency="is not enabled")
    if pack is not None:
        if pack.price.currency != purchase.currency:
            raise CurrencyNotEnabled(currency=f"the pack is sold in {pack.price.currency}")
        return pack.price, pack.credits
    minor = purchase.amount_minor or 0
    if not limits.amount_min_minor <= minor <= limits.amount_max_minor:
        raise AmountInvalid(amount=f"must be from {limits.amount_min_minor} to {limits.amount_max_minor} paise")
    amount = Money(minor, purchase.currency)
    return amount, credits_for(amount) if purchase.buys_credits else Credits(0, 0)


def new_payment(
    purchase: Purchase,
    pack: Pack | None,
    limits: PaymentLimits,
    fees: Sequence[FeeRule],
    choose_account: ChooseAccount,
    *,
    payment_id: UUID,
    now: datetime,
) -> Payment:
    """The payment, CREATED, under the caller's order id or one made from its own id."""
    if purchase.order_id and not ORDER_ID.fullmatch(purchase.order_id):
        raise OrderIdInvalid(orderId="must be 3 to 45 characters of A-Z a-z 0-9 _ -")
    if parse_payment_id(purchase.order_id) is not None:
        raise OrderIdInvalid(orderId="must not read like the id of a payment")
    list_price, credits = price(purchase, pack, limits)
    place_of_supply = purchase.place_of_supply or limits.tax.seller_state
    if not is_state(place_of_supply, now.astimezone(IST).date()):
        raise PlaceOfSupplyInvalid(placeOfSupply="is not the code of a state or union territory that is in use")
    # An order says what is to be paid, tax included.
    rule = msgspec.structs.replace(limits.tax, inclusive=True) if purchase.parent_order_id else limits.tax
    amount, tax = split_tax(list_price, rule, place_of_supply)
    account = choose_account(
        RouteRequest(
            payment_id=payment_id,
            merchant_id=purchase.merchant_id,
            amount=amount,
            method=purchase.method_hint,
            phone_problem=purchase.phone_problem,
        )
    )
    return Payment(
        id=payment_id,
        merchant_id=purchase.merchant_id,
        user_id=purchase.user_id,
        order_id=purchase.order_id or ids.encode("ord", payment_id),
        gateway=account.gateway,
        gateway_account_id=account.gateway_account_id,
        parent_order_id=purchase.parent_order_id,
        routing=account.routing,
        amount=amount,
        tax=tax,
        platform_fee=platform_fee(amount, purchase.merchant_id, purchase.service_type, fees),
        credits=credits,
        pack_id=pack.id if pack else "",
        pack_version=pack.version if pack else 0,
        owner_id=purchase.user_id,
        place_of_supply=place_of_supply,
        customer=purchase.customer,
        is_account_email=purchase.is_account_email,
        description=purchase.description,
        metadata=purchase.metadata,
        provider_id=purchase.provider_id,
        service_type=purchase.service_type,
        method_hint=purchase.method_hint,
        return_url=purchase.return_url,
        idempotency_key=purchase.idempotency_key,
        origin=purchase.origin,
        next_check_at=now + timedelta(seconds=limits.first_check_seconds),
        created_at=now,
        expires_at=now + timedelta(seconds=limits.order_life_seconds),
        updated_at=now,
    )


def next_payment(
    payment: Payment,
    limits: PaymentLimits,
    *,
    payment_id: UUID,
    order_id: UUID,
    origin: Origin,
    key: str,
    fingerprint: bytes,
    now: datetime,
) -> Payment:
    """The payment after *payment*, which ended unpaid: for the same price, of the merchant's order *order_id*."""
    return msgspec.structs.replace(
        payment,
        id=payment_id,
        order_id=ids.encode("ord", payment_id),
        parent_order_id=order_id,
        status=Status.CREATED,
        seq=1,
        idempotency_key=key,
        request_fingerprint=fingerprint,
        origin=origin,
        fraud_score=None,
        fraud_review=FraudReview.NONE,
        review=Review.NONE,
        review_reason="",
        gateway_order_id="",
        gateway_payment_id="",
        session_id="",
        method="",
        payment_group="",
        failure_reason="",
        cancel_requested=False,
        webhook_verified=False,
        checks=0,
        next_check_at=now + timedelta(seconds=limits.first_check_seconds),
        created_at=now,
        expires_at=now + timedelta(seconds=limits.order_life_seconds),
        paid_at=None,
        updated_at=now,
    )


def initial_transition(payment: Payment) -> Transition:
    """The first row of a payment's history: its creation."""
    return Transition(payment.id, 1, None, Status.CREATED, "requested", payment.origin.actor_id, payment.created_at)
