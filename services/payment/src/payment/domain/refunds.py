"""Refunds: how much of a payment may go back, what of its credits and tax goes with it, and what moves a refund."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from common import ids
from common.money import Money
from gateways.refunds import RefundSnapshot, RefundSpeed
from gateways.refunds import RefundStatus as GatewayStatus
from payment.domain.payments import Payment, returned_status
from payment.domain.pricing import Credits, Tax
from payment.domain.refund_errors import (
    PaymentNotRefundable,
    RefundAmountInvalid,
    RefundsTooMany,
    RefundTransitionInvalid,
)
from payment.domain.spent_credits import SpentCreditsPolicy
from payment.domain.states import PAID, Status

PREFIX: Final = "rfd"


class RefundStatus(StrEnum):
    INITIATED = "INITIATED"
    # The credits are held and the gateway was asked; nobody knows the outcome yet.
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    # It had succeeded, and the money came back.
    REVERSED = "REVERSED"


R = RefundStatus

# Every move a refund may make; the database holds the same table as a CHECK on refund_history.
MOVES: Final[Mapping[RefundStatus, frozenset[RefundStatus]]] = {
    R.INITIATED: frozenset({R.PROCESSING, R.FAILED}),
    R.PROCESSING: frozenset({R.SUCCESS, R.FAILED}),
    R.SUCCESS: frozenset({R.REVERSED}),
    R.FAILED: frozenset(),
    R.REVERSED: frozenset(),
}
assert MOVES.keys() == set(RefundStatus), "every status needs its row, terminal ones an empty row"

# What they take of a payment cannot be refunded once more.
COUNTED: Final = frozenset({R.INITIATED, R.PROCESSING, R.SUCCESS})
# The gateway may have been asked for the money.
ASKED: Final = frozenset(RefundStatus) - {R.INITIATED}

# What the gateway shows → the moves that follow. Where there is no row, nothing follows: an older answer, or one that
# says nothing new. A refund that is INITIATED waits for its hold.
FOLLOWS: Final[Mapping[tuple[RefundStatus, GatewayStatus], tuple[RefundStatus, ...]]] = {
    (R.PROCESSING, GatewayStatus.SUCCESS): (R.SUCCESS,),
    (R.PROCESSING, GatewayStatus.FAILED): (R.FAILED,),
    (R.PROCESSING, GatewayStatus.REVERSED): (R.SUCCESS, R.REVERSED),
    (R.SUCCESS, GatewayStatus.REVERSED): (R.REVERSED,),
    # Cashfree has no word of its own for a refund that came back: a success that is cancelled afterwards.
    (R.SUCCESS, GatewayStatus.FAILED): (R.REVERSED,),
}
# The gateway takes back what it said for certain: nothing follows by itself, a person has to look.
CONTRADICTIONS: Final = frozenset({(R.FAILED, GatewayStatus.SUCCESS)})

REFUNDABLE: Final = frozenset({Status.SUCCESS, Status.SETTLED, Status.PARTIALLY_REFUNDED})


class RefundSource(StrEnum):
    """Who began it."""

    STAFF = "STAFF"
    # A rule: a second capture, say.
    POLICY = "POLICY"
    # It was made in the gateway's dashboard, or by the gateway itself, and is taken over.
    GATEWAY = "GATEWAY"


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """One refund: of a payment, or of a receipt, which takes no credits and no tax. `seq` counts its moves."""

    id: UUID
    payment_id: UUID
    merchant_id: str
    gateway: str
    # The capture that is to be given back.
    gateway_payment_id: str
    # The one that the gateway says it gave back; "" while it has not said. It picks where a refund names the order.
    returned_payment_id: str = ""
    receipt_id: UUID | None = None
    amount: Money
    # Parts of the payment's price and tax; all zero for a receipt.
    tax: Tax
    credits: Credits
    policy: SpentCreditsPolicy
    status: RefundStatus = RefundStatus.INITIATED
    reason: str
    speed: RefundSpeed = RefundSpeed.STANDARD
    source: RefundSource
    requested_by: str
    hold_id: str = ""
    # What the held credits still carried as deferred revenue, in minor units.
    value_held: int = 0
    # Credits that the hold reserved; the rest of *credits* was spent.
    held: Credits = Credits()
    gateway_refund_id: str = ""
    bank_reference: str = ""
    failure_reason: str = ""
    seq: int = 1
    checks: int = 0
    next_check_at: datetime | None = None
    created_at: datetime
    succeeded_at: datetime | None = None
    updated_at: datetime

    def __post_init__(self) -> None:
        parts = self.tax.net + self.tax.cgst + self.tax.sgst + self.tax.igst
        if self.amount.minor <= 0 or min(self.credits.paid, self.credits.bonus) < 0:
            raise ValueError("a refund is over something, and nothing of it is negative")
        if parts.minor != (0 if self.receipt_id else self.amount.minor):
            raise ValueError("net and taxes add up to the amount")

    @property
    def text_id(self) -> str:
        return ids.encode(PREFIX, self.id)

    @property
    def is_counted(self) -> bool:
        return self.status in COUNTED

    @property
    def has_credits(self) -> bool:
        return bool(self.credits.paid or self.credits.bonus)


class RefundTransition(msgspec.Struct, frozen=True, gc=False):
    """One move as the history keeps it; `seq` is the refund's after the move."""

    refund_id: UUID
    seq: int
    from_status: RefundStatus | None
    to_status: RefundStatus
    reason: str
    actor: str
    at: datetime


