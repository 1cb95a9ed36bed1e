"""Batches of payments: many requests in one, each with a result of its own."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from common.errors import NotFound
from payment.domain.purchases import Purchase

PREFIX: Final = "bat"
ITEMS_MAX: Final = 500


class BatchNotFound(NotFound):
    fix = "Check the batch id, and that the batch is yours."


class ItemStatus(StrEnum):
    # Not tried yet, or tried without an answer of the gateway: it is tried on.
    PENDING = "PENDING"
    CREATED = "CREATED"
    REFUSED = "REFUSED"


class BatchItem(msgspec.Struct, frozen=True):
    """One request of a batch; *id* is that of the intent that carries it out."""

    id: UUID
    position: int
    status: ItemStatus = ItemStatus.PENDING
    payment_id: str = ""
    # Of the catalogue, where it was refused.
    error_code: str = ""

    def __post_init__(self) -> None:
        if bool(self.payment_id) != (self.status is ItemStatus.CREATED):
            raise ValueError("a created item names its payment")
        if bool(self.error_code) != (self.status is ItemStatus.REFUSED):
            raise ValueError("a refused item says why")


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    merchant_id: str
    user_id: str
    items: Sequence[BatchItem]
    created_at: datetime

    def count(self, status: ItemStatus) -> int:
        return sum(item.status is status for item in self.items)


class ItemRequest(msgspec.Struct, frozen=True):
    """What an item asks for, personal data sealed: the payload of its intent."""

    purchase: Purchase
    fingerprint: bytes
