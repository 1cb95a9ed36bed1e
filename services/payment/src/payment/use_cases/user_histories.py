"""A user's latest payments as older clients read them, kept in Redis for two hours: `payment_history:<digest>`.

What is kept was read under a fingerprint of the payments and their refunds, and opens under that one only: a new
payment or a change of one makes another fingerprint, and the page is read anew. So nothing has to be told when a
payment changes, and an answer is never older than the database (decision 71).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from common import keys
from common.database import Database
from common.redis import BestEffortCache
from common.runtime import Workers
from common.tokens import Caller
from payment.domain.errors import PaymentNotFound
from payment.domain.history import HistoryFilter
from payment.store import queries
from payment.use_cases.payments import may_see
from payment.wire import older_clients

KEEP_SECONDS: Final = 7_200
# How many of the latest payments are kept; what is older is read from the database.
KEPT: Final = 50


class UserHistories:
    def __init__(self, db: Database, redis: Redis) -> None:
        self._db = db
        self._cache = BestEffortCache(redis, db.sealer, "histories", seconds=KEEP_SECONDS)

    @property
    def workers(self) -> Workers:
        return Workers(batchers=(self._cache.reads, self._cache.writes))

    async def read(self, caller: Caller, wanted: HistoryFilter) -> Sequence[Mapping[str, Any]]:
        """A page of a user's payments, newest first. Raises PaymentNotFound for users whose payments are not shown."""
        if not may_see(caller, caller.merchant_id, wanted.user_id) or "\0" in wanted.user_id:
            raise PaymentNotFound("there is no such user")
        latest = HistoryFilter(user_id=wanted.user_id, limit=KEPT)
        is_latest = msgspec.structs.replace(wanted, limit=KEPT, skip=0) == latest
        if not is_latest or wanted.skip + wanted.limit > KEPT:
            return (await self._load(caller.merchant_id, wanted))[: wanted.limit]
        return (await self._latest(caller.merchant_id, latest))[wanted.skip : wanted.skip + wanted.limit]

    async def _latest(self, merchant_id: str, latest: HistoryFilter) -> Sequence[Mapping[str, Any]]:
        key = keys.named("payment_history", merchant_id, latest.user_id)
        async with self._db.begin() as tx:
            # Before what it is of: a change in between is kept under the older fingerprint, which never comes back.
            fingerprint = await queries.history_fingerprint(tx, merchant_id, latest.user_id, KEPT)
        if (kept := await self._cache.get(key, fingerprint)) is not None:
            items: list[Mapping[str, Any]] = msgspec.json.decode(kept)
            return items
        loaded = (await self._load(merchant_id, latest))[:KEPT]
        self._cache.set(key, msgspec.json.encode(loaded), fingerprint)
        return loaded

    async def _load(self, merchant_id: str, wanted: HistoryFilter) -> Sequence[Mapping[str, Any]]:
        async with self._db.begin() as tx:
            payments = await queries.history(tx, merchant_id, wanted)
            refunds = await queries.refund_statuses(tx, [payment.id for payment in payments])
        return [older_clients.item(payment, refunds[payment.id]) for payment in payments]


async def item_with_history(db: Database, payment_id: UUID) -> Mapping[str, Any]:
    """A payment as older clients read one: with its moves and what became of its refunds."""
    async with db.begin() as tx:
        [payment] = await queries.payments_by_id(tx, [payment_id])
        moves = await queries.transitions_of(tx, payment_id)
        refunds = await queries.refund_statuses(tx, [payment_id])
    return older_clients.item(payment, refunds[payment_id], moves)