def begun(refund: Refund) -> RefundTransition:
    """The first row of its history."""
    return RefundTransition(
        refund.id, refund.seq, None, refund.status, refund.source.lower(), refund.requested_by, refund.created_at
    )


def move(
    refund: Refund, to: RefundStatus, *, reason: str, actor: str, now: datetime
) -> tuple[Refund, RefundTransition]:
    """The refund in its new state and the row of its history. Raises RefundTransitionInvalid."""
    if to not in MOVES[refund.status]:
        raise RefundTransitionInvalid(f"a refund that is {refund.status} cannot become {to}")
    seq = refund.seq + 1
    moved = replace(refund, status=to, seq=seq, updated_at=now)
    return moved, RefundTransition(refund.id, seq, refund.status, to, reason, actor, now)


# ── How much ─────────────────────────────────────────────────────────────────────────────────────────────────────


def counted(refunds: Iterable[Refund]) -> list[Refund]:
    """Those that take something of the payment itself: not of its receipts, and neither failed nor reversed."""
    return [each for each in refunds if each.is_counted and each.receipt_id is None]


def refundable(payment: Payment, refunds: Collection[Refund], lost_minor: int) -> Money:
    """What of the payment can still be refunded; *lost_minor* went back to the customer by disputes that were lost."""
    if payment.status not in REFUNDABLE | {Status.REFUNDED}:
        return Money(0, payment.amount.currency)
    left = payment.amount.minor - lost_minor - sum(each.amount.minor for each in counted(refunds))
    return Money(max(0, left), payment.amount.currency)


# A part is at least a rupee, and leaves nothing or a rupee. Two equal halves of a tax cannot be taken out of paise:
# a payment of which single paise went back could not be refunded to its end.
PART_MINOR_MIN: Final = 100
# All refunds of a payment are read under its lock, and each is a row, a hold and a call at the gateway. What is taken
# over from the gateway is not bounded by it.
REFUNDS_MAX: Final = 100


def check_number(refunds: Collection[Refund]) -> None:
    """Raises RefundsTooMany when no more of the payment's refunds may be begun here."""
    if len(refunds) >= REFUNDS_MAX:
        raise RefundsTooMany(f"the payment has {len(refunds)} refunds, those that failed included")


def check_refundable(payment: Payment, refunds: Collection[Refund], lost_minor: int, amount: Money | None) -> Money:
    """The amount of a refund that may be made: *amount*, or all that is left of the payment (see `refundable`).

    Raises PaymentNotRefundable, RefundAmountInvalid, RefundsTooMany.
    """
    check_number(refunds)
    left = refundable(payment, refunds, lost_minor)
    if payment.status not in REFUNDABLE or left.minor <= 0:
        state = payment.status if payment.status not in REFUNDABLE else "refunded in full, or about to be"
        raise PaymentNotRefundable(f"the payment is {state}")
    if amount is None:
        return left
    if amount.currency != payment.amount.currency:
        raise RefundAmountInvalid(currency=f"the payment was made in {payment.amount.currency}")
    if not 0 < amount.minor <= left.minor:
        raise RefundAmountInvalid(amount=f"at most {left.minor} of the payment can still be refunded")
    remainder = left.minor - amount.minor
    if remainder and min(amount.minor, remainder) < PART_MINOR_MIN:
        raise RefundAmountInvalid(
            amount=f"all {left.minor}, or a part of at least {PART_MINOR_MIN} that leaves as much"
        )
    return amount


