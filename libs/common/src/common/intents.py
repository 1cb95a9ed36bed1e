"""Effects on the outside world: record the intent, commit, execute it, record the outcome.

An intent is a row that a leased worker executes between two short transactions. Where somebody waits for it, the
request that recorded it executes it at once (`leased=True`, then `execute`), and the worker is the guarantee.
An effect may be executed more than once (the process may die after it), so it is idempotent at its target. What it
needed, personal data among it, is forgotten once its outcome is recorded: a done intent has no payload.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from itertools import chain, repeat
from typing import Generic, TypeVar
from uuid import UUID

from loguru import logger
from msgspec import Struct

from common.batching import Batcher
from common.database import Database, Statement, Tx, is_transient, retried
from common.errors import DomainError
from common.guards import INTENT_LEASE

R = TypeVar("R")

POLL_SECONDS = 0.5
BACKOFF_SECONDS = (1, 2, 5, 15, 60, 300, 900)
RECORD_PAUSES_SECONDS = (0.1, 0.3, 1.0, 3.0)

_RECORD = Statement(
    "intents.record",
    """
insert into intents (intent_id, kind, payload, attempts, due_at, leased_until)
select intent_id, :kind, payload, case when :leased then 1 else 0 end, now(),
       case when :leased then now() + cast(:lease as interval) end
from unnest(cast(:ids as uuid[]), cast(:payloads as bytea[])) as row (intent_id, payload)
on conflict do nothing
""",
)
_EXISTING = Statement("intents.existing", "select intent_id from intents where intent_id = any(cast(:ids as uuid[]))")
_LEASE = Statement(
    "intents.lease",
    """
update intents set leased_until = now() + cast(:lease as interval), attempts = attempts + 1
where intent_id in (
    select intent_id from intents
    where kind = :kind and done_at is null and due_at <= now() and (leased_until is null or leased_until < now())
    order by due_at limit :rows for update skip locked
)
returning intent_id, payload, attempts
""",
)
# Without its guard: every intent that is not done, even one that another worker is executing.
_TAKE_UNLEASED = Statement(
    "intents.take_unleased",
    """
update intents set attempts = attempts + 1
where intent_id in (
    select intent_id from intents
    where kind = :kind and done_at is null and due_at <= now() and cast(:lease as interval) > interval '0'
    order by due_at limit :rows for update
)
returning intent_id, payload, attempts
""",
)
_DONE = Statement(
    "intents.done",
    """
update intents set done_at = now(), leased_until = null, last_error = null, payload = ''
where intent_id in (
    select intent_id from intents
    where intent_id = any(cast(:ids as uuid[])) and done_at is null order by intent_id for update
)
returning intent_id
""",
)
_RESCHEDULE = Statement(
    "intents.reschedule",
    """
update intents set due_at = now() + cast(:pause as interval), leased_until = null, last_error = :error
where intent_id = :id and done_at is null
""",
)
# Only while nobody else has leased it since: the number of attempts tells.
_REPLACE = Statement(
    "intents.replace",
    """
