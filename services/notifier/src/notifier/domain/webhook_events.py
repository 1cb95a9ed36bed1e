"""What merchants are told: the types of events, and an event as it is kept."""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

# The names that merchants know, in the pattern of requirements.md S003.
EVENT_TYPES: Final = frozenset(
    {
        *("payment.created", "payment.pending", "payment.success", "payment.failed"),
        *("payment.cancelled", "payment.expired"),
        *("refund.created", "refund.processed", "refund.failed", "refund.reversed"),
        *("dispute.created", "dispute.won", "dispute.lost"),
        "webhook.test",
    }
)
# The shape of the payloads; a change that breaks a reader makes another date.
VERSION: Final = "2026-11-01"


class WebhookEvent(Struct, frozen=True, kw_only=True):
    """One event, its body frozen: every delivery under its id has the same bytes."""

    # evt_…: the event's own id, so that the same event is never stored twice.
    id: UUID
    merchant_id: str
    type: str
    # What it is about (pay_…): deliveries about one thing to one endpoint go out in the order of *seq*.
    object_id: str
    seq: int
    at: datetime
    body: bytes
