"""Recently stored events: a filter in Redis before the database, `webhook:event:<digest>`.

Gateways send an event again and again; a repetition within the hour is answered without a transaction. Best effort: the
filter holds committed events only, its values are sealed, and for an event that it does not hold the unique keys of the
database decide. After a restore of the database from a backup Redis has to be emptied:
docs/operating/redis.md.
"""

from collections.abc import Sequence
from uuid import UUID

from redis.asyncio import Redis

from common import keys
from common.redis import BestEffortCache
from common.runtime import Workers
from common.seals import Sealer
from webhook_ingest.domain import Stored, Webhook

REMEMBERED_SECONDS = 3_600


class StoredEvents:
    """The ids that events are stored under."""

    def __init__(self, redis: Redis, sealer: Sealer) -> None:
        self._cache = BestEffortCache(redis, sealer, "stored_events", seconds=REMEMBERED_SECONDS)
        self.workers = Workers(batchers=(self._cache.reads, self._cache.writes))

    async def find(self, webhooks: Sequence[Webhook]) -> list[Stored | None]:
        """The stored event of each, None where the database has to decide. One round trip."""
        values = await self._cache.get_many([_key(webhook) for webhook in webhooks])
        return [Stored(UUID(bytes=value), True) if value and len(value) == 16 else None for value in values]

    def remember(self, webhook: Webhook, stored: Stored) -> None:
        """*webhook* is committed as *stored*."""
        self._cache.set(_key(webhook), stored.webhook_id.bytes)


def _key(webhook: Webhook) -> str:
    # The last of its keys says most: the event where it names itself, else the body.
    return keys.named("webhook:event", webhook.account_id, webhook.unique_keys[-1])
