"""Orders as merchants make them: an amount that is to be paid once, by one payment or by the next after a failed one.

What a gateway calls an order is made for each payment (`domain/orders.py`). A payment that names no order is the only
one of an order that nobody made: a view of the payment, under the id that its gateway knows it by (bindings §4).
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from common import ids
from common.errors import Conflict, FailedPrecondition, InvalidArgument, NotFound
from common.ids import IdInvalid
from common.money import Money
from payment.domain.metadata import Metadata
from payment.domain.payments import Payment
from payment.domain.states import PAID, UNRESOLVED, Status

# Not `ord`: that one is what a payment's gateway order is called, when the caller has no name for it.
PREFIX: Final = "order"


class OrderNotFound(NotFound):
    fix = "Check the order id, and that the order is yours."


class OrderAlreadyPaid(Conflict):
    """The order has its one payment."""

    fix = "Read the order: it names the payment that paid it."


class OrderPaymentOpen(Conflict):
    """A payment of the order is not ended yet, and a second one might be paid as well."""

    fix = "Continue with the payment that is named, or cancel it and try again."


class OrderAmountDiffers(InvalidArgument):
    fix = "Leave the amount out, or send the order's."


class PaymentNotRetryable(FailedPrecondition):
    """Only a payment that ended unpaid is tried again."""

    fix = "Read the payment: while it is open it can still be paid, and a paid one needs no other."


class OrderStatus(StrEnum):
    # No payment was started.
    CREATED = "CREATED"
    ATTEMPTED = "ATTEMPTED"
    # One payment paid it; refunds of that payment do not change it.
    PAID = "PAID"


class MerchantOrder(msgspec.Struct, frozen=True, kw_only=True):
    """*payment_id* is the payment that paid it: there is one, or none."""

    id: UUID
    merchant_id: str
    # Who made it; "" when the merchant's own server did.
    user_id: str
    amount: Money
    # The merchant's own number for it, not unique.
    receipt: str = ""
    notes: Metadata = {}
    status: OrderStatus = OrderStatus.CREATED
    payment_id: UUID | None = None
    created_at: datetime
    updated_at: datetime

    def __post_init__(self) -> None:
        if (self.status is OrderStatus.PAID) != (self.payment_id is not None):
            raise ValueError("a paid order names its payment, another none")


class OrderFilter(msgspec.Struct, frozen=True):
    """A page of a merchant's orders; of one user's with *user_id*."""

    merchant_id: str
    limit: int
    user_id: str | None = None
    status: OrderStatus | None = None
    receipt: str = ""
    before: UUID | None = None


def parse_order_id(text: str) -> UUID | None:
    """The id of an order that somebody made; None when *text* is none."""
    try:
        return ids.decode(PREFIX, text)
    except IdInvalid:
        return None


def begin_payment(order: MerchantOrder, payment: Payment, others: Collection[Payment], now: datetime) -> MerchantOrder:
    """The order whose next payment is *payment*; the caller holds its lock. *others* are its payments so far.

    Raises OrderAmountDiffers, OrderAlreadyPaid, OrderPaymentOpen with the payment that is open.
    """
    if payment.amount != order.amount:
        raise OrderAmountDiffers(amount=f"the order is over {order.amount}")
    if order.status is OrderStatus.PAID or any(each.status in PAID for each in others):
        raise OrderAlreadyPaid(orderId="is paid")
    for each in others:
        if each.status in UNRESOLVED:
            raise OrderPaymentOpen("a payment of this order is not ended yet", paymentId=ids.encode("pay", each.id))
    return msgspec.structs.replace(order, status=OrderStatus.ATTEMPTED, updated_at=now)


def implicit_order(payment: Payment) -> MerchantOrder:
    """The order of a payment that names none."""
    paid = payment.status in PAID
    attempted = OrderStatus.CREATED if payment.status is Status.CREATED else OrderStatus.ATTEMPTED
    return MerchantOrder(
        id=payment.id,
        merchant_id=payment.merchant_id,
        user_id=payment.user_id,
        amount=payment.amount,
        notes=payment.metadata,
        status=OrderStatus.PAID if paid else attempted,
        payment_id=payment.id if paid else None,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
    )