update intents set payload = :payload, leased_until = now() + cast(:lease as interval)
where intent_id = :id and done_at is null and attempts = :attempt
returning intent_id
""",
)
_FORGET = "delete from intents where done_at < now() - cast(:age as interval)"


class Intent(Struct, frozen=True):
    """One effect to execute. *attempt* counts from 1."""

    id: UUID
    payload: bytes
    attempt: int


class RetryLater(Exception):
    """Raised by an effect: not now. *code* says why, from the catalogue; no texts, they carry personal data."""

    def __init__(self, seconds: float, code: str) -> None:
        super().__init__(code)
        self.seconds = seconds
        self.code = code


class Intents(Generic[R]):
    """The intents of one kind.

    execute(intent) acts on the outside and returns its outcome; whatever it raises means "unknown", and it is tried
    again with backoff, up to *pause_seconds_max*. record_outcome(tx, [(intent, outcome)]) records a batch of them in
    the transaction that marks the intents done, so each is recorded once.
    """

    def __init__(
        self,
        db: Database,
        kind: str,
        execute: Callable[[Intent], Awaitable[R]],
        record_outcome: Callable[[Tx, Sequence[tuple[Intent, R]]], Awaitable[None]],
        *,
        concurrency: int = 16,
        lease_seconds: float = 60,
        pause_seconds_max: float = BACKOFF_SECONDS[-1],
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._db = db
        self.kind = kind
        self._execute = execute
        self._record_outcome = record_outcome
        self._concurrency = concurrency
        self._lease = timedelta(seconds=lease_seconds)
        self._pause_seconds_max = pause_seconds_max
        self._poll_seconds = poll_seconds
        self._lease_statement = _LEASE if db.guards.has(INTENT_LEASE) else _TAKE_UNLEASED
        self._executing = 0
        self._outcomes: Batcher[tuple[Intent, R], None] = Batcher(
            self._record_outcomes, name=f"intents:{kind}", expected=lambda: self._executing, clock=db.clock
        )
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: set[asyncio.Task[None]] = set()

    async def record(
        self, tx: Tx, payloads: Mapping[UUID, bytes], *, leased: bool = False, again: bool = False
    ) -> list[Intent]:
        """Write intents into *tx*; one that is there already is left as it is.

        *leased* keeps the worker off for the lease: the caller executes them itself after the commit.
        *again* is for intents that may well be there: it looks first, because an insert would wait for whoever is
        recording their outcome, who in turn waits for the aggregate that the caller has locked.
        """
        intent_ids = sorted(payloads)
        if payloads and again:
            existing = set((await tx.execute(_EXISTING, ids=intent_ids)).scalars())
            intent_ids = [intent_id for intent_id in intent_ids if intent_id not in existing]
        if intent_ids:
            await self._insert(tx, intent_ids, payloads, leased)
        return [Intent(intent_id, payload, 1) for intent_id, payload in payloads.items()]

    async def _insert(self, tx: Tx, intent_ids: Sequence[UUID], payloads: Mapping[UUID, bytes], leased: bool) -> None:
        await tx.write(
            "intents",
            _RECORD,
            kind=self.kind,
            ids=intent_ids,
            payloads=[payloads[intent_id] for intent_id in intent_ids],
            leased=leased,
            lease=self._lease,
        )
        if not leased:
            self._wake.set()

    async def execute(self, intent: Intent) -> R:
        """Execute and record the outcome, which is returned. Raises what the effect raised, after rescheduling it."""
        self._executing += 1
        try:
            outcome = await self._execute(intent)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self._reschedule(intent, error)
            raise
        finally:
            self._executing -= 1
        await self._outcomes.submit((intent, outcome), key=intent.id)
        return outcome

    async def replace(self, tx: Tx, intent: Intent, payload: bytes) -> bool:
        """Give an intent that is being executed another payload, and a new lease; False when it was overtaken."""
        rows = await tx.execute(_REPLACE, id=intent.id, payload=payload, lease=self._lease, attempt=intent.attempt)
        return rows.scalar() is not None

    async def run(self) -> None:
        """The worker: lease what is due and execute it, until `stop`."""
        while not self._stopping:
            try:
                free = self._concurrency - len(self._running)
                leased = await self.lease(free) if free > 0 else []
            except Exception as error:  # noqa: BLE001 - the worker outlives the database
                if not is_transient(error):
                    logger.bind(kind=self.kind).exception("intent worker")
                leased = []
            for intent in leased:
                self._start(intent)
            if not leased or len(self._running) >= self._concurrency:
                await self._sleep()

    async def run_once(self) -> int:
        """Lease what is due, at most *concurrency* of it, and execute it to its end; how many."""
        leased = await self.lease(self._concurrency)
        if leased:
            await asyncio.wait([self._start(intent) for intent in leased])
        return len(leased)

    async def lease(self, rows: int) -> list[Intent]:
        """Take up to *rows* intents that are due; nobody else gets them before the lease is over."""
        async with self._db.autocommit() as tx:
            result = await tx.execute(self._lease_statement, kind=self.kind, lease=self._lease, rows=rows)
            return [Intent(row.intent_id, row.payload, row.attempts) for row in result]

    def _start(self, intent: Intent) -> asyncio.Task[None]:
        task = asyncio.create_task(self._execute_logged(intent), name=f"intent:{self.kind}")
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    def stop(self) -> None:
        """Take nothing new."""
        self._stopping = True
        self._wake.set()

    async def drain(self) -> None:
        """Wait for what is being executed."""
        if self._running:
            await asyncio.wait(self._running)
        await self._outcomes.drain()

    async def forget(self, age: timedelta) -> None:
        """Delete what was done longer ago than *age*."""
        async with self._db.autocommit() as tx:
            await tx.execute(_FORGET, age=age)

    async def _execute_logged(self, intent: Intent) -> None:
        try:
            await self.execute(intent)
        except RetryLater:
            pass
        except Exception as error:  # noqa: BLE001 - it was rescheduled with its error class
            logger.bind(kind=self.kind, attempt=intent.attempt).warning("intent unknown: {}", type(error).__name__)

    async def _reschedule(self, intent: Intent, error: Exception) -> None:
        if isinstance(error, RetryLater):
            seconds, code = error.seconds, error.code
        else:
            step = min(intent.attempt, len(BACKOFF_SECONDS)) - 1
            pause_seconds = min(BACKOFF_SECONDS[step], self._pause_seconds_max)
            seconds = pause_seconds * self._db.random.uniform(0.8, 1.2)
            code = error.code if isinstance(error, DomainError) else type(error).__name__
        try:
            async with self._db.autocommit() as tx:
                await tx.execute(_RESCHEDULE, id=intent.id, pause=timedelta(seconds=seconds), error=code[:200])
        except Exception as failure:  # noqa: BLE001 - the lease expires
            logger.bind(kind=self.kind).warning("intent not rescheduled: {}", type(failure).__name__)

    async def _record_outcomes(self, outcomes: list[tuple[Intent, R]]) -> list[DomainError | None]:
        @retried
        async def record(db: Database) -> None:
            async with db.begin() as tx:
                # First, and only what was not recorded before: a commit that nobody knows of, or another worker's.
                rows = await tx.execute(_DONE, ids=sorted(intent.id for intent, _ in outcomes))
                open_ids = set(rows.scalars())
                fresh = [(intent, outcome) for intent, outcome in outcomes if intent.id in open_ids]
                if fresh:
                    await self._record_outcome(tx, fresh)

        # The effect has happened: to forget its outcome over a lost connection would be to execute it again once the
        # lease is over. So recording is tried again for as long as nobody else may, and each outcome is recorded once.
        ours_until = self._db.clock.monotonic() + self._lease.total_seconds()
        for pause_seconds in chain(RECORD_PAUSES_SECONDS, repeat(RECORD_PAUSES_SECONDS[-1])):
            try:
                await record(self._db)
                break
            except Exception as error:
                if not is_transient(error) or self._db.clock.monotonic() > ours_until:
                    raise
                logger.bind(kind=self.kind).warning("outcomes wait: {}", type(error).__name__)
            await asyncio.sleep(pause_seconds)
        return [None] * len(outcomes)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
