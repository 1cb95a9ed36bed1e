"""What is read of settlements and of what payment believes: for FINANCE, the reconciler and operators."""

from datetime import datetime
from uuid import UUID

import msgspec

from payment.domain.payments import Payment
from payment.domain.settlements import Settlement


class Changed(msgspec.Struct, frozen=True):
    """A settlement and how many of its rows were shown otherwise later."""

    settlement: Settlement
    conflicts: int


class PaymentChange(msgspec.Struct, frozen=True):
    at: datetime
    payment_id: UUID


class PaymentRecord(msgspec.Struct, frozen=True):
    """What payment believes of one payment. *webhook_at*: since when an attempt that a webhook confirmed is known."""

    payment: Payment
    account_id: str
    refunded_minor: int
    is_confirmed: bool
    settlement_status: str
    webhook_at: datetime | None
    unapplied_minor: int


class SettlementFilter(msgspec.Struct, frozen=True):
    merchant_id: str
    status: str | None
    before: UUID | None
    limit: int
