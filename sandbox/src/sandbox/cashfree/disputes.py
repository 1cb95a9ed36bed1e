"""Disputes: raised, moved from stage to stage, won and lost on command, and each time announced by webhook."""

from typing import Any

import msgspec

from sandbox.cashfree import errors
from sandbox.cashfree.announcer import Announcer
from sandbox.cashfree.domain import Dispute, Order
from sandbox.cashfree.order_registry import OrderRegistry
from sandbox.clock import ist, now
from sandbox.money import shortest, two_decimals

STAGES = ("DISPUTE", "CHARGEBACK", "RETRIEVAL", "PRE_ARBITRATION", "ARBITRATION")
STEPS = ("CREATED", "DOCS_RECEIVED", "UNDER_REVIEW", "INSUFFICIENT_EVIDENCE")
WON = "MERCHANT_WON"
ENDS = (WON, "MERCHANT_LOST", "MERCHANT_ACCEPTED")
_REASONS = {
    "1401": "Fraud Transaction",
    "1402": "Duplicate Processing",
    "4855": "Goods or Services Not Provided",
}
_NEVER = "9999-09-09T00:00:00"


class Disputes:
    """The disputes of all orders, by their ids."""

    def __init__(self, orders: OrderRegistry, announcer: Announcer) -> None:
        self._orders = orders
        self._announcer = announcer
        self._by_id: dict[int, Dispute] = {}

    def start(
        self, order: Order, *, amount_paise: int | None, stage: str, reason_code: str, respond_in_seconds: int
    ) -> Dispute:
        """A customer asks the bank for the money of an order's first successful payment back; raises Refused."""
        captured = order.captured()
        if not captured:
            raise errors.not_paid()
        dispute = Dispute(
            dispute_id=self._orders.next_id(),
            cf_payment_id=captured[0].cf_payment_id,
            order_id=order.order_id,
            amount_paise=captured[0].amount_paise if amount_paise is None else amount_paise,
            currency=order.currency,
            reason_code=reason_code,
            stage=stage,
            created_at=now(),
            updated_at=now(),
            respond_by=now() + respond_in_seconds,
        )
        self._by_id[dispute.dispute_id] = dispute
        order.disputes.append(dispute)
        self._announcer.dispute(order, "DISPUTE_CREATED", webhook(order, dispute, ""))
        return dispute

    def move(self, dispute: Dispute, *, stage: str, step: str, respond_in_seconds: int | None) -> None:
        """Give a dispute another stage or step; the same again is a comment."""
        order = self._orders.order(dispute.order_id)
        update = "COMMENT_UPDATE"
        if stage != dispute.stage:
            update = "TYPE_UPDATE"
        elif step != dispute.step:
            update = "STATUS_UPDATE"
        dispute.stage, dispute.step = stage, step
        # Two updates within a second are two moments.
        dispute.updated_at = max(now(), dispute.updated_at + 1)
        dispute.resolved_at = dispute.updated_at if step in ENDS else None
        if respond_in_seconds is not None:
            dispute.respond_by = now() + respond_in_seconds
        event = "DISPUTE_CLOSED" if step in ENDS else "DISPUTE_UPDATED"
        self._announcer.dispute(order, event, webhook(order, dispute, update))

    def dispute(self, dispute_id: str) -> Dispute:
        """The dispute of that id; raises Refused."""
        dispute = self._by_id.get(int(dispute_id)) if dispute_id.isascii() and dispute_id.isdigit() else None
        if dispute is None:
            raise errors.dispute_not_found()
        return dispute

    def clear(self) -> None:
        """Forget every dispute."""
        self._by_id.clear()


def status(it: Dispute) -> str:
    """dispute_status: one of 35, a stage and a step."""
    return f"{it.stage}_{it.step}"


def entity(order: Order, it: Dispute) -> dict[str, Any]:
    """The dispute as answers show it: ids as numbers, times without an offset, resolved in the year 9999 while open."""
    return {
        "dispute_id": it.dispute_id,
        "dispute_type": it.stage,
        "reason_code": int(it.reason_code) if it.reason_code.isdigit() else it.reason_code,
        "reason_description": _REASONS.get(it.reason_code, "Other"),
        "dispute_amount": msgspec.Raw(shortest(it.amount_paise).encode()),
        "dispute_amount_currency": it.currency,
        "created_at": _local(it.created_at),
        "respond_by": _local(it.respond_by),
        "updated_at": _local(it.updated_at),
        "resolved_at": _NEVER if it.resolved_at is None else _local(it.resolved_at),
        "dispute_status": status(it),
        "cf_dispute_remarks": "Simulated",
        "preferred_evidence": [],
        "dispute_evidence": [],
        "order_details": {
            "order_id": order.order_id,
            "order_currency": order.currency,
            "order_amount": msgspec.Raw(shortest(order.amount_paise).encode()),
            "cf_payment_id": it.cf_payment_id,
            "payment_currency": order.currency,
            "payment_amount": msgspec.Raw(shortest(order.amount_paise).encode()),
        },
        "customer_details": msgspec.Raw(order.customer),
    }


def webhook(order: Order, it: Dispute, update: str) -> dict[str, Any]:
    """The data of a webhook about it: ids as texts, times with their offset, no currency beside the disputed amount."""
    dispute: dict[str, Any] = {
        "dispute_id": str(it.dispute_id),
        "dispute_type": it.stage,
        "reason_code": it.reason_code,
        "reason_description": _REASONS.get(it.reason_code, "Other"),
        "dispute_amount": msgspec.Raw(two_decimals(it.amount_paise).encode()),
        "created_at": ist(it.created_at),
        "updated_at": ist(it.updated_at),
        "respond_by": ist(it.respond_by),
        "dispute_status": status(it),
        "cf_dispute_remarks": "Simulated",
    }
    if it.resolved_at is not None:
        dispute["resolved_at"] = ist(it.resolved_at)
    else:
        dispute["dispute_action_on"] = "MERCHANT" if it.step in ("CREATED", "INSUFFICIENT_EVIDENCE") else "CASHFREE"
    if update:
        dispute["dispute_update"] = update
    amount = msgspec.Raw(two_decimals(order.amount_paise).encode())
    return {
        "dispute": dispute,
        "order_details": {
            "order_id": order.order_id,
            "order_amount": amount,
            "order_currency": order.currency,
            "cf_payment_id": it.cf_payment_id,
            "payment_amount": amount,
            "payment_currency": order.currency,
        },
        "customer_details": msgspec.Raw(order.customer),
    }


def _local(seconds: int) -> str:
    return ist(seconds).removesuffix("+05:30")
