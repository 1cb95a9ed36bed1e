"""Orders and attempts in the port: what a gateway is asked to collect, and what it says became of it."""

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import msgspec

from common.money import Money


class PaymentMethod(StrEnum):
    """How a customer pays, in one vocabulary for all gateways."""

    UPI = "upi"
    CARD = "card"
    CREDIT_CARD = "credit_card"
    DEBIT_CARD = "debit_card"
    NETBANKING = "netbanking"
    WALLET = "wallet"
    PAYLATER = "paylater"
    CARDLESS_EMI = "cardless_emi"
    BANK_TRANSFER = "bank_transfer"
    OTHER = "other"


# What a caller may ask for when it creates a payment; an adapter leaves out what its gateway has no word for.
REQUESTABLE_METHODS = frozenset(
    {
        PaymentMethod.UPI,
        PaymentMethod.CARD,
        PaymentMethod.CREDIT_CARD,
        PaymentMethod.DEBIT_CARD,
        PaymentMethod.NETBANKING,
        PaymentMethod.WALLET,
        PaymentMethod.PAYLATER,
    }
)


class AttemptStatus(StrEnum):
    """One try of the customer to pay an order. The order of the members is how far an attempt has come."""

    STARTED = "STARTED"
    AUTHORIZING = "AUTHORIZING"
    PENDING = "PENDING"
    # The gateway's word is not one we may act on: amounts differ, or a word nobody knows.
    UNKNOWN = "UNKNOWN"
    DROPPED = "DROPPED"
    FAILED = "FAILED"
    SUCCESS = "SUCCESS"


class OrderStatus(StrEnum):
    """The gateway's own view of an order."""

    ACTIVE = "ACTIVE"
    PAID = "PAID"
    EXPIRED = "EXPIRED"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"


# Why a payment failed, as mails, events and the API may show it.
FAILURE_REASONS = frozenset(
    {
        "declined",
        "authentication_failed",
        "insufficient_funds",
        "limit_exceeded",
        "invalid_details",
        "bank_unavailable",
        "dropped_by_customer",
        "order_closed",
        "gateway_refused",
        "failed",
    }
)


class Customer(msgspec.Struct, frozen=True, gc=False):
    """Who pays; personal data, which leaves the fleet in mails and to the gateway only."""

    email: str = ""
    # E.164.
    phone: str = ""
    name: str = ""


class OrderReference(msgspec.Struct, frozen=True, gc=False):
    """Names an order of ours at its gateway."""

    # Ours. Where the gateway makes the order's id, this one is the unique receipt that finds the order again; "" only
    # to read an order of which a webhook named the gateway's id.
    order_id: str
    # The gateway's own; "" while it is not known.
    gateway_order_id: str = ""


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway needs to make an order; `attempt` counts from 1 and never changes the order id."""

    order_id: str
    # pay_…: travels with the order, so that an order found under the same id is known to be this payment's.
    payment_id: str
    amount: Money
    customer_id: str
    customer: Customer
    return_url: str = ""
    note: str = ""
    # A PaymentMethod, or "" for any.
    method_hint: str = ""
    expires_at: datetime
    attempt: int = 1

    @property
    def reference(self) -> OrderReference:
        return OrderReference(self.order_id)


class OrderSnapshot(msgspec.Struct, frozen=True, gc=False):
    """An order as the gateway shows it at one moment."""

    # Ours.
    order_id: str
    gateway_order_id: str
    status: OrderStatus
    amount: Money
    # What the checkout needs to open the order.
    session_id: str = ""
    # pay_… as it was sent along when the order was made; "" where the gateway does not give it back.
    payment_id: str = ""
    # The gateway neither closes nor expires the order: an unpaid payment ends by its own time and its own cancellation.
    stays_open: bool = False


class PaymentAttempt(msgspec.Struct, frozen=True, gc=False):
    """One attempt at an order, from a webhook or the gateway's list of payments. No personal data."""

    # Ours; "" in a webhook that carries the gateway's own order id only.
    order_id: str
    gateway_payment_id: str
    status: AttemptStatus
    # What the order was for, and what was taken; None where the gateway does not say.
    order_amount: Money | None = None
    amount: Money | None = None
    # A PaymentMethod, or "" where the gateway does not say.
    method: str = ""
    group: str = ""
    bank_reference: str = ""
    # One of FAILURE_REASONS or ""; never the bank's free text.
    reason: str = ""
    at: datetime | None = None


class OrderMissing(msgspec.Struct, frozen=True, gc=False):
    """The gateway does not know the order."""

    order_id: str


class OrderRefused(msgspec.Struct, frozen=True, gc=False):
    """A definite no: the order was not made and will not be."""

    code: str


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Nobody knows: a time-out, a 5xx, an answer that cannot be read. It may have happened."""

    reason: str
    retry_after_seconds: float = 0.0


CreateOrderResult: TypeAlias = OrderSnapshot | OrderRefused | Unknown
ReadOrderResult: TypeAlias = OrderSnapshot | OrderMissing | Unknown
