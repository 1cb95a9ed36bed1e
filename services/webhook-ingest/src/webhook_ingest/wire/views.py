"""Domain → JSON."""

import msgspec

from common import ids
from webhook_ingest.domain import Stored


class StoredWebhookView(msgspec.Struct, frozen=True, rename="camel"):
    """The webhook is stored; a duplicate is answered like the first and has no second effect."""

    event_id: str
    duplicate: bool


def stored(stored: Stored) -> StoredWebhookView:
    return StoredWebhookView(ids.encode("evt", stored.webhook_id), stored.duplicate)
