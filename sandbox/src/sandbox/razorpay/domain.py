"""Orders, payments and refunds as the simulator keeps them: small, and in minor units (paise)."""

from enum import StrEnum

import msgspec

from sandbox.razorpay.accounts import Account

# A note's value is text for Razorpay; what else a merchant sends is kept as it is.
Notes = dict[str, str | int | float | bool | None]


class PaymentStatus(StrEnum):
    CREATED = "created"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    REFUNDED = "refunded"  # in full, or never captured
    FAILED = "failed"


class RefundStatus(StrEnum):
    PENDING = "pending"
    PROCESSED = "processed"
    FAILED = "failed"


class Method(msgspec.Struct, frozen=True):
    """How a payment is made. *handle*, the VPA or card number, may force an outcome."""

    kind: str  # upi, card, netbanking, wallet
    handle: str = ""
    bank: str | None = None
    wallet: str | None = None
    network: str = ""
    is_instantly_refundable: bool = True


class Failure(msgspec.Struct, frozen=True):
    """Why a payment failed."""

    description: str
    reason: str
    code: str = "BAD_REQUEST_ERROR"
    source: str = "bank"
    step: str = "payment_authorization"


class Capture(msgspec.Struct, frozen=True):
    """When a payment is captured, in minutes from when it was made; after *manual_minutes* it is given back."""

    is_automatic: bool
    automatic_minutes: int
    manual_minutes: int


class Refund(msgspec.Struct):
    """Money going back. Times are epoch seconds."""

    id: str
    payment_id: str
    amount: int
    currency: str
    notes: Notes
    receipt: str | None
    speed: str
    created_at: int
    status: RefundStatus = RefundStatus.PENDING
    speed_processed: str = "normal"
    processed_at: int | None = None
    failed_at: int | None = None  # after it was processed: the bank sent the money back
    settled: bool = False
    reversal_settled: bool = False


class Dispute(msgspec.Struct):
    """A customer asks the bank for the money back. Times are epoch seconds."""

    id: str
    payment_id: str
    amount: int
    currency: str
    reason_code: str
    phase: str
    respond_by: int
    created_at: int
    status: str = "open"
    deducted: int = 0  # of the merchant's balance
    deducted_at: int = 0
    given_back_at: int = 0
    contested_amount: int | None = None
    summary: str | None = None
    submitted_at: int | None = None
    settled: bool = False
    reversal_settled: bool = False


class Payment(msgspec.Struct):
    """One attempt at an order. Times are epoch seconds. *fee* includes *tax*; both are known once it is captured."""

    id: str
    amount: int
    currency: str
    method: Method
    created_at: int
    notes: Notes
    email: str = "void@razorpay.com"
    contact: str = "+919999999999"
    status: PaymentStatus = PaymentStatus.CREATED
    failure: Failure | None = None
    captured_at: int | None = None
    fee: int | None = None
    tax: int | None = None
    is_late: bool = False
    deciding: bool = False  # an outcome is on its way
    refunds: list[Refund] = msgspec.field(default_factory=list)
    disputes: list[Dispute] = msgspec.field(default_factory=list)
    settled: bool = False

    @property
    def refunded(self) -> int:
        """What has been given back or is on its way back."""
        return sum(it.amount for it in self.refunds if it.status is not RefundStatus.FAILED)


class Order(msgspec.Struct):
    """One order. It never expires. *name* is what faults and webhooks know it by: its receipt, or else its id."""

    id: str
    account: Account
    amount: int
    currency: str
    receipt: str | None
    notes: Notes
    created_at: int
    capture: Capture
    payments: list[Payment] = msgspec.field(default_factory=list)
    is_paid: bool = False  # stays so after a refund

    @property
    def name(self) -> str:
        return self.receipt or self.id

    @property
    def status(self) -> str:
        if self.is_paid:
            return "paid"
        return "attempted" if self.payments else "created"

    @property
    def customer_id(self) -> str:
        return str(self.notes.get("customer_id") or "")

    def finished(self) -> bool:
        """Whether nothing more is expected to happen to it."""
        return self.is_paid and all(
            refund.status is not RefundStatus.PENDING for payment in self.payments for refund in payment.refunds
        )


class Row(msgspec.Struct):
    """One row of a settlement. *amount* is below zero for what the merchant pays; the fee includes the tax."""

    entity_id: str
    type: str  # payment, refund, adjustment
    amount: int
    currency: str
    created_at: int
    fee: int = 0
    tax: int = 0
    payment_id: str | None = None
    order_id: str | None = None
    order_receipt: str | None = None
    method: str | None = None
    card_network: str | None = None
    description: str | None = None
    dispute_id: str | None = None
    utr: str = ""  # a wrong one, by a fault

    @property
    def credit(self) -> int:
        return max(self.amount, 0) - self.fee

    @property
    def debit(self) -> int:
        return max(-self.amount, 0)


class Settlement(msgspec.Struct):
    """One transfer to the merchant's bank account."""

    id: str
    account: Account
    created_at: int
    rows: list[Row]
    status: str = "created"
    utr: str = ""
    processed_at: int | None = None

    @property
    def amount(self) -> int:
        return sum(row.credit - row.debit for row in self.rows)
