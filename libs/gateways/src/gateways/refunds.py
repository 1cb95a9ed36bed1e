"""Refunds in the port: what a gateway is asked to give back, and what it says became of it."""

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import msgspec

from common.money import Money
from gateways.orders import OrderReference, Unknown


class RefundStatus(StrEnum):
    """The gateway's view of a refund."""

    # On hold and waiting included: nobody knows yet.
    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    # Failed and cancelled alike: the money stays with us.
    FAILED = "FAILED"
    # It had succeeded, and the customer's bank sent the money back.
    REVERSED = "REVERSED"


class RefundSpeed(StrEnum):
    STANDARD = "STANDARD"
    # Where the gateway and the method allow it; the gateway falls back to the standard one by itself.
    INSTANT = "INSTANT"


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway needs to give money back. *refund_id* is ours and makes a repeated call safe."""

    # rfd_…
    refund_id: str
    order: OrderReference
    # Which capture of the order is given back.
    gateway_payment_id: str
    amount: Money
    note: str = ""
    speed: RefundSpeed = RefundSpeed.STANDARD
    # Counts from 1 and never changes the refund's id.
    attempt: int = 1


class RefundSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A refund as the gateway shows it at one moment, in an answer or a webhook."""

    # Ours; for a refund that was made in the gateway's dashboard, what the dashboard gave it, or "".
    refund_id: str
    gateway_refund_id: str
    order_id: str
    gateway_payment_id: str
    status: RefundStatus
    amount: Money
    # ARN or RRN, once the bank has given one.
    bank_reference: str = ""
    # The gateway started it by itself (AUTO_REFUND_STATUS): nobody asked for it.
    is_automatic: bool = False
    processed_at: datetime | None = None


class RefundRefused(msgspec.Struct, frozen=True, gc=False):
    """A definite no: the refund was not made and will not be under this id."""

    # From REFUND_REFUSALS.
    reason: str


class RefundMissing(msgspec.Struct, frozen=True, gc=False):
    """The gateway does not know the refund."""

    refund_id: str


# Why a gateway refuses a refund, in one vocabulary for all gateways.
REFUND_REFUSALS = frozenset(
    {"amount_too_large", "balance_insufficient", "window_over", "not_paid", "disputed", "refund_unsupported", "refused"}
)

CreateRefundResult: TypeAlias = RefundSnapshot | RefundRefused | Unknown
ReadRefundResult: TypeAlias = RefundSnapshot | RefundMissing | Unknown
