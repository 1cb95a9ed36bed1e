"""Refunds that somebody made in the gateway's dashboard, or the gateway by itself: taken over as refunds of ours."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec

from common import ids
from common.ids import IdInvalid
from common.money import Money
from gateways.refunds import RefundSnapshot, RefundStatus
from payment.domain import refunds as rules
from payment.domain.payments import Payment
from payment.domain.pricing import Credits, Tax, no_tax
from payment.domain.receipts import Receipt
from payment.domain.refunds import Refund, RefundSource
from payment.domain.spent_credits import SpentCreditsPolicy
from payment.domain.states import Status


class NotTakenOver(msgspec.Struct, frozen=True):
    """The gateway's refund fits nothing that is known of the payment; a person has to look."""

    reason: str


def is_strange(snapshot: RefundSnapshot) -> bool:
    """Whether the refund gives money back and nobody here asked for it."""
    if snapshot.status in (RefundStatus.FAILED, RefundStatus.REVERSED):
        return False
    try:
        ids.decode(rules.PREFIX, snapshot.refund_id)
    except IdInvalid:
        return True
    return False


def taken_over(
    payment: Payment,
    refunds: Collection[Refund],
    receipts: Collection[Receipt],
    snapshot: RefundSnapshot,
    policy: SpentCreditsPolicy,
    refund_id: UUID,
    now: datetime,
) -> Refund | NotTakenOver | None:
    """The refund that *snapshot*, which is none of *refunds*, becomes; None when nothing went back or it is known.

    Of the payment's own capture it takes credits and tax as any other: it waits for its hold first. The money is on
    its way already, so a policy that would refuse it bears the spent credits.

    Where the gateway gave the payment's own capture back when the receipt was to be refunded, the receipt's capture has
    paid for the payment since: a refund of that one is the payment's.
    """
    if snapshot.status in (RefundStatus.FAILED, RefundStatus.REVERSED):
        return None
    if any(each.gateway_refund_id and each.gateway_refund_id == snapshot.gateway_refund_id for each in receipts):
        return None
    if not snapshot.gateway_refund_id:
        return NotTakenOver("it has no id of the gateway")
    receipt = next(
        (
            each
            for each in receipts
            if each.gateway_payment_id == snapshot.gateway_payment_id
            and each.gateway_payment_id != payment.gateway_payment_id
        ),
        None,
    )
    if receipt is not None and not _is_swapped(payment, receipt, refunds):
        return _of_receipt(payment, receipt, refunds, snapshot, policy, refund_id, now)
    if payment.status not in rules.REFUNDABLE | {Status.DISPUTED}:
        return NotTakenOver(f"the payment is {payment.status}")
    if receipt is None and snapshot.gateway_payment_id not in ("", payment.gateway_payment_id):
        return NotTakenOver("it is of a capture that nobody knows")
    left = payment.amount.minor - sum(each.amount.minor for each in rules.counted(refunds))
    if snapshot.amount.currency != payment.amount.currency or snapshot.amount.minor > left:
        return NotTakenOver(f"at most {left} of the payment could still be refunded")
    tax, credits = rules.split(payment, refunds, snapshot.amount)
    bearable = SpentCreditsPolicy.ABSORB if policy is SpentCreditsPolicy.BLOCK else policy
    return _refund(payment, payment.gateway_payment_id, snapshot, tax, credits, bearable, refund_id, now)


def _is_swapped(payment: Payment, receipt: Receipt, refunds: Collection[Refund]) -> bool:
    return any(
        each.receipt_id == receipt.id
        and each.is_counted
        and each.returned_payment_id == payment.gateway_payment_id != receipt.gateway_payment_id
        for each in refunds
    )


def _of_receipt(
    payment: Payment,
    receipt: Receipt,
    refunds: Collection[Refund],
    snapshot: RefundSnapshot,
    policy: SpentCreditsPolicy,
    refund_id: UUID,
    now: datetime,
) -> Refund | NotTakenOver:
    if any(each.receipt_id == receipt.id and each.is_counted for each in refunds):
        return NotTakenOver("a refund of the same receipt is under way or done")
    if snapshot.amount != Money(receipt.open_minor, receipt.amount.currency):
        return NotTakenOver(f"{receipt.open_minor} of the receipt are left")
    refund = _refund(
        payment,
        receipt.gateway_payment_id,
        snapshot,
        no_tax(snapshot.amount.currency),
        Credits(),
        policy,
        refund_id,
        now,
        receipt_id=receipt.id,
    )
    # It takes no credits, so that there is no hold to wait for.
    return msgspec.structs.replace(refund, status=rules.RefundStatus.PROCESSING)


def _refund(
    payment: Payment,
    gateway_payment_id: str,
    snapshot: RefundSnapshot,
    tax: Tax,
    credits: Credits,
    policy: SpentCreditsPolicy,
    refund_id: UUID,
    now: datetime,
    receipt_id: UUID | None = None,
) -> Refund:
    return Refund(
        id=refund_id,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        gateway=payment.gateway,
        gateway_payment_id=gateway_payment_id,
        receipt_id=receipt_id,
        amount=snapshot.amount,
        tax=tax,
        credits=credits,
        policy=policy,
        reason="made by the gateway" if snapshot.is_automatic else "made in the gateway's dashboard",
        source=RefundSource.GATEWAY,
        requested_by=f"gateway:{payment.gateway}",
        gateway_refund_id=snapshot.gateway_refund_id,
        returned_payment_id=snapshot.gateway_payment_id,
        bank_reference=snapshot.bank_reference,
        next_check_at=now,
        created_at=now,
        updated_at=now,
    )
