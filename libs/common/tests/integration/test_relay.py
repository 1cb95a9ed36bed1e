"""Which rows of the outbox are marked, and which the sweeper takes for left behind."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from common import ids, outbox
from common.broker import Receipt
from common.clock import SYSTEM_CLOCK
from common.database import Database
from common.outbox import Outgoing
from common.relay import Relay


class SlowBroker:
    """In the place of the Publisher: confirms everything once the test allows it."""

    def __init__(self) -> None:
        self.confirms = asyncio.Event()

    async def publish(self, rows: Sequence[Outgoing]) -> Receipt:
        await self.confirms.wait()
        return Receipt([row.envelope_id for row in rows])

    publish_singly = publish


@pytest.fixture
def slow() -> SlowBroker:
    return SlowBroker()


@pytest.fixture
def relay(db: Database, slow: SlowBroker) -> Relay:
    publisher: Any = slow
    return Relay(db, publisher)


async def _written(db: Database, envelope_id: UUID) -> Outgoing:
    row = Outgoing(envelope_id, "payment.exchange", "payment.success", True, "anything", b"anything", None)
    async with db.begin() as tx:
        await outbox.append_rows(tx, [row])
    return row


async def _unmarked(db: Database) -> int:
    async with db.begin() as tx:
        return int((await tx.execute("select count(*) from outbox where published_at is null")).scalar())


async def test_what_is_confirmed_while_others_are_marked_is_marked_as_well(
    db: Database, relay: Relay, slow: SlowBroker
) -> None:
    """It was lost when marks were written between publishing and confirm; the sweeper published it again."""
    relay.announce([await _written(db, ids.new())])
    await asyncio.sleep(0)
    await relay.mark()
    slow.confirms.set()
    await relay.drain()
    assert await _unmarked(db) == 0


async def test_the_sweeper_leaves_to_the_fast_path_what_is_young(db: Database, relay: Relay, slow: SlowBroker) -> None:
    slow.confirms.set()
    await _written(db, ids.new())
    assert await relay.sweep() == 0


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_the_sweeper_takes_what_was_left_behind_under_a_wrong_clock(
    db: Database, relay: Relay, slow: SlowBroker, minutes: int
) -> None:
    """Ten minutes ahead, it was not looked at for ten minutes."""
    slow.confirms.set()
    await _written(db, ids.lower_bound(SYSTEM_CLOCK.now() + timedelta(minutes=minutes)))
    assert await relay.sweep() == 1
    assert await _unmarked(db) == 0
