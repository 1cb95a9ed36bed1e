"""Disputes in the port: a customer asks the bank for the money back."""

from datetime import datetime
from enum import StrEnum

import msgspec

from common.money import Money


class DisputeStatus(StrEnum):
    """How far a dispute has come, in one vocabulary for all gateways."""

    OPEN = "OPEN"
    UNDER_REVIEW = "UNDER_REVIEW"
    WON = "WON"
    LOST = "LOST"


class DisputeSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A dispute as the gateway shows it at one moment, in a list or a webhook. No personal data."""

    gateway_dispute_id: str
    # Ours; "" where the gateway names the payment only.
    order_id: str
    gateway_payment_id: str
    status: DisputeStatus
    amount: Money
    # The gateway's code, never a text.
    reason_code: str = ""
    # Until when evidence may be sent.
    respond_by: datetime | None = None
    # When the gateway last changed it; orders snapshots of one dispute.
    updated_at: datetime | None = None
