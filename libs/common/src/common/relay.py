"""The relay: publishes what was committed, marks what was confirmed, sweeps what was left behind.

The fast path publishes right after the commit from memory. The sweeper is the guarantee: it leases rows that nobody
marked in time, in one short statement, and publishes them. A duplicate is harmless, the inbox claims each once.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from loguru import logger
from msgspec import Struct
from opentelemetry.trace import SpanKind

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from common import context, ids, outbox, telemetry
from common.broker import Publisher, Receipt
from common.database import Database, Row, Statement, is_transient
from common.events import alert
from common.guards import OUTBOX_LEASE, SWEEPER
from common.outbox import Outgoing
from common.topology import REQUEUE

# Younger rows are still on the fast path of the process that committed them.
SWEEP_AFTER = timedelta(seconds=2)
# Rows of times to come were left behind by one whose clock was ahead. They are looked for as seldom as they are there.
SWEEPS_PER_LOOK_AHEAD = 10
SWEEP_ROWS = 200
# More than this in memory is left to the sweeper, so that a blocked broker does not fill the process.
IN_FLIGHT_MAX = 2_000


# How long a row for which the broker closes the channel is not tried again.
PARKED = timedelta(minutes=10)
_ALERT = AdminAlertRaised.DESCRIPTOR.full_name


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
returning envelope_id, exchange, routing_key, mandatory, type, headers, body, refused
""",
)

# Without its guard: every row that is not marked, even one that another process is publishing.
_READ_UNLEASED = Statement(
    "outbox.read_unleased",
    """
select envelope_id, exchange, routing_key, mandatory, type, headers, body, refused from outbox
where published_at is null and envelope_id >= :after and envelope_id < :before
  and cast(:lease as interval) > interval '0'
order by envelope_id limit :rows
""",
)

# Not published for a while, then tried again: a repair of the rights or the contract need not release it.
_PARK = Statement(
    "outbox.park",
    """
with parked as (
    select o.envelope_id, o.refused is null as is_new, row.answer
    from unnest(cast(:ids as uuid[]), cast(:answers as text[])) as row (envelope_id, answer)
    join outbox o on o.envelope_id = row.envelope_id and o.published_at is null
    order by o.envelope_id for no key update of o
)
update outbox set refused = parked.answer, leased_until = now() + cast(:pause as interval)
from parked where outbox.envelope_id = parked.envelope_id
returning outbox.envelope_id, exchange, routing_key, type, is_new
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
                rows = list(result)
            if not rows:
                return count
            count += len(rows)
            # Those that were refused before go alone from the start.
            receipts = [
                await self._publisher.publish([_outgoing(row) for row in rows if row.refused is None]),
                await self._publisher.publish_singly([_outgoing(row) for row in rows if row.refused is not None]),
            ]
            for receipt in receipts:
                await self._note(receipt)
            await self.mark()
            if sum(len(receipt.confirmed) for receipt in receipts) < len(rows):
                # The broker blocks or a binding is missing: the lease is the pause.
                return count

    async def _publish(self, rows: Sequence[Outgoing]) -> None:
        # The task has the context of the work that committed.
        traceparent = context.current().traceparent
        started_ns = time.time_ns() if telemetry.is_sampled(traceparent) else 0
        try:
            # Noted when it is known: `mark` takes the list away meanwhile, and what went into the old one is lost.
            await self._note(await self._publisher.publish(rows))
        finally:
            self._in_flight -= len(rows)
            if started_ns:
                telemetry.record_span(
                    "outbox publish",
                    context.child_traceparent(traceparent),
                    started_ns,
                    time.time_ns(),
                    parent=traceparent,
                    kind=SpanKind.PRODUCER,
                    attributes={"messaging.system": "rabbitmq", "messaging.batch.message_count": len(rows)},
                )

    async def _note(self, receipt: Receipt) -> None:
        """What is confirmed is to be marked; what the broker closes the channel for is parked, with an alert."""
        self._confirmed.extend(receipt.confirmed)
        if not receipt.refused:
            return
        try:
            await self._park(dict(receipt.refused))
        except Exception as error:  # noqa: BLE001 - the sweeper takes them once more
            if not is_transient(error):
                logger.exception("parking refused rows")

    async def _park(self, answers: Mapping[UUID, str]) -> None:
        async with self._db.begin() as tx:
            result = await tx.execute(_PARK, ids=list(answers), answers=list(answers.values()), pause=PARKED)
            rows = [row for row in result if row.is_new]
            for row in rows:
                where = f"{row.exchange} as {row.routing_key}"
                logger.error("the broker refuses {} to {}: {}", row.type, where, answers[row.envelope_id])
            # Once for each row, and not of an alert that is refused itself.
            alerts = [self._alert(row, len(rows), answers[row.envelope_id]) for row in rows if row.type != _ALERT]
            await outbox.append(tx, alerts[:1])

    def _alert(self, row: Row, count: int, answer: str) -> AdminAlertRaised:
        return alert(
            "publish_refused",
            f"the broker closes the channel for {count} announcements, {row.type} among them",
            service=self._db.service,
            at=self._db.clock.now(),
            fields={"exchange": row.exchange, "routingKey": row.routing_key, "answer": answer[:200]},
        )

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
    # Rows of a release that sent messages for one queue by the default exchange have no exchange.
    return Outgoing(
        row.envelope_id, row.exchange or REQUEUE, row.routing_key, row.mandatory, row.type, row.body, headers
    )
