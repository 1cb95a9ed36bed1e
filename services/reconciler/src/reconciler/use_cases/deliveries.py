"""Compare what producers announced with what consumers claimed, and announce once more what got lost.

Comparing goes by the binding table. An envelope that was exploded, refused or dead-lettered was claimed as well, so
whatever is not claimed never reached its consumer, or has not yet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from loguru import logger

from common import ids
from common.database import Database
from common.errors import DomainError
from common.topology import CONTRACT
from reconciler import domain, store
from reconciler.domain import Missing, Published
from reconciler.gateways import PAGE, Peer

# Outboxes keep a day: what is older cannot be announced again.
REACH = timedelta(hours=24)
# The rest waits for the next run, which goes on where this one stopped.
ENVELOPES_MAX = 200_000
REPUBLISHED_MAX = 20_000
# What was found again is history.
REMEMBER = timedelta(days=7)
# How long a run for which nobody waits lets the others go first after each page: in times that the page took, and at
# most, for other runs wait until it is over.
UNHURRIED_PAUSE = 4
PAUSE_SECONDS_MAX = 1.0

OWNERS = {queue.name: queue.owner for queue in CONTRACT.queues}


@dataclass(slots=True)
class Deliveries:
    """What a look at deliveries found."""

    checked: int = 0
    republished: int = 0
    # Services that did not answer.
    unasked: set[str] = field(default_factory=set)
    # (producer, queue) → how many were announced again and are missing still.
    unclaimed: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeliveryCheck:
    db: Database
    peers: Mapping[str, Peer]
    settle: timedelta
    overlap: timedelta
    # Nobody waits: the services that are asked have payments to make.
    unhurried: bool = False

    async def run(self, now: datetime) -> Deliveries:
        """Look at everything announced since the last time, then at what was missing, and announce that again."""
        found = Deliveries()
        for producer in sorted(self.peers):
            try:
                await self._look(producer, now, found)
            except DomainError as error:
                self._unasked(found, producer, error)
        await self._mend(now, found)
        async with self.db.begin() as tx:
            found.unclaimed = await store.unclaimed_counts(tx)
        return found

    async def _look(self, producer: str, now: datetime, found: Deliveries) -> None:
        """Page through what *producer* announced; note what is not claimed.

        The cursor moves only past what every owner concerned has answered for.
        """
        until = now - self.settle
        async with self.db.begin() as tx:
            checked_until = await store.cursor(tx, producer) or now - REACH
        since = max(checked_until - self.overlap, now - REACH)
        after, answered = None, True
        while since < until and found.checked < ENVELOPES_MAX:
            started = time.monotonic()
            page = await self.peers[producer].published(since, until, after)
            found.checked += len(page)
            missing, all_answered = await self._missing(producer, page, now, found)
            answered = answered and all_answered
            last = len(page) < PAGE
            async with self.db.begin() as tx:
                await store.note_missing(tx, missing, now)
                if answered:
                    await store.move_cursor(tx, producer, until if last else ids.timestamp(page[-1].envelope_id))
            if last:
                return
            after = page[-1].envelope_id
            if self.unhurried:
                await asyncio.sleep(min(UNHURRIED_PAUSE * (time.monotonic() - started), PAUSE_SECONDS_MAX))

    async def _missing(
        self, producer: str, page: Sequence[Published], now: datetime, found: Deliveries
    ) -> tuple[list[Missing], bool]:
        """What of *page* is not claimed, and whether every owner has answered."""
        missing, answered = [], True
        for (owner, queue), envelopes in domain.expected(CONTRACT, page).items():
            claimed = await self._claimed(owner, queue, [each.envelope_id for each in envelopes], found)
            if claimed is None:
                answered = False
                continue
            missing += [
                Missing(each.envelope_id, queue, producer, 0, domain.lost_at(each, now, self.settle))
                for each in envelopes
                if each.envelope_id not in claimed
            ]
        return missing, answered

    async def _claimed(
        self, owner: str, queue: str, envelope_ids: Sequence[UUID], found: Deliveries
    ) -> set[UUID] | None:
        """Which of them *owner* has claimed; None when it cannot be asked."""
        peer = self.peers.get(owner)
        if peer is None:
            found.unasked.add(owner)
            return None
        try:
            return await peer.claimed(queue, envelope_ids)
        except DomainError as error:
            self._unasked(found, owner, error)
            return None

    async def _mend(self, now: datetime, found: Deliveries) -> None:
        """Cross off what has arrived meanwhile; announce the rest once more, each when it is due."""
        async with self.db.begin() as tx:
            await store.forget_claimed(tx, now - REMEMBER)
            unclaimed = await store.unclaimed(tx)
        lost: list[Missing] = []
        for queue, group in _by_queue(unclaimed):
            claimed = await self._claimed(OWNERS[queue], queue, [each.envelope_id for each in group], found)
            if claimed:
                async with self.db.begin() as tx:
                    await store.claimed_now(tx, queue, claimed, now)
            lost += [each for each in group if claimed is not None and each.envelope_id not in claimed]
        for queue, group in _by_queue(domain.due(lost, now)[:REPUBLISHED_MAX]):
            for producer in sorted({each.producer for each in group}):
                await self._announce(producer, queue, [each for each in group if each.producer == producer], now, found)

    async def _announce(
        self, producer: str, queue: str, group: Sequence[Missing], now: datetime, found: Deliveries
    ) -> None:
        peer = self.peers.get(producer)
        if peer is None:
            found.unasked.add(producer)
            return
        again = [(each.envelope_id, domain.next_attempt(each.attempts + 1, now, self.settle)) for each in group]
        async with self.db.begin() as tx:
            await store.put_off(tx, queue, again)
        try:
            count = await peer.republish(queue, [each.envelope_id for each in group])
        except DomainError as error:
            self._unasked(found, producer, error)
            return
        found.republished += count
        logger.bind(queue=queue, producer=producer).warning("announced {} lost envelopes again", count)

    def _unasked(self, found: Deliveries, service: str, error: DomainError) -> None:
        found.unasked.add(service)
        logger.warning("{} could not be asked: {}", service, error.code)


def _by_queue(missing: Sequence[Missing]) -> Iterator[tuple[str, list[Missing]]]:
    """By queue, at most a page at a time; a queue that has left the contract concerns nobody any more."""
    for queue in sorted({each.queue for each in missing} & OWNERS.keys()):
        group = [each for each in missing if each.queue == queue]
        for start in range(0, len(group), PAGE):
            yield queue, group[start : start + PAGE]