def split(payment: Payment, refunds: Collection[Refund], amount: Money) -> tuple[Tax, Credits]:
    """What of the payment's price, tax and credits goes back with *amount*.

    All refunds together take their share of each part, rounded down; the refund that takes the last of the money takes
    the rest of everything. So the parts always add up, in whatever order refunds are made and fail.
    """
    others = counted(refunds)
    before, currency = sum(each.amount.minor for each in others), payment.amount.currency
    whole = payment.amount.minor
    after = before + amount.minor
    tax = payment.tax

    def part(total: int, taken: int) -> int:
        # Taken may be above the share of what is left when a refund that was rounded down has failed.
        return total - taken if after == whole else max(0, total * after // whole - taken)

    half = part(tax.sgst.minor, sum(each.tax.sgst.minor for each in others))
    # Until November 2026 a payment's CGST could be a paisa more; its last refund takes that paisa.
    first_half = tax.cgst.minor - sum(each.tax.cgst.minor for each in others) if after == whole else half
    integrated = part(tax.igst.minor, sum(each.tax.igst.minor for each in others))
    if after < whole:
        # Failed refunds leave rounded parts behind: what is taken fits into the amount, and the rest into the rest.
        half = first_half = _fitting(half, tax.sgst.minor + tax.cgst.minor, others, amount, whole - after, parts=2)
        integrated = _fitting(integrated, tax.igst.minor, others, amount, whole - after, parts=1)
    net = amount.minor - first_half - half - integrated
    if net < 0:
        raise RefundAmountInvalid(amount="cannot be divided into price and tax to the paisa; refund another amount")
    paid = part(payment.credits.paid, sum(each.credits.paid for each in others))
    bonus = part(payment.credits.bonus, sum(each.credits.bonus for each in others))
    money = [Money(minor, currency) for minor in (net, first_half, half, integrated)]
    return Tax(*money), Credits(paid, bonus)


def _fitting(wanted: int, total: int, others: Collection[Refund], amount: Money, left: int, *, parts: int) -> int:
    """*wanted* of one of *parts* equal parts, such that the amount holds all parts and what is left holds the rest."""
    if parts == 2:
        taken = sum(each.tax.cgst.minor + each.tax.sgst.minor for each in others)
    else:
        taken = sum(each.tax.igst.minor for each in others)
    at_least = -((left - (total - taken)) // parts)
    return max(0, min(max(wanted, at_least), amount.minor // parts))


# ── What the gateway shows ───────────────────────────────────────────────────────────────────────────────────────


def refunded_status(payment: Payment, refunds: Collection[Refund], lost_minor: int) -> Status:
    """What the payment is by its refunds that succeeded and by what lost disputes took.

    One under dispute stays so until the dispute ends.
    """
    if payment.status is Status.DISPUTED or payment.status not in PAID:
        return payment.status
    refunded = sum(
        each.amount.minor for each in refunds if each.status is RefundStatus.SUCCESS and each.receipt_id is None
    )
    was_returned = payment.status in (Status.PARTIALLY_REFUNDED, Status.REFUNDED)
    return returned_status(payment, refunded + lost_minor, Status.SUCCESS if was_returned else payment.status)


def matches(refund: Refund, snapshot: RefundSnapshot) -> bool:
    """Whether the gateway's refund is this one: by the id that we gave it, or by its own."""
    return snapshot.refund_id == refund.text_id or (
        bool(refund.gateway_refund_id) and snapshot.gateway_refund_id == refund.gateway_refund_id
    )


def with_facts(refund: Refund, snapshot: RefundSnapshot) -> Refund:
    """The refund with the gateway's id, the capture that it gave back and the bank's reference, once they are known."""
    facts = replace(
        refund,
        gateway_refund_id=refund.gateway_refund_id or snapshot.gateway_refund_id,
        returned_payment_id=refund.returned_payment_id or snapshot.gateway_payment_id,
        bank_reference=snapshot.bank_reference or refund.bank_reference,
    )
    return refund if facts == refund else facts
