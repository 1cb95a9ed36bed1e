"""Requests for refunds: who may have how much refunded, what makes two requests one, what needs a second person."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from common.idempotency import Key
from common.money import Money
from gateways.refunds import RefundSpeed
from payment.domain import refunds as rules
from payment.domain.payments import Payment
from payment.domain.pricing import Credits, Tax
from payment.domain.refund_errors import RefundLimitExceeded
from payment.domain.refunds import Refund, RefundSource
from payment.domain.spent_credits import SpentCreditsPolicy

# The kind of approval that a refund above the limit needs; its subject is the payment.
APPROVAL_KIND: Final = "refund"


class RefundLimits(msgspec.Struct, frozen=True, kw_only=True):
    """In minor units. *repeat* is how long the same request, under whatever key, stays the same refund."""

    support_max_minor: int
    approval_above_minor: int
    approval_life: timedelta
    repeat: timedelta


class RefundOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for. Without *amount*: all that can still be refunded."""

    payment_id: UUID
    # None for an operator, who may refund every merchant's payments.
    merchant_id: str | None
    amount: Money | None
    reason: str
    speed: RefundSpeed = RefundSpeed.STANDARD
    requested_by: str
    # Support may refund up to a limit of its own.
    is_limited: bool = False
    # By an API key of the merchant's, not by a person.
    is_by_key: bool = False
    key: Key | None = None
    fingerprint: bytes = b""


class RefundPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a refund would do now."""

    payment: Payment
    amount: Money
    left: Money
    tax: Tax
    credits: Credits
    policy: SpentCreditsPolicy
    # Credits that are still there, and those that were spent.
    held: Credits
    missing: Credits
    needs_approval: bool

    @property
    def is_possible(self) -> bool:
        """Whether the policy lets it happen."""
        spent = self.missing.paid or self.missing.bonus
        return not (spent and self.policy is SpentCreditsPolicy.BLOCK)


def earlier_request(
    order: RefundOrder,
    payment: Payment,
    refunds: Collection[Refund],
    lost_minor: int,
    now: datetime,
    limits: RefundLimits,
) -> Refund | None:
    """The refund that *order* asks for once more: the same payment, amount and reason within the window.

    A second refund of the same amount is another act when its reason is another, or once the first has failed. Without
    an amount, it is the refund that took all that was left.
    """
    same = [
        each
        for each in rules.counted(refunds)
        if each.source is RefundSource.STAFF
        and each.reason.strip().casefold() == order.reason.strip().casefold()
        and now - each.created_at < limits.repeat
    ]
    if order.amount is None:
        same = same[-1:] if not rules.refundable(payment, refunds, lost_minor).minor else []
    else:
        same = [each for each in same if each.amount == order.amount]
    return same[-1] if same else None


def check_limits(order: RefundOrder, amount: Money, refunds: Collection[Refund], limits: RefundLimits) -> bool:
    """Whether *amount* needs a second person. Raises RefundLimitExceeded.

    What staff refunded of the payment before counts: a large refund that is made in parts is a large refund. An API key
    is nobody in particular: who holds it could approve what it proposes, so it proposes nothing.
    """
    total = refunded_by_staff(refunds) + amount.minor
    if order.is_limited and total > limits.support_max_minor:
        raise RefundLimitExceeded(f"support refunds at most {limits.support_max_minor} minor units of a payment")
    needs_another = total > limits.approval_above_minor
    if needs_another and order.is_by_key:
        raise RefundLimitExceeded(f"an API key refunds at most {limits.approval_above_minor} minor units of a payment")
    return needs_another


def refunded_by_staff(refunds: Collection[Refund]) -> int:
    """What staff refunded of the payment, or are about to, in minor units."""
    return sum(each.amount.minor for each in rules.counted(refunds) if each.source is RefundSource.STAFF)


def new_refund(
    payment: Payment,
    refunds: Collection[Refund],
    order: RefundOrder,
    amount: Money,
    policy: SpentCreditsPolicy,
    refund_id: UUID,
    now: datetime,
) -> Refund:
    """The refund that *order* becomes; *amount* was checked."""
    tax, credits = rules.split(payment, refunds, amount)
    return Refund(
        id=refund_id,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        gateway=payment.gateway,
        gateway_payment_id=payment.gateway_payment_id,
        amount=amount,
        tax=tax,
        credits=credits,
        policy=policy,
        reason=order.reason,
        speed=order.speed,
        source=RefundSource.STAFF,
        requested_by=order.requested_by,
        created_at=now,
        updated_at=now,
    )
