"""Orders, payments and refunds as the simulator keeps them: small, in paise, and rendered where that saves work."""

from enum import StrEnum

import msgspec

from sandbox.cashfree.accounts import Account


class OrderStatus(StrEnum):
    ACTIVE = "ACTIVE"
    PAID = "PAID"
    EXPIRED = "EXPIRED"
    TERMINATION_REQUESTED = "TERMINATION_REQUESTED"
    TERMINATED = "TERMINATED"


class PaymentStatus(StrEnum):
    NOT_ATTEMPTED = "NOT_ATTEMPTED"
    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    USER_DROPPED = "USER_DROPPED"


UNDECIDED = frozenset({PaymentStatus.NOT_ATTEMPTED, PaymentStatus.PENDING})


class RefundStatus(StrEnum):
    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    CANCELLED = "CANCELLED"
    ONHOLD = "ONHOLD"
    REVERSED = "REVERSED"  # had succeeded, and the bank sent the money back: not in the documents, see the README
    FAILED = "FAILED"  # in the specification's text but not in its enum: the official SDK raises on it


RETURNED_NOTHING = frozenset({RefundStatus.CANCELLED, RefundStatus.FAILED, RefundStatus.REVERSED})


class Method(msgspec.Struct, frozen=True):
    """How a payment is made, already in the two shapes in which Cashfree reports it."""

    kind: str  # upi, card, netbanking, app
    channel: str
    group: str
    rest: bytes
    webhook: bytes
    handle: str = ""  # the VPA or card number, which may force an outcome


class Failure(msgspec.Struct, frozen=True):
    """Why a payment did not succeed."""

    message: str
    code: str
    reason: str
    source: str = "customer"


class Payment(msgspec.Struct):
    """One attempt at an order. Times are epoch seconds."""

    cf_payment_id: int
    amount_paise: int
    currency: str
    method: Method
    started_at: int
    status: PaymentStatus = PaymentStatus.NOT_ATTEMPTED
    completed_at: int | None = None
    failure: Failure | None = None
    deciding: bool = False  # an outcome is on its way
    settled: bool = False  # it is in a settlement


class Refund(msgspec.Struct):
    """Money going back. Times are epoch seconds."""

    refund_id: str
    cf_refund_id: int
    cf_payment_id: int
    order_id: str
    amount_paise: int
    currency: str
    note: str | None
    speed: str
    created_at: int
    status: RefundStatus = RefundStatus.PENDING
    processed_at: int | None = None
    reversed_at: int | None = None
    is_automatic: bool = False  # the gateway made it by itself, and gave it no refund_id
    settled: bool = False
    reversal_settled: bool = False


class Dispute(msgspec.Struct):
    """A customer asks the bank for the money back. Times are epoch seconds."""

    dispute_id: int
    cf_payment_id: int
    order_id: str
    amount_paise: int
    currency: str
    reason_code: str
    stage: str
    created_at: int
    updated_at: int
    respond_by: int
    step: str = "CREATED"
    resolved_at: int | None = None
    settled: bool = False
    reversal_settled: bool = False


class Event(msgspec.Struct):
    """One row of a settlement. *amount_paise* is never below zero: *sale_type* says who gets it."""

    event_id: str
    event_type: str
    sale_type: str
    amount_paise: int
    currency: str
    time: int
    order_id: str = ""
    cf_payment_id: int = 0
    fee_paise: int = 0
    tax_paise: int = 0
    refund_id: str = ""
    utr: str = ""  # a wrong one, by a fault

    @property
    def signed_paise(self) -> int:
        return self.amount_paise if self.sale_type == "CREDIT" else -self.amount_paise


class Settlement(msgspec.Struct):
    """One transfer to the merchant's bank account."""

    account: Account
    cf_settlement_id: int
    status: str
    initiated_at: int
    events: list[Event]
    utr: str = ""
    processed_at: int | None = None


class Order(msgspec.Struct):
    """One order. *head* is its API entity up to what can change; *customer* and *tags* go into webhooks as they are."""

    account: Account
    order_id: str
    cf_order_id: int
    session_id: str
    customer_id: str
    amount_paise: int
    currency: str
    created_at: int
    expires_at: int
    notify_url: str
    return_url: str
    head: bytes
    customer: bytes
    tags: bytes
    status: OrderStatus = OrderStatus.ACTIVE
    payments: list[Payment] = msgspec.field(default_factory=list)
    refunds: list[Refund] = msgspec.field(default_factory=list)
    disputes: list[Dispute] = msgspec.field(default_factory=list)

    def status_at(self, seconds: int) -> OrderStatus:
        """The status as of a moment: an unpaid order expires by itself."""
        if self.status is OrderStatus.ACTIVE and seconds >= self.expires_at:
            self.status = OrderStatus.EXPIRED
        return self.status

    def deciding(self) -> bool:
        """Whether a payment may still succeed by itself."""
        return any(payment.deciding for payment in self.payments)

    def finished(self, seconds: int) -> bool:
        """Whether nothing more is expected to happen to it."""
        if self.status_at(seconds) in (OrderStatus.ACTIVE, OrderStatus.TERMINATION_REQUESTED) or self.deciding():
            return False
        return all(refund.status is not RefundStatus.PENDING for refund in self.refunds)

    def captured(self) -> list[Payment]:
        """Its successful payments, first one first."""
        return [payment for payment in self.payments if payment.status is PaymentStatus.SUCCESS]
