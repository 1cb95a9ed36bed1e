"""Receipts: money that the gateway took and that is no success (yet). It is owed until it is applied or refunded."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5

import msgspec

from common.errors import Conflict, FailedPrecondition
from common.money import Money
from gateways import PaymentAttempt
from payment.domain.refund_errors import ReceiptRefundPending

# The one currency of the ledger's accounts for money.
BOOKS_CURRENCY: Final = "INR"


class ReceiptReason(StrEnum):
    """Why the money is not a success."""

    # A second capture of a payment that is paid.
    DUPLICATE = "DUPLICATE"
    # The order or the capture is over another amount or currency than the payment.
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    # It came after the payment had been closed, and the policy leaves that to a person.
    LATE_SUCCESS = "LATE_SUCCESS"
    # The payment is flagged, and the policy holds its grant.
    FLAGGED = "FLAGGED"


class ReceiptTooSmall(FailedPrecondition):
    """What the gateway took does not cover the payment's price."""

    fix = "Refund the receipt; the customer pays anew."


class ReceiptClosed(Conflict):
    """All of the receipt is applied or refunded."""

    fix = "Read the review: nothing of this receipt is left to decide about."


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Unique by the gateway's own payment id. What is neither *applied* nor *refunded* is owed to the customer."""

    id: UUID
    payment_id: UUID
    merchant_id: str
    gateway: str
    gateway_payment_id: str
    reason: ReceiptReason
    # What the gateway took.
    amount: Money
    applied_minor: int = 0
    refunded_minor: int = 0
    gateway_refund_id: str = ""
    # The refund of ours that gives it back or has; None when it was recorded by hand.
    refund_id: UUID | None = None
    # When the policy gives it back; None where a person decides.
    refund_due_at: datetime | None = None
    method: str = ""
    group: str = ""
    bank_reference: str = ""
    received_at: datetime

    def __post_init__(self) -> None:
        if not (self.amount.minor > 0 and self.applied_minor >= 0 and self.refunded_minor >= 0):
            raise ValueError("a receipt is over something, and nothing of it is negative")
        if self.open_minor < 0:
            raise ValueError("more than was received is applied and refunded")
        if bool(self.refunded_minor) != bool(self.gateway_refund_id):
            raise ValueError("what was refunded names the gateway's refund")

    @property
    def open_minor(self) -> int:
        return self.amount.minor - self.applied_minor - self.refunded_minor

    @property
    def is_open(self) -> bool:
        return self.open_minor > 0

    @property
    def is_refunding(self) -> bool:
        """A refund of it is under way: what is left is neither applied nor given back otherwise."""
        return self.refund_id is not None and not self.refunded_minor

    @property
    def is_booked(self) -> bool:
        """The ledger has accounts for it, so it is announced. Other money is seen in the review queue only."""
        return self.amount.currency == BOOKS_CURRENCY

    @property
    def refund_event_id(self) -> UUID:
        """The permanent key in the books of what was given back by hand: once. A refund has its own."""
        return uuid5(self.id, "refunded")


def taken(price: Money, attempt: PaymentAttempt, *, differs: bool) -> Money:
    """What the gateway took: the price when the capture agrees with it (a surcharge is the gateway's own), else its own
    figure."""
    if not differs:
        return price
    # Amounts of zero are false, and what the gateway says all the same.
    return next((each for each in (attempt.amount, attempt.order_amount) if each is not None), price)


def applied(receipt: Receipt, price: Money) -> Receipt:
    """The receipt of which *price* is used up. Raises ReceiptClosed, ReceiptRefundPending, ReceiptTooSmall."""
    check_free(receipt)
    if receipt.amount.currency != price.currency or receipt.open_minor < price.minor:
        raise ReceiptTooSmall(f"the receipt is over {receipt.amount}, the payment over {price}")
    applied_minor = receipt.applied_minor + price.minor
    return msgspec.structs.replace(receipt, applied_minor=applied_minor, refund_due_at=None)


def refunding(receipt: Receipt, refund_id: UUID) -> Receipt:
    """The receipt of which all that is left is given back by this refund.

    Raises ReceiptClosed, ReceiptRefundPending.
    """
    check_free(receipt)
    return msgspec.structs.replace(receipt, refund_id=refund_id, refund_due_at=None)


def refunded(receipt: Receipt, gateway_refund_id: str, refund_id: UUID | None = None) -> Receipt:
    """The receipt of which all that was left has gone back, by the refund *refund_id*, or by hand.

    Raises ReceiptClosed, ReceiptRefundPending when another refund of it is under way.
    """
    if receipt.refund_id is None or receipt.refund_id != refund_id:
        check_free(receipt)
    return msgspec.structs.replace(
        receipt,
        refunded_minor=receipt.open_minor,
        gateway_refund_id=gateway_refund_id,
        refund_id=refund_id,
        refund_due_at=None,
    )


def owed_again(receipt: Receipt) -> Receipt:
    """Its refund has failed, or came back: a person decides what becomes of the money."""
    return msgspec.structs.replace(receipt, refunded_minor=0, gateway_refund_id="", refund_id=None)


def check_free(receipt: Receipt) -> None:
    """Raises ReceiptClosed, ReceiptRefundPending."""
    if not receipt.is_open:
        raise ReceiptClosed("nothing is left of the receipt")
    if receipt.is_refunding:
        raise ReceiptRefundPending("the receipt is being refunded")


def open_receipts(receipts: Collection[Receipt]) -> list[Receipt]:
    """Those of which something is left, oldest first."""
    return sorted((each for each in receipts if each.is_open), key=lambda each: each.id)
