"""From a request to a payment, and from the gateway's answer about its order to PENDING or FAILED."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from common import ids
from common.money import Money
from gateways import Customer, OrderRefused, OrderSnapshot
from payment.domain.deciding import ACTOR, Created, Decision
from payment.domain.errors import AmountNotAllowed, CurrencyNotEnabled, FieldInvalid, PackOrAmountNeeded
from payment.domain.payment import Origin, Payment, Transition, move
from payment.domain.pricing import Credits, FeeRule, Pack, TaxRule, credits_for, platform_fee, split_tax
from payment.domain.states import Review, Status

ORDER_ID = re.compile(r"[A-Za-z0-9_-]{3,45}")


class Terms(msgspec.Struct, frozen=True):
    """What the settings allow and ask for."""

    gateway: str
    currencies: frozenset[str]
    amount_min_minor: int
    amount_max_minor: int
    order_life_seconds: int
    first_check_seconds: int
    tax: TaxRule


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """A request to pay, as a door decoded it; amounts and ids are not checked yet."""

    merchant_id: str
    user_id: str
    pack_id: str = ""
    amount_minor: int | None = None
    currency: str = "INR"
    order_id: str = ""
    customer: Customer
    origin: Origin
    place_of_supply: str = ""
    description: str = ""
    metadata: dict[str, str | int | bool] = {}
    provider_id: str = ""
    service_type: str = ""
    method_hint: str = ""
    return_url: str = ""
    idempotency_key: str = ""


def price(purchase: Purchase, pack: Pack | None, terms: Terms) -> tuple[Money, Credits]:
    """Price and credits of a purchase. Raises an InvalidArgument that names the field."""
    if (purchase.amount_minor is None) == (not purchase.pack_id):
        raise PackOrAmountNeeded("send packId or amount")
    if purchase.currency not in terms.currencies:
        raise CurrencyNotEnabled(currency="is not enabled")
    if pack is not None:
        bought, gains = pack.price, pack.credits
        if bought.currency != purchase.currency:
            raise CurrencyNotEnabled(currency=f"the pack is sold in {bought.currency}")
        return bought, gains
    minor = purchase.amount_minor or 0
    if not terms.amount_min_minor <= minor <= terms.amount_max_minor:
        raise AmountNotAllowed(amount=f"must be from {terms.amount_min_minor} to {terms.amount_max_minor} paise")
    bought = Money(minor, purchase.currency)
    return bought, credits_for(bought)


def place(
    purchase: Purchase, pack: Pack | None, terms: Terms, fees: Sequence[FeeRule], payment_id: UUID, now: datetime
) -> Payment:
    """The new payment, CREATED, under our own order id unless the caller brought one."""
    if purchase.order_id and not ORDER_ID.fullmatch(purchase.order_id):
        raise FieldInvalid(orderId="must be 3 to 45 characters of A-Z a-z 0-9 _ -")
    bought, gains = price(purchase, pack, terms)
    supply = purchase.place_of_supply or terms.tax.seller_state
    amount, tax = split_tax(bought, terms.tax, supply)
    return Payment(
        id=payment_id,
        merchant_id=purchase.merchant_id,
        user_id=purchase.user_id,
        order_id=purchase.order_id or ids.encode("ord", payment_id),
        gateway=terms.gateway,
        amount=amount,
        tax=tax,
        platform_fee=platform_fee(amount, purchase.merchant_id, purchase.service_type, fees),
        credits=gains,
        pack_id=pack.id if pack else "",
        pack_version=pack.version if pack else 0,
        owner_id=purchase.user_id,
        place_of_supply=supply,
        customer=purchase.customer,
        description=purchase.description,
        metadata=purchase.metadata,
        provider_id=purchase.provider_id,
        service_type=purchase.service_type,
        method_hint=purchase.method_hint,
        return_url=purchase.return_url,
        idempotency_key=purchase.idempotency_key,
        origin=purchase.origin,
        next_check_at=now + timedelta(seconds=terms.first_check_seconds),
        created_at=now,
        expires_at=now + timedelta(seconds=terms.order_life_seconds),
        updated_at=now,
    )


def first_line(payment: Payment) -> Transition:
    """The history begins with the creation itself."""
    return Transition(payment.id, 1, None, Status.CREATED, "requested", payment.origin.actor_id, payment.created_at)


def order_answered(payment: Payment, answer: OrderSnapshot | OrderRefused, now: datetime) -> Decision:
    """What the gateway's answer to create order means. A webhook that came first has moved the payment already."""
    decision = Decision(payment)
    if isinstance(answer, OrderRefused):
        if payment.status is Status.CREATED:
            decision.payment = msgspec.structs.replace(payment, failure_reason="gateway_refused", next_check_at=None)
            decision.moved(Status.FAILED, "gateway_refused", now)
        return decision
    known = msgspec.structs.replace(
        payment,
        session_id=answer.session_id or payment.session_id,
        gateway_order_id=answer.gateway_order_id,
        updated_at=now,
    )
    decision.payment = known
    if known.status is Status.CREATED:
        decision.payment, line = move(known, Status.PENDING, reason="order_created", actor=ACTOR, now=now)
        decision.transitions.append(line)
        decision.announcements.append(Created(decision.payment, now))
    return decision


def flagged(payment: Payment, review: Review, reason: str, score: int | None, now: datetime) -> Payment:
    """Note what fraud says. A decision of a person stands against later flags; holding the grant is not done yet."""
    if review is Review.FLAGGED and payment.review is not Review.NONE:
        return payment
    return msgspec.structs.replace(
        payment,
        review=review,
        review_reason=reason[:200],
        fraud_score=payment.fraud_score if score is None else score,
        updated_at=now,
    )


def next_check(payment: Payment, now: datetime, first_seconds: int, longest_seconds: int) -> datetime:
    """When to ask the gateway again: twice as long each time, but soon after the order expires.

    The sweep is the guarantee, not the way: an order that nobody pays costs a handful of reads.
    """
    wait = min(first_seconds << min(payment.checks, 20), longest_seconds)
    at = now + timedelta(seconds=wait)
    closing = payment.expires_at + timedelta(seconds=5)
    return closing if now < closing < at else at
