"""Effects on the outside world: record the intent, commit, carry it out, record the outcome.

An intent is a row that a leased worker carries out between two short transactions. Where somebody waits for it, the
request that recorded it carries it out at once (`leased=True`, then `carry_out`), and the worker is the guarantee.
An effect may be carried out more than once (the process may die after it), so `perform` is idempotent at its target.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, repeat
from typing import Generic, TypeVar
from uuid import UUID

from loguru import logger

from common.batching import Batcher
from common.database import Database, Tx, is_transient, retried
from common.errors import DomainError

R = TypeVar("R")

POLL_SECONDS = 0.5
BACKOFF_SECONDS = (1, 2, 5, 15, 60, 300, 900)
SETTLE_PAUSES_SECONDS = (0.1, 0.3, 1.0, 3.0)

_RECORD = """
insert into intents (intent_id, kind, payload, attempts, due_at, leased_until)
select intent_id, :kind, payload, case when :leased then 1 else 0 end, now(),
       case when :leased then now() + cast(:lease as interval) end
from unnest(cast(:ids as uuid[]), cast(:payloads as bytea[])) as row (intent_id, payload)
on conflict do nothing
"""
_KNOWN = "select intent_id from intents where intent_id = any(cast(:ids as uuid[]))"
_LEASE = """
update intents set leased_until = now() + cast(:lease as interval), attempts = attempts + 1
where intent_id in (
    select intent_id from intents
    where kind = :kind and done_at is null and due_at <= now() and (leased_until is null or leased_until < now())
    order by due_at limit :rows for update skip locked
)
returning intent_id, payload, attempts
"""
_DONE = """
update intents set done_at = now(), leased_until = null, last_error = null
where intent_id in (
    select intent_id from intents
    where intent_id = any(cast(:ids as uuid[])) and done_at is null order by intent_id for update
)
returning intent_id
"""
_LATER = """
update intents set due_at = now() + cast(:pause as interval), leased_until = null, last_error = :error
where intent_id = :id and done_at is null
"""
_FORGET = "delete from intents where done_at < now() - cast(:age as interval)"


@dataclass(frozen=True, slots=True)
class Intent:
    """One effect to carry out. *attempt* counts from 1."""

    id: UUID
    payload: bytes
    attempt: int


class Later(Exception):
    """Raised by `perform`: not now. *code* says why, from the catalogue; no texts, they carry personal data."""

    def __init__(self, seconds: float, code: str) -> None:
        super().__init__(code)
        self.seconds = seconds
        self.code = code


class Intents(Generic[R]):
    """The intents of one kind.

    perform(intent) acts on the outside and returns what became of it; whatever it raises means "unknown", and it is
    tried again with backoff, up to *pause_seconds_max*. settle(tx, [(intent, result)]) records outcomes, a batch at a
    time, in the transaction that marks the intents done, so each is settled once.
    """

    def __init__(
        self,
        db: Database,
        kind: str,
        perform: Callable[[Intent], Awaitable[R]],
        settle: Callable[[Tx, Sequence[tuple[Intent, R]]], Awaitable[None]],
        *,
        concurrency: int = 16,
        lease_seconds: float = 60,
        pause_seconds_max: float = BACKOFF_SECONDS[-1],
    ) -> None:
        self._db = db
        self.kind = kind
        self._perform = perform
        self._settle = settle
        self._concurrency = concurrency
        self._lease = timedelta(seconds=lease_seconds)
        self._pause_seconds_max = pause_seconds_max
        self._performing = 0
        self._settling: Batcher[tuple[Intent, R], None] = Batcher(
            self._settle_batch, name=f"intents:{kind}", expected=lambda: self._performing
        )
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: set[asyncio.Task[None]] = set()

    async def record(
        self, tx: Tx, payloads: Mapping[UUID, bytes], *, leased: bool = False, again: bool = False
    ) -> list[Intent]:
        """Write intents into *tx*; one that is there already is left as it is.

        *leased* keeps the worker off for the lease: the caller carries them out itself after the commit.
        *again* is for intents that may well be there: it looks first, because an insert would wait for whoever is
        settling them, who in turn waits for the aggregate that the caller has locked.
        """
        intent_ids = sorted(payloads)
        if payloads and again:
            known = set((await tx.execute(_KNOWN, ids=intent_ids)).scalars())
            intent_ids = [intent_id for intent_id in intent_ids if intent_id not in known]
        if intent_ids:
            await self._insert(tx, intent_ids, payloads, leased)
        return [Intent(intent_id, payload, 1) for intent_id, payload in payloads.items()]

    async def _insert(self, tx: Tx, intent_ids: Sequence[UUID], payloads: Mapping[UUID, bytes], leased: bool) -> None:
        await tx.write(
            _RECORD,
            kind=self.kind,
            ids=intent_ids,
            payloads=[payloads[intent_id] for intent_id in intent_ids],
            leased=leased,
            lease=self._lease,
        )
        if not leased:
            self._wake.set()

    async def carry_out(self, intent: Intent) -> R:
        """Perform and settle; the result. Raises what `perform` raised, after putting the intent off."""
        self._performing += 1
        try:
            result = await self._perform(intent)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self._put_off(intent, error)
            raise
        finally:
            self._performing -= 1
        await self._settling.submit((intent, result), key=intent.id)
        return result

    async def run(self) -> None:
        """The worker: lease what is due and carry it out, until `stop`."""
        while not self._stopping:
            try:
                free = self._concurrency - len(self._running)
                leased = await self._take(free) if free > 0 else []
            except Exception as error:  # noqa: BLE001 - the worker outlives the database
                if not is_transient(error):
                    logger.bind(kind=self.kind).exception("intent worker")
                leased = []
            for intent in leased:
                task = asyncio.create_task(self._carry_out_quietly(intent), name=f"intent:{self.kind}")
                self._running.add(task)
                task.add_done_callback(self._finished)
            if not leased or len(self._running) >= self._concurrency:
                await self._sleep()

    def stop(self) -> None:
        """Take nothing new."""
        self._stopping = True
        self._wake.set()

    async def drain(self) -> None:
        """Wait for what is being carried out."""
        if self._running:
            await asyncio.wait(self._running)
        await self._settling.drain()

    async def forget(self, age: timedelta) -> None:
        """Delete what was done longer ago than *age*."""
        async with self._db.autocommit() as tx:
            await tx.execute(_FORGET, age=age)

    async def _take(self, rows: int) -> list[Intent]:
        async with self._db.autocommit() as tx:
            result = await tx.execute(_LEASE, kind=self.kind, lease=self._lease, rows=rows)
            return [Intent(row.intent_id, row.payload, row.attempts) for row in result]

    async def _carry_out_quietly(self, intent: Intent) -> None:
        try:
            await self.carry_out(intent)
        except Later:
            pass
        except Exception as error:  # noqa: BLE001 - it was put off with its error class
            logger.bind(kind=self.kind, attempt=intent.attempt).warning("intent unknown: {}", type(error).__name__)

    async def _put_off(self, intent: Intent, error: Exception) -> None:
        if isinstance(error, Later):
            seconds, code = error.seconds, error.code
        else:
            step = min(intent.attempt, len(BACKOFF_SECONDS)) - 1
            pause_seconds = min(BACKOFF_SECONDS[step], self._pause_seconds_max)
            seconds = pause_seconds * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
            code = error.code if isinstance(error, DomainError) else type(error).__name__
        try:
            async with self._db.autocommit() as tx:
                await tx.execute(_LATER, id=intent.id, pause=timedelta(seconds=seconds), error=code[:200])
        except Exception as failure:  # noqa: BLE001 - the lease runs out by itself
            logger.bind(kind=self.kind).warning("intent not put off: {}", type(failure).__name__)

    async def _settle_batch(self, outcomes: list[tuple[Intent, R]]) -> list[DomainError | None]:
        @retried
        async def settle(db: Database) -> None:
            async with db.begin() as tx:
                # First, and only what was not settled before: a commit that nobody knows of, or another worker's.
                rows = await tx.execute(_DONE, ids=sorted(intent.id for intent, _ in outcomes))
                open_ids = set(rows.scalars())
                fresh = [(intent, result) for intent, result in outcomes if intent.id in open_ids]
                if fresh:
                    await self._settle(tx, fresh)

        # The effect has happened: to forget its outcome over a lost connection would be to carry it out again once
        # the lease is over. So settling is tried again for as long as nobody else may, and each intent is settled once.
        ours_until = time.monotonic() + self._lease.total_seconds()
        for pause_seconds in chain(SETTLE_PAUSES_SECONDS, repeat(SETTLE_PAUSES_SECONDS[-1])):
            try:
                await settle(self._db)
                break
            except Exception as error:
                if not is_transient(error) or time.monotonic() > ours_until:
                    raise
                logger.bind(kind=self.kind).warning("outcomes wait: {}", type(error).__name__)
            await asyncio.sleep(pause_seconds)
        return [None] * len(outcomes)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
