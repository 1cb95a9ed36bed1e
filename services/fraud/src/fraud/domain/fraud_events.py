"""Stored decisions: what was not ALLOW."""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from fraud.domain.rules import Decision

FRAUD_EVENTS_MAX: Final = 500


class FraudEvent(Struct, frozen=True):
    """A stored decision."""

    event_id: UUID
    at: datetime
    merchant_id: str
    payment_id: UUID
    user_id: str
    score: int
    decision: Decision
    reasons: tuple[str, ...]


class FraudEventsFilter(Struct, frozen=True):
    """Which stored decisions to list: those of *reference* (a payment, user, address or device), or all."""

    reference: str
    # The reference as a payment id, where it is one.
    payment_id: UUID | None
    limit: int
