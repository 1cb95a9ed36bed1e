"""The relay: publishes what was committed, marks what was confirmed, sweeps what was left behind.

The fast path publishes right after the commit from memory. The sweeper is the guarantee: it leases rows that nobody
marked in time, in one short statement, and publishes them. A duplicate is harmless, the inbox claims each once.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

from loguru import logger
from msgspec import Struct

from common import ids
from common.broker import Publisher
from common.database import Database, Row, Statement, is_transient
from common.guards import OUTBOX_LEASE, SWEEPER
from common.outbox import Outgoing

# Younger rows are still on the fast path of the process that committed them.
SWEEP_AFTER = timedelta(seconds=2)
# Rows of times to come were left behind by one whose clock was ahead. They are looked for as seldom as they are there.
SWEEPS_PER_LOOK_AHEAD = 10
SWEEP_ROWS = 200
# More than this in memory is left to the sweeper, so that a blocked broker does not fill the process.
IN_FLIGHT_MAX = 2_000


class Pace(Struct, frozen=True):
    """How often confirmed rows are marked and forgotten ones are swept."""

    mark_seconds: float = 0.3
    sweep_seconds: float = 1.0
    # Outlasts the publisher's confirm timeout, so that two sweepers do not send the same row at once.
    lease: timedelta = timedelta(seconds=30)


PACE = Pace()

# A lost mark only means that the row is published again: nothing waits for the disk.
_MARK = Statement(
    "outbox.mark",
    """
with without_flush as materialized (select set_config('synchronous_commit', 'off', true))
update outbox set published_at = now() from without_flush
where envelope_id = any(cast(:ids as uuid[])) and published_at is null
""",
)

_LEASE = Statement(
    "outbox.lease",
    """
update outbox set leased_until = now() + cast(:lease as interval)
where envelope_id in (
    select envelope_id from outbox
    where published_at is null and envelope_id >= :after and envelope_id < :before
      and (leased_until is null or leased_until < now())
    order by envelope_id limit :rows for update skip locked
)
returning envelope_id, exchange, routing_key, mandatory, type, headers, body
""",
)

# Without its guard: every row that is not marked, even one that another process is publishing.
_READ_UNLEASED = Statement(
    "outbox.read_unleased",
    """
select envelope_id, exchange, routing_key, mandatory, type, headers, body from outbox
where published_at is null and envelope_id >= :after and envelope_id < :before
  and cast(:lease as interval) > interval '0'
order by envelope_id limit :rows
""",
)

_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)


class Relay:
    """Start `run()`; `database.on_commit = relay.announce`; `drain()` before the process goes."""

    def __init__(self, db: Database, publisher: Publisher, pace: Pace = PACE) -> None:
        self._db = db
        self._publisher = publisher
        self._pace = pace
        self._lease_statement = _LEASE if db.guards.has(OUTBOX_LEASE) else _READ_UNLEASED
        self._sweeps_at_all = db.guards.has(SWEEPER)
        self._publishing: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._confirmed: list[UUID] = []
        self._sweeps = 0

    def announce(self, rows: Sequence[Outgoing]) -> None:
        """Publish committed rows now, in the background; what does not fit stays for the sweeper."""
        if self._in_flight + len(rows) > IN_FLIGHT_MAX:
            return
        self._in_flight += len(rows)
        task = asyncio.create_task(self._publish(rows), name="relay:publish")
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def run(self) -> None:
        """Mark and sweep until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(self._pace.mark_seconds, self.mark), name="relay:mark")
            tasks.create_task(self._every(self._pace.sweep_seconds, self.sweep), name="relay:sweep")

    async def drain(self) -> None:
        """Wait for what is being published, then mark it."""
        if self._publishing:
            await asyncio.wait(self._publishing)
        await self.mark()

    async def mark(self) -> int:
        """Mark what the broker confirmed; how many."""
        confirmed, self._confirmed = self._confirmed, []
        if not confirmed:
            return 0
        try:
            async with self._db.autocommit() as tx:
                await tx.execute(_MARK, ids=confirmed)
        except BaseException:
            self._confirmed.extend(confirmed)
            raise
        return len(confirmed)

    async def sweep(self) -> int:
        """Publish what was left behind; how many rows that was."""
        if not self._sweeps_at_all:
            return 0
        now = self._db.clock.now()
        count = await self._sweep(_FIRST, ids.lower_bound(now - SWEEP_AFTER))
        if self._sweeps % SWEEPS_PER_LOOK_AHEAD == 0:
            count += await self._sweep(ids.lower_bound(now + SWEEP_AFTER), _LAST)
        self._sweeps += 1
        return count

    async def run_once(self) -> int:
        """Mark, then sweep; how many rows were left behind."""
        await self.mark()
        return await self.sweep()

    async def _sweep(self, after: UUID, before: UUID) -> int:
        count = 0
        while True:
            async with self._db.autocommit() as tx:
                result = await tx.execute(
                    self._lease_statement, lease=self._pace.lease, after=after, before=before, rows=SWEEP_ROWS
                )
                rows = [_outgoing(row) for row in result]
            if not rows:
                return count
            count += len(rows)
            confirmed = await self._publisher.publish(rows)
            self._confirmed.extend(confirmed)
            await self.mark()
            if len(confirmed) < len(rows):
                # The broker blocks or a binding is missing: the lease is the pause.
                return count

    async def _publish(self, rows: Sequence[Outgoing]) -> None:
        try:
            confirmed = await self._publisher.publish(rows)
            # Not before it is known: `mark` takes the list away meanwhile, and what went into the old one is lost.
            self._confirmed.extend(confirmed)
        finally:
            self._in_flight -= len(rows)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - the relay outlives the database
                if not is_transient(error):
                    logger.exception("relay")


def _outgoing(row: Row) -> Outgoing:
    headers = json.loads(row.headers) if isinstance(row.headers, str) else row.headers
    return Outgoing(row.envelope_id, row.exchange, row.routing_key, row.mandatory, row.type, row.body, headers)
