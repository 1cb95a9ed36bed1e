"""Billing figures: events, and a merchant's days."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class BillingKind(StrEnum):
    PAYMENT_CREATED = "payment.created"
    PAYMENT_SUCCEEDED = "payment.success"
    PAYMENT_FAILED = "payment.failed"
    WEBHOOK_FAILED = "webhook.failure"


class BillingEvent(NamedTuple):
    """Figures of one event; what a kind does not have is empty or zero. Amounts are minor units."""

    event_id: UUID
    kind: BillingKind
    merchant_id: str
    payment_id: str
    amount_minor: int
    currency: str
    gateway: str
    method: str
    pack_id: str
    reason: str
    duration_micros: int
    time_unix_micros: int


class BillingDay(NamedTuple):
    """A merchant's day (UTC) in one currency."""

    day: str
    currency: str
    created: int
    succeeded: int
    failed: int
    created_minor: int
    succeeded_minor: int
    failed_minor: int
    duration_micros: int
