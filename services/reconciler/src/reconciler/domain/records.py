"""What the two sides say about a payment or a settlement, as matching compares it. Amounts are minor units.

Times are moments in UTC; days are days in India, on which gateways and banks there count.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Final

from msgspec import Struct

IST: Final = timezone(timedelta(hours=5, minutes=30), "IST")
# Statuses of a payment whose money is or was ours.
PAID: Final = frozenset({"SUCCESS", "SETTLED", "PARTIALLY_REFUNDED", "REFUNDED", "DISPUTED"})


class PaymentRecord(Struct, frozen=True, gc=False, kw_only=True):
    """What payment believes of one payment."""

    payment_id: str
    merchant_id: str
    order_id: str
    gateway: str
    account_id: str
    gateway_payment_id: str
    status: str
    method: str
    amount_minor: int
    currency: str
    # Whole credits that it bought, paid and bonus.
    credits: int
    refunded_minor: int
    # Receipts that are neither applied nor refunded: money that waits for a decision.
    unapplied_minor: int
    # Whether the gateway itself was seen to say so, not a webhook alone.
    is_confirmed: bool
    created_at: datetime
    changed_at: datetime
    paid_at: datetime | None = None
    # When a webhook about its order was first received.
    webhook_at: datetime | None = None

    @property
    def is_paid(self) -> bool:
        return self.status in PAID

    @property
    def paid_since(self) -> datetime:
        """When the money became ours; a payment that does not say so counts from its creation."""
        return self.paid_at or self.created_at


class SettlementRow(Struct, frozen=True, gc=False, kw_only=True):
    """One row of the gateway's settlement. Amounts are signed: above zero came to us."""

    row_id: str
    settlement_id: str
    # PAYMENT, REFUND, DISPUTE or ADJUSTMENT.
    kind: str
    # Empty when no payment of ours has the order.
    payment_id: str
    order_id: str
    gateway_payment_id: str
    # Our refund, or the dispute.
    refund_id: str
    amount_minor: int
    fee_minor: int
    fee_tax_minor: int
    net_minor: int
    currency: str
    utr: str
    at: datetime | None = None


class Settlement(Struct, frozen=True, gc=False, kw_only=True):
    """What the gateway paid to the bank at once; net + fee + fee_tax + adjustment = gross."""

    settlement_id: str
    merchant_id: str
    gateway: str
    account_id: str
    gateway_settlement_id: str
    utr: str
    # PENDING, SETTLED, ON_HOLD or REVERSED.
    status: str
    currency: str
    gross_minor: int
    fee_minor: int
    fee_tax_minor: int
    adjustment_minor: int
    net_minor: int
    seq: int
    settled_at: datetime | None = None


class RefundRecord(Struct, frozen=True, gc=False, kw_only=True):
    """A refund as payment has it."""

    refund_id: str
    payment_id: str
    # INITIATED, PROCESSING, SUCCESS, FAILED or REVERSED.
    status: str
    amount_minor: int
    currency: str
    created_at: datetime
    # It gives a receipt back, a second capture say, and nothing of the payment; empty otherwise.
    receipt_id: str = ""


class Grant(Struct, frozen=True, gc=False, kw_only=True):
    """What the wallet granted for a payment."""

    payment_id: str
    # Whole credits, paid and bonus; grants after a reversed refund apart.
    credits: int
    granted_again: int
    reversed: int
    # How many transactions granted.
    grants: int


class AccountSum(Struct, frozen=True, gc=False, kw_only=True):
    """All entries of one payment on one account."""

    account: str
    asset: str
    debit: int
    credit: int


class BankLine(Struct, frozen=True, gc=False, kw_only=True):
    """One line of a bank statement; above zero came to the account."""

    line_id: str
    account: str
    booked_on: date
    amount_minor: int
    currency: str
    # Reference and narrative of the bank, letters and digits in capitals: where the UTR is looked for.
    words: str


class Coverage(Struct, frozen=True, gc=False):
    """The days, both included, that one statement of an account covers."""

    account: str
    first: date
    last: date


class PaymentFacts(Struct, frozen=True, kw_only=True):
    """Everything known about one payment, from all sides. *settlements* are those of its rows, by id."""

    record: PaymentRecord
    rows: Sequence[SettlementRow] = ()
    settlements: Mapping[str, Settlement] = {}
    refunds: Sequence[RefundRecord] = ()
    grant: Grant | None = None
    sums: Sequence[AccountSum] = ()


class SettlementFacts(Struct, frozen=True, kw_only=True):
    """A settlement, its rows, and the lines of the bank that may be its transfer."""

    settlement: Settlement
    rows: Sequence[SettlementRow] = ()
    lines: Sequence[BankLine] = ()
    # The statements that reach into its days, and all accounts of its currency that have statements at all.
    coverage: Sequence[Coverage] = ()
    accounts: Sequence[str] = ()


def day_in_india(moment: datetime) -> date:
    return moment.astimezone(IST).date()


def end_of_day_in_india(day: date) -> datetime:
    """The first moment after *day*."""
    following = day + timedelta(days=1)
    return datetime(following.year, following.month, following.day, tzinfo=IST)


def working_days_after(day: date, count: int) -> date:
    """The *count*-th day after *day* that is no Saturday and no Sunday. Holidays are what the grace is for."""
    while count > 0:
        day += timedelta(days=1)
        if day.weekday() < 5:
            count -= 1
    return day
