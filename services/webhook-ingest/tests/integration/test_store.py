"""Storing webhooks against a real Postgres: one effect each, whatever comes how often."""

import asyncio
from collections.abc import Callable

import pytest
from asyncpg import IntegrityConstraintViolationError, PostgresError

from common.database import Database
from common.seals import WEBHOOK_BODY
from common.testing import published
from webhook_ingest import use_cases
from webhook_ingest.domain import Stored, Webhook
from webhook_ingest.wire import views

RECEIVED = "webhook.cashfree.received"


def opened(db: Database, body: bytes) -> bytes:
    return db.sealer.open_bytes(WEBHOOK_BODY, body)


async def test_a_webhook_is_stored_raw_and_announced(
    db: Database, webhook: Callable[..., Webhook], payment_body: Callable[..., bytes]
) -> None:
    sent = webhook(payment_body())
    assert await use_cases.store_webhooks(db, [sent]) == [Stored(sent.webhook_id, duplicate=False)]
    async with db.begin() as tx:
        row = (await tx.execute("select * from webhook_logs")).one()
        seen = (await tx.execute("select hash, payload, event_type from payment_webhooks")).one()
    assert (row.id, opened(db, row.payload), row.hash) == (sent.webhook_id, sent.body, sent.body_hash)
    assert row.payload.startswith(b"s1.t1.")
    assert (row.processing_status, row.retry_count, row.order_id) == ("RECEIVED", 0, "ord_1")
    assert row.headers["x-webhook-signature"] == row.signature == sent.signature
    assert (seen.hash, opened(db, seen.payload)) == (sent.body_hash.hex(), sent.body)
    [(key, event)] = await published(db)
    assert key == RECEIVED
    assert event.body == row.payload, "it is sealed once"  # type: ignore[attr-defined]
    assert (event.type, event.gateway) == ("PAYMENT_SUCCESS_WEBHOOK", "cashfree")  # type: ignore[attr-defined]
    assert event.gateway_account_id == row.gateway_account_id == "gwa_cashfree"  # type: ignore[attr-defined]
    assert event.merchant_id == ""  # type: ignore[attr-defined]


async def test_duplicates_have_no_second_effect(
    db: Database, webhook: Callable[..., Webhook], payment_body: Callable[..., bytes]
) -> None:
    body = payment_body("77")
    first, again = webhook(body), webhook(body)
    rendered_anew = webhook(payment_body(77, event_time="2026-01-01T00:00:00+05:30"))
    await use_cases.store_webhooks(db, [first])
    assert (
        await use_cases.store_webhooks(db, [again, rendered_anew, webhook(body)])
        == [Stored(first.webhook_id, duplicate=True)] * 3
    )
    # A body that came as a duplicate, again: the answer names the stored webhook, not the one that was dropped.
    assert await use_cases.store_webhooks(db, [webhook(rendered_anew.body)]) == [Stored(first.webhook_id, True)]
    later = webhook(payment_body("77", event_time="2026-01-02T00:00:00+05:30"))
    for _ in range(2):
        assert await use_cases.store_webhooks(db, [webhook(later.body)]) == [Stored(first.webhook_id, True)]
    assert len(await published(db)) == 1
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from webhook_logs")).scalar_one() == 1
        assert (await tx.execute("select sum(duplicates) from webhook_keys")).scalar_one() > 0


async def test_two_accounts_may_see_the_same_event(
    db: Database, webhook: Callable[..., Webhook], payment_body: Callable[..., bytes]
) -> None:
    """A gateway numbers the payments of each account separately: a key of one account says nothing about another."""
    body = payment_body("77")
    both = [webhook(body), webhook(body, account_id="gwa_other")]
    results = await use_cases.store_webhooks(db, both)
    assert results == [Stored(each.webhook_id, duplicate=False) for each in both]
    again = [webhook(body, account_id="gwa_other"), webhook(body)]
    assert await use_cases.store_webhooks(db, again) == [
        Stored(each.webhook_id, duplicate=True) for each in reversed(both)
    ]
    accounts = [event.gateway_account_id for _, event in await published(db, RECEIVED)]  # type: ignore[attr-defined]
    assert sorted(accounts) == ["gwa_cashfree", "gwa_other"]


