"""Compare what producers announced with what consumers claimed, and announce once more what got lost.

Comparing goes by the contract. An envelope that was split, refused or dead-lettered was claimed as well, so whatever
is not claimed never reached its consumer, or has not yet.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from loguru import logger
from msgspec import Struct, field

from common import ids
from common.database import Database
from common.errors import DomainError
from common.topology import CONTRACT
from reconciler.domain import deliveries
from reconciler.domain.deliveries import MissingDelivery, PublishedEnvelope, Unclaimed
from reconciler.gateways import PAGE, Peer
from reconciler.store import commands, queries

# Outboxes keep a day: what is older cannot be announced again.
REACH = timedelta(hours=24)
# The rest waits for the next run, which continues where this one stopped.
ENVELOPES_MAX = 200_000
REPUBLISHED_MAX = 20_000
# Deliveries that were claimed after all are history.
CLAIMED_KEEP = timedelta(days=7)
# After each page a scheduled run lets the services do their own work: for this many times as long as the page took,
# and at most so long, because other runs wait until it is over.
LOW_PRIORITY_PAUSE = 4
PAUSE_SECONDS_MAX = 1.0

OWNERS = {queue.name: queue.owner for queue in CONTRACT.queues}


class DeliveryReport(Struct):
    """The result of a delivery check. Mutable: it is filled page by page."""

    checked: int = 0
    republished: int = 0
    # Services that did not answer.
    unavailable: set[str] = field(default_factory=set)
    unclaimed: list[Unclaimed] = field(default_factory=list)


class DeliveryCheck(Struct, frozen=True):
    """*peers* by service. *low_priority* when nobody waits for the result."""

    db: Database
    peers: Mapping[str, Peer]
    tolerance: timedelta
    overlap: timedelta
    low_priority: bool = False

    async def run(self, now: datetime) -> DeliveryReport:
        """Check everything announced since the last time, then what was missing, and announce that again."""
        report = DeliveryReport()
        for producer in sorted(self.peers):
            try:
                await self._check_producer(producer, now, report)
            except DomainError as error:
                self._note_unavailable(report, producer, error)
        await self._republish_missing(now, report)
        async with self.db.begin() as tx:
            report.unclaimed = await queries.unclaimed_counts(tx)
        return report

    async def _check_producer(self, producer: str, now: datetime, report: DeliveryReport) -> None:
        """Page through what *producer* announced; note what is not claimed.

        The cursor moves only past what every owner concerned has answered for.
        """
        until = now - self.tolerance
        async with self.db.begin() as tx:
            checked_until = await queries.cursor(tx, producer) or now - REACH
        since = max(checked_until - self.overlap, now - REACH)
        after: UUID | None = None
        all_answered = True
        while since < until and report.checked < ENVELOPES_MAX:
            started = self.db.clock.monotonic()
            page = await self.peers[producer].published(since, until, after)
            report.checked += len(page)
            missing, page_answered = await self._missing(producer, page, now, report)
            all_answered = all_answered and page_answered
            is_last = len(page) < PAGE
            async with self.db.begin() as tx:
                await commands.note_missing(tx, missing, now)
                if all_answered:
                    checked_until = until if is_last else ids.timestamp(page[-1].envelope_id)
                    await commands.move_cursor(tx, producer, checked_until)
            if is_last:
                return
            after = page[-1].envelope_id
            if self.low_priority:
                await asyncio.sleep(min(LOW_PRIORITY_PAUSE * (self.db.clock.monotonic() - started), PAUSE_SECONDS_MAX))

    async def _missing(
        self, producer: str, page: Sequence[PublishedEnvelope], now: datetime, report: DeliveryReport
    ) -> tuple[list[MissingDelivery], bool]:
        """The deliveries of *page* that are not claimed, and whether every owner has answered."""
        missing: list[MissingDelivery] = []
        all_answered = True
        for destination, envelopes in deliveries.by_destination(CONTRACT, page).items():
            envelope_ids = [envelope.envelope_id for envelope in envelopes]
            claimed = await self._claimed(destination.owner, destination.queue, envelope_ids, report)
            if claimed is None:
                all_answered = False
                continue
            missing += [
                MissingDelivery(
                    envelope.envelope_id,
                    destination.queue,
                    producer,
                    0,
                    deliveries.lost_at(envelope, now, self.tolerance),
                )
                for envelope in envelopes
                if envelope.envelope_id not in claimed
            ]
        return missing, all_answered

    async def _claimed(
        self, owner: str, queue: str, envelope_ids: Sequence[UUID], report: DeliveryReport
    ) -> set[UUID] | None:
        """Which of them *owner* has claimed; None when it does not answer."""
        peer = self.peers.get(owner)
        if peer is None:
            report.unavailable.add(owner)
            return None
        try:
            return await peer.claimed(queue, envelope_ids)
        except DomainError as error:
            self._note_unavailable(report, owner, error)
            return None

    async def _republish_missing(self, now: datetime, report: DeliveryReport) -> None:
        """Mark what has arrived meanwhile; announce the rest once more, each when it is due."""
        async with self.db.begin() as tx:
            await commands.forget_claimed(tx, now - CLAIMED_KEEP)
            unclaimed = await queries.unclaimed(tx)
        lost: list[MissingDelivery] = []
        for queue, batch in _by_queue(unclaimed):
            claimed = await self._claimed(OWNERS[queue], queue, [each.envelope_id for each in batch], report)
            if claimed:
                async with self.db.begin() as tx:
                    await commands.mark_claimed(tx, queue, claimed, now)
            lost += [each for each in batch if claimed is not None and each.envelope_id not in claimed]
        for queue, batch in _by_queue(deliveries.due(lost, now)[:REPUBLISHED_MAX]):
            for producer in sorted({each.producer for each in batch}):
                await self._republish(
                    producer, queue, [each for each in batch if each.producer == producer], now, report
                )

    async def _republish(
        self, producer: str, queue: str, batch: Sequence[MissingDelivery], now: datetime, report: DeliveryReport
    ) -> None:
        peer = self.peers.get(producer)
        if peer is None:
            report.unavailable.add(producer)
            return
        attempts = [
            (each.envelope_id, deliveries.next_attempt(each.attempts + 1, now, self.tolerance)) for each in batch
        ]
        async with self.db.begin() as tx:
            await commands.reschedule(tx, queue, attempts)
        try:
            count = await peer.republish(queue, [each.envelope_id for each in batch])
        except DomainError as error:
            self._note_unavailable(report, producer, error)
            return
        report.republished += count
        logger.bind(queue=queue, producer=producer).warning("announced {} lost envelopes again", count)

    def _note_unavailable(self, report: DeliveryReport, service: str, error: DomainError) -> None:
        report.unavailable.add(service)
        logger.warning("{} did not answer: {}", service, error.code)


def _by_queue(missing: Sequence[MissingDelivery]) -> Iterator[tuple[str, list[MissingDelivery]]]:
    """By queue, at most a page at a time; a queue that has left the contract has no owner any more."""
    for queue in sorted({delivery.queue for delivery in missing} & OWNERS.keys()):
        group = [delivery for delivery in missing if delivery.queue == queue]
        for start in range(0, len(group), PAGE):
            yield queue, group[start : start + PAGE]
