"""Say whose API keys are, to every service; remember when they were last used."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from common.api_keys import KNOWN_KEYS, texts
from common.clock import Clock
from common.database import Database
from common.errors import require_at_most
from identity.domain.api_keys import ApiKey
from identity.store import api_keys as store

KEYS_MAX = 500
# Between two writes. A replica that ends loses this much of what it knows.
WRITE_SECONDS = 30.0

_KNOWN_DIGESTS = frozenset(texts.read(text).digest for text in KNOWN_KEYS.values())


class ApiKeyResolution:
    """Resolves keys by the digests of their texts. *known_keys*: whether those that everybody knows are keys at all.

    A service asks again after five seconds, so that being asked is being used.
    """

    def __init__(self, db: Database, clock: Clock, *, known_keys: bool) -> None:
        self._db = db
        self._clock = clock
        self._known_keys = known_keys
        self._uses: dict[UUID, datetime] = {}

    async def resolve(self, digests: Sequence[bytes]) -> list[ApiKey | None]:
        """For each digest the valid key of an active merchant, or None. Raises LimitExceeded."""
        require_at_most(KEYS_MAX, digests=len(digests))
        now = self._clock.now()
        sealer = self._db.sealer
        hashes = [
            store.key_hash(sealer, digest) if self._known_keys or digest not in _KNOWN_DIGESTS else b""
            for digest in digests
        ]
        async with self._db.autocommit() as tx:
            keys = await store.valid_by_hash(tx, set(hashes) - {b""}, now)
        self._uses |= {key.api_key_id: now for key in keys.values()}
        return [keys.get(each) for each in hashes]

    async def write_uses(self) -> None:
        """Store when keys were last used, all in one statement."""
        uses = dict(self._uses)
        async with self._db.begin() as tx:
            await store.save_uses(tx, uses)
        for api_key_id, used_at in uses.items():
            if self._uses.get(api_key_id) == used_at:
                del self._uses[api_key_id]