async def test_a_newer_event_of_the_same_payment_is_announced(
    db: Database, webhook: Callable[..., Webhook], payment_body: Callable[..., bytes]
) -> None:
    bodies = [
        payment_body("1", "PAYMENT_FAILED_WEBHOOK", "FAILED"),
        payment_body("2", "PAYMENT_SUCCESS_WEBHOOK", "PENDING"),
        payment_body("2", "PAYMENT_SUCCESS_WEBHOOK", "SUCCESS"),
    ]
    for body in bodies:
        [stored] = await use_cases.store_webhooks(db, [webhook(body)])
        assert isinstance(stored, Stored)
        assert not stored.duplicate
    assert [opened(db, event.body) for _, event in await published(db, RECEIVED)] == bodies  # type: ignore[attr-defined]


async def test_the_same_webhook_in_twenty_transactions_at_once(
    db: Database, webhook: Callable[..., Webhook], payment_body: Callable[..., bytes]
) -> None:
    """In different orders and batches, as two replicas would have them."""
    bodies = [payment_body(str(number)) for number in range(8)]
    batches = [[webhook(body) for body in (bodies if number % 2 else bodies[::-1])] for number in range(20)]
    results = await asyncio.gather(*(use_cases.store_webhooks(db, batch) for batch in batches))
    fresh = [stored for result in results for stored in result if isinstance(stored, Stored) and not stored.duplicate]
    assert len(fresh) == len(bodies)
    assert len(await published(db, RECEIVED)) == len(bodies)
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from webhook_logs")).scalar_one() == len(bodies)


async def test_without_the_unique_key_duplicates_would_get_through(
    db: Database, owner_db: Database, webhook: Callable[..., Webhook], payment_body: Callable[..., bytes]
) -> None:
    """A control: the table's key is what keeps duplicates out, and nothing else would hide its absence."""
    async with owner_db.begin() as tx:
        await tx.execute("alter table webhook_keys drop constraint webhook_keys_pkey")
    with pytest.raises(PostgresError, match="ON CONFLICT"):
        await use_cases.store_webhooks(db, [webhook(payment_body())])


async def test_what_cannot_be_read_is_parked_with_an_alert(db: Database, webhook: Callable[..., Webhook]) -> None:
    ping = webhook(b'{"data":{"test_object":{"test_key":"test_value"}},"type":"WEBHOOK","event_time":"x"}')
    garbage = webhook(b"\x00\xffgarbage")
    await use_cases.store_webhooks(db, [ping, garbage])
    async with db.begin() as tx:
        rows = (await tx.execute("select payload, processing_status from webhook_logs order by id")).all()
        assert await use_cases.totals(tx) == {
            "webhooks.received": 2, "webhooks.processed": 0, "webhooks.parked": 2, "webhooks.failed": 0,
            "webhooks.pending": 0,
        }  # fmt: skip
    shown = [(opened(db, row.payload), row.processing_status) for row in rows]
    assert shown == [(ping.body, "PARKED"), (garbage.body, "PARKED")]
    events = dict(await published(db))
    assert events.keys() == {"email.admin.alert", "analytics.webhook.failure"}
    assert events["email.admin.alert"].cause == "webhook_failures"  # type: ignore[attr-defined]
    assert events["analytics.webhook.failure"].reason == "unreadable"  # type: ignore[attr-defined]


async def test_history_is_append_only_and_belongs_to_a_webhook(db: Database) -> None:
    with pytest.raises(PostgresError, match=r"permission denied|append-only"):
        async with db.begin() as tx:
            await tx.execute("delete from webhook_history")
    with pytest.raises(IntegrityConstraintViolationError):
        async with db.begin() as tx:
            await tx.execute(
                """insert into webhook_history (id, webhook_id, status, outcome, reason, attempt, reported_at)
                   values (gen_random_uuid(), gen_random_uuid(), 'FAILED', '', '', 0, now())"""
            )


async def test_the_timeline_of_an_order(
    db: Database, webhook: Callable[..., Webhook], payment_body: Callable[..., bytes]
) -> None:
    sent = webhook(payment_body("55", order_id="ord_story"))
    await use_cases.store_webhooks(db, [sent, webhook(payment_body("56", order_id="ord_other"))])
    async with db.begin() as tx:
        for reference in ("ord_story", "55", views.stored(Stored(sent.webhook_id, False)).event_id):
            timeline = await use_cases.timeline(tx, reference)
            assert [entry.summary for entry in timeline.entries] == ["PAYMENT_SUCCESS_WEBHOOK received"]
            assert timeline.references == ["ord_story"]
