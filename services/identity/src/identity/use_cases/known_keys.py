"""The API keys that everybody knows, of the merchant for trying things out. In local stacks only (TEST_MERCHANT)."""

from datetime import date
from typing import Final

from common import ids
from common.api_keys import KNOWN_KEYS, Kind, texts
from common.api_versions import LATEST
from common.clock import Clock
from common.database import Database
from identity.domain.api_keys import ApiKey, Limits
from identity.store import api_keys as store
from identity.store import queries

# The platform's own test environment.
MERCHANT_ID: Final = "mer_commdesk_test"
# Pages of somebody's own machine: the documents' demo shop and test merchant, and what frameworks serve by default.
ORIGINS: Final = tuple(f"http://localhost:{port}" for port in (3000, 3001, 4000, 5173, 8080))
# Often enough that nobody waits for them after a start; once they are there nothing is done.
SEED_SECONDS: Final = 2.0

_IDS: Final = {kind: ids.derived(date(2026, 11, 28), text.encode()) for kind, text in KNOWN_KEYS.items()}
_KINDS: Final[tuple[Kind, ...]] = ("publishable", "secret")


class KnownKeys:
    """Makes them when they are not there; one that was revoked stays so."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._are_there = False

    async def seed(self) -> None:
        if self._are_there:
            return
        async with self._db.begin() as tx:
            if MERCHANT_ID not in await queries.environments(tx, {MERCHANT_ID}):
                return
            now = self._clock.now()
            keys = [
                ApiKey(
                    api_key_id=_IDS[kind],
                    merchant_id=MERCHANT_ID,
                    kind=kind,
                    name="Known to everybody",
                    prefix=texts.prefix(kind, "test"),
                    last_four=KNOWN_KEYS[kind][-4:],
                    key_hash=store.key_hash(tx.sealer, texts.read(KNOWN_KEYS[kind]).digest),
                    limits=Limits(origins=ORIGINS if kind == "publishable" else ()),
                    api_version=LATEST,
                    created_by="operator:test-merchant",
                    created_at=now,
                )
                for kind in _KINDS
            ]
            await store.insert(tx, keys)
        self._are_there = True
