"""Receipts given back: when the policy does it, where it matters which capture goes back, what is done only once."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from common import ids
from common.money import Money
from gateways.refunds import RefundSnapshot
from gateways.refunds import RefundStatus as GatewayStatus
from payment.domain import receipt_refunds, receipts
from payment.domain.payments import Payment
from payment.domain.receipt_refunds import OrderMoney, ReceiptRefundPolicy, check_certain
from payment.domain.receipts import Receipt, ReceiptClosed, ReceiptReason
from payment.domain.refund_errors import ReceiptRefundAmbiguous, ReceiptRefundPending
from payment.domain.refund_takeovers import NotTakenOver, is_strange, taken_over
from payment.domain.refunds import Refund, RefundSource, RefundStatus
from payment.domain.spent_credits import SpentCreditsPolicy
from payment.domain.states import LateSuccessPolicy, SecondCapturePolicy, Status

from ..builders import NOW, Builders
from .test_refunds import a_refund

LEAVE, REFUND = SecondCapturePolicy.REVIEW, SecondCapturePolicy.REFUND


def a_receipt(payment: Payment, minor: int = 50_000, **fields: Any) -> Receipt:
    usual: dict[str, Any] = {
        "id": ids.new(),
        "payment_id": payment.id,
        "merchant_id": payment.merchant_id,
        "gateway": payment.gateway,
        "gateway_payment_id": f"cf_{ids.new().hex[:8]}",
        "reason": ReceiptReason.DUPLICATE,
        "amount": Money(minor),
        "received_at": NOW,
    }
    return Receipt(**usual | fields)


def refund_of(payment: Payment, receipt: Receipt, **fields: Any) -> Refund:
    refund = receipt_refunds.new_refund(
        payment,
        receipt,
        reason="captured twice",
        source=RefundSource.POLICY,
        requested_by="service:payment",
        policy=SpentCreditsPolicy.BLOCK,
        refund_id=ids.new(),
        now=NOW,
    )
    return replace(refund, **fields)


def paid(**fields: Any) -> Payment:
    return Builders.payment(Status.SUCCESS, gateway_payment_id="cf_1", paid_at=NOW, **fields)


# ── The policy ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reason", "policy", "due"),
    [
        (ReceiptReason.DUPLICATE, ReceiptRefundPolicy(second_capture=REFUND), timedelta(days=1)),
        (ReceiptReason.DUPLICATE, ReceiptRefundPolicy(second_capture=LEAVE), None),
        (ReceiptReason.DUPLICATE, ReceiptRefundPolicy(second_captures={"mer_commdesk": REFUND}), timedelta(days=1)),
        (
            ReceiptReason.DUPLICATE,
            ReceiptRefundPolicy(second_capture=REFUND, second_captures={"mer_commdesk": LEAVE}),
            None,
        ),
        (ReceiptReason.DUPLICATE, ReceiptRefundPolicy(second_captures={"mer_other": REFUND}), None),
        (ReceiptReason.LATE_SUCCESS, ReceiptRefundPolicy(late_success=LateSuccessPolicy.REFUND), timedelta(0)),
        (ReceiptReason.LATE_SUCCESS, ReceiptRefundPolicy(late_success=LateSuccessPolicy.REVIEW), None),
        (ReceiptReason.AMOUNT_MISMATCH, ReceiptRefundPolicy(second_capture=REFUND), None),
        (ReceiptReason.FLAGGED, ReceiptRefundPolicy(late_success=LateSuccessPolicy.REFUND), None),
    ],
)
def test_when_the_policy_gives_a_receipt_back(
    reason: ReceiptReason, policy: ReceiptRefundPolicy, due: timedelta | None
) -> None:
    receipt = a_receipt(paid(), reason=reason)
    assert policy.due_at(receipt, NOW) == (None if due is None else NOW + due)


# ── Which capture ────────────────────────────────────────────────────────────────────────────────────────────────────


def ambiguous(order: OrderMoney, *, names_payments: bool = False) -> bool:
    try:
        check_certain(order, names_payments=names_payments)
    except ReceiptRefundAmbiguous:
        return True
    return False


def test_one_capture_is_certain_and_one_of_two_equal_ones() -> None:
    unpaid = Builders.payment(Status.EXPIRED)
    only = a_receipt(unpaid, 20_000)
    assert not ambiguous(OrderMoney(payment=unpaid, receipts=[only], refunds=[], lost_minor=0))
    payment = paid()
    second = a_receipt(payment)
    assert not ambiguous(OrderMoney(payment=payment, receipts=[second], refunds=[], lost_minor=0))
    # Both go back, whole: the customer has everything again, whichever went first.
    all_of_it = a_refund(payment, 50_000, status=RefundStatus.SUCCESS)
    assert not ambiguous(OrderMoney(payment=payment, receipts=[second], refunds=[all_of_it], lost_minor=0))


def test_it_matters_which_capture_goes_back() -> None:
    payment = paid()
    second = a_receipt(payment)
    part = a_refund(payment, 10_000, status=RefundStatus.PROCESSING)
    orders = {
        "another amount": OrderMoney(payment=payment, receipts=[a_receipt(payment, 40_000)], refunds=[], lost_minor=0),
        "another currency": OrderMoney(
            payment=payment, receipts=[replace(second, amount=Money(50_000, "USD"))], refunds=[], lost_minor=0
        ),
        "a part went back": OrderMoney(payment=payment, receipts=[second], refunds=[part], lost_minor=0),
        "lost to a dispute": OrderMoney(payment=payment, receipts=[second], refunds=[], lost_minor=1),
        "under dispute": OrderMoney(
            payment=replace(payment, status=Status.DISPUTED), receipts=[second], refunds=[], lost_minor=0
        ),
        "partly used": OrderMoney(
            payment=payment,
            receipts=[second, a_receipt(payment, 50_000, applied_minor=40_000)],
            refunds=[],
            lost_minor=0,
        ),
    }
    assert [name for name, order in orders.items() if not ambiguous(order)] == []
    # A gateway whose refund names the capture needs none of that.
    assert not any(ambiguous(order, names_payments=True) for order in orders.values())
    failed = replace(part, status=RefundStatus.FAILED)
    assert not ambiguous(OrderMoney(payment=payment, receipts=[second], refunds=[failed], lost_minor=0))


# ── Once ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_being_refunded_is_used_for_nothing_else() -> None:
    payment = paid()
    refund_id = ids.new()
    receipt = receipts.refunding(a_receipt(payment, refund_due_at=NOW), refund_id)
    assert receipt.is_refunding and receipt.is_open and receipt.refund_due_at is None
    for act in (
        lambda: receipts.applied(receipt, payment.amount),
        lambda: receipts.refunding(receipt, ids.new()),
        lambda: receipts.refunded(receipt, "cf_by_hand"),
        lambda: receipts.refunded(receipt, "cf_other", ids.new()),
    ):
        with pytest.raises(ReceiptRefundPending):
            act()
    done = receipts.refunded(receipt, "cf_refund", refund_id)
    assert (done.refunded_minor, done.is_open, done.is_refunding) == (50_000, False, False)
    with pytest.raises(ReceiptClosed):
        receipts.refunding(done, ids.new())
    again = receipts.owed_again(done)
    assert (again.open_minor, again.gateway_refund_id, again.refund_id) == (50_000, "", None)


def snapshot(**fields: Any) -> RefundSnapshot:
    usual: dict[str, Any] = {
        "refund_id": "",
        "gateway_refund_id": "cfr_9",
        "order_id": "o",
        "gateway_payment_id": "cf_2",
        "status": GatewayStatus.SUCCESS,
        "amount": Money(50_000),
    }
    return RefundSnapshot(**usual | fields)


def test_nobodys_refunds_are_told_from_ours() -> None:
    assert is_strange(snapshot()) and is_strange(snapshot(refund_id="dashboard_7"))
    assert not is_strange(snapshot(refund_id=ids.encode("rfd", ids.new())))
    assert not is_strange(snapshot(status=GatewayStatus.FAILED))


def test_a_capture_that_paid_since_the_other_went_back_is_the_payments() -> None:
    payment = paid()
    receipt = a_receipt(payment, gateway_payment_id="cf_2")
    ours = refund_of(payment, receipt, status=RefundStatus.SUCCESS, gateway_refund_id="cfr_1")
    receipt = receipts.refunded(receipts.refunding(receipt, ours.id), "cfr_1", ours.id)

    def found(returned: str) -> Refund | NotTakenOver | None:
        refund = replace(ours, returned_payment_id=returned)
        return taken_over(payment, [refund], [receipt], snapshot(), SpentCreditsPolicy.DEBT, ids.new(), NOW)

    swapped = found("cf_1")
    assert isinstance(swapped, Refund)
    assert (swapped.receipt_id, swapped.amount.minor, swapped.credits) == (None, 50_000, payment.credits)
    assert isinstance(found("cf_2"), NotTakenOver)
    assert isinstance(found(""), NotTakenOver)
