"""The filter before the database: it saves transactions, and no webhook is ever lost by it."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from common import seals
from common.clock import FakeClock
from common.database import Database
from common.redis import connect
from common.testing import published
from gateways.cashfree import testing
from webhook_ingest import use_cases
from webhook_ingest.domain import Stored, Webhook
from webhook_ingest.store.stored_events import StoredEvents

SEALER = seals.generated()


@pytest.fixture
def events(redis: Redis) -> StoredEvents:
    # A busy machine may take longer than the 50 ms that a service waits.
    redis.connection_pool.connection_kwargs |= {"socket_timeout": 10, "socket_connect_timeout": 10}
    return StoredEvents(redis, SEALER)


async def written(events: StoredEvents) -> None:
    for batcher in events.workers.batchers:
        await batcher.drain()


async def stored(db: Database) -> int:
    async with db.begin() as tx:
        return int((await tx.execute("select count(*) from webhook_logs")).scalar_one())


async def asked(db: Database) -> int:
    """How often the database was asked about something that it had."""
    async with db.begin() as tx:
        return int((await tx.execute("select coalesce(sum(duplicates), 0) from webhook_keys")).scalar_one())


async def test_what_comes_again_is_answered_without_the_database(
    db: Database, events: StoredEvents, webhook: Any, payment_body: Any
) -> None:
    first = [webhook(payment_body(str(number))) for number in range(3)]
    answers = await use_cases.store_new_webhooks(db, events, first)
    await written(events)
    again = [webhook(payment_body(str(number))) for number in range(3)] + [webhook(payment_body("new"))]
    replies = await use_cases.store_new_webhooks(db, events, again)
    assert replies[:3] == [Stored(answer.webhook_id, True) for answer in answers if isinstance(answer, Stored)]
    assert replies[3] == Stored(again[3].webhook_id, False)
    assert (await stored(db), await asked(db)) == (4, 0)


async def test_what_was_not_committed_is_not_remembered(
    db: Database, events: StoredEvents, webhook: Any, payment_body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def in_doubt(_: Database, webhooks: Sequence[Webhook]) -> list[Stored]:
        raise ConnectionResetError

    with monkeypatch.context() as broken:
        broken.setattr(use_cases, "store_webhooks", in_doubt)
        with pytest.raises(ConnectionResetError):
            await use_cases.store_new_webhooks(db, events, [webhook(payment_body("1"))])
    await written(events)
    again = webhook(payment_body("1"))
    assert await use_cases.store_new_webhooks(db, events, [again]) == [Stored(again.webhook_id, False)]
    assert await stored(db) == 1


async def test_a_forged_entry_loses_no_webhook(
    db: Database, owner_db: Database, events: StoredEvents, redis: Redis, webhook: Any, payment_body: Any
) -> None:
    """Somebody who may write to Redis says of an event to come that it is stored: by any bytes, or with another's."""
    await use_cases.store_new_webhooks(db, events, [webhook(payment_body("1")), webhook(payment_body("2"))])
    await written(events)
    keys = sorted(await redis.keys("webhook:event:*"))
    values = [await redis.get(key) for key in keys]
    async with owner_db.begin() as tx:
        await tx.execute("delete from webhook_keys")
        await tx.execute("delete from webhook_logs")
    for key, value in zip(keys, [values[1], b"x" * 16], strict=True):
        await redis.set(key, value)
    again = [webhook(payment_body("1")), webhook(payment_body("2"))]
    answers = await use_cases.store_new_webhooks(db, events, again)
    assert answers == [Stored(each.webhook_id, False) for each in again]
    assert await stored(db) == 2


async def test_without_redis_the_database_decides(
    db: Database, webhook: Any, payment_body: Any, clock: FakeClock
) -> None:
    async with connect("redis://127.0.0.1:1/0") as nobody:
        events = StoredEvents(nobody, SEALER)
        one = webhook(payment_body("1"))
        for duplicate in (False, True):
            answer = await use_cases.store_new_webhooks(db, events, [webhook(payment_body("1")) if duplicate else one])
            assert answer == [Stored(one.webhook_id, duplicate)]
        await written(events)


def claimed(payment_id: str, order_id: str = "ord_1", *, amount: float = 170.0) -> bytes:
    """A webhook about an attempt at another order, or over another amount, than Cashfree's own about it."""
    document = json.loads(testing.payment_body(payment_id, order_id=order_id))
    document["data"]["order"]["order_amount"] = amount
    return json.dumps(document).encode()


def without_order(payment_id: str) -> bytes:
    document = json.loads(testing.payment_body(payment_id))
    del document["data"]["order"]
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "other",
    [claimed("7", "ord_2"), claimed("7", amount=1.0), claimed("7", amount=1.001), without_order("7")],
    ids=["another order", "another amount", "no amount at all", "no order"],
)
async def test_a_signed_body_makes_no_duplicate_of_one_that_says_something_else(
    db: Database, events: StoredEvents, webhook: Any, payment_body: Any, other: bytes
) -> None:
    """Neither by the filter nor by the unique keys; and a repetition of each remains one."""
    first, genuine = webhook(other), webhook(payment_body("7"))
    assert await use_cases.store_new_webhooks(db, events, [first]) == [Stored(first.webhook_id, False)]
    await written(events)
    assert await use_cases.store_new_webhooks(db, events, [genuine]) == [Stored(genuine.webhook_id, False)]
    await written(events)
    resent = payment_body("7", event_time="2026-01-01T00:00:00+05:30")
    for filtered in (True, False):
        again = [webhook(other), webhook(resent)]
        store = use_cases.store_new_webhooks(db, events, again) if filtered else use_cases.store_webhooks(db, again)
        assert await store == [Stored(first.webhook_id, True), Stored(genuine.webhook_id, True)]
    assert (await stored(db), len(await published(db, "webhook.cashfree.received"))) == (2, 2)
