"""Verifies that nothing was lost: every answer against the rows that must exist for it."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from common import ids
from loadtests.webhooks.open_loop_sender import Outcome
from loadtests.webhooks.payloads import Storm

# Every statement gets what was answered ($1), whatever it does with it.
_STORED = "select count(*) from webhook_ingest.webhook_logs where id = any($1)"
_ANNOUNCED = """
    select count(distinct k.webhook_id) from webhook_ingest.webhook_keys k where k.webhook_id = any($1)"""
_STANDS = """
    select processing_status as status, count(*) as number from webhook_ingest.webhook_logs
    where id = any($1) group by 1"""
_REPORTED = """
    select count(distinct webhook_id) from webhook_ingest.webhook_history
    where webhook_id = any($1) and status = 'SUCCESS'"""
_WAITED = """
    select count(distinct webhook_id) from webhook_ingest.webhook_history
    where webhook_id = any($1) and reason = 'order_state_unknown'"""
_WORKED_OFF = """
    select extract(epoch from processed_at)::float8 as at from webhook_ingest.webhook_logs
    where id = any($1) and processed_at is not null order by 1"""
_PAID = """
    select count(*) from payment.payments where order_id = any($1) and status = 'SUCCESS' and credits_granted > 0"""


class _Data(msgspec.Struct):
    event_id: str = msgspec.field(name="eventId")
    duplicate: bool


class _Accepted(msgspec.Struct):
    data: _Data


async def verify(db: asyncpg.Connection, storm: Storm, outcome: Outcome) -> dict[str, Any]:
    """Figures whose differences are losses; `losses` names them."""
    answers = {number: msgspec.json.decode(body, type=_Accepted).data for number, body in outcome.bodies.items()}
    answered = {number: ids.decode("evt", answer.event_id) for number, answer in answers.items()}
    stored = sorted(set(answered.values()))
    orders = [*storm.order_ids, *storm.hidden]
    return {
        "deliveries": len(storm.requests),
        "answered_200": len(answers),
        "answered_duplicate": sum(answer.duplicate for answer in answers.values()),
        "events_sent": storm.distinct,
        "ids_answered": len(stored),
        "ids_stored": await db.fetchval(_STORED, stored),
        "ids_with_keys": await db.fetchval(_ANNOUNCED, stored),
        "ids_processed": await db.fetchval(_REPORTED, stored),
        "stands": {row["status"]: row["number"] for row in await db.fetch(_STANDS, stored)},
        "events_under_two_ids": under_two_ids(storm.events, answered),
        "waited_for_their_order": await db.fetchval(_WAITED, stored),
        "orders": len(orders),
        "orders_paid_and_granted": await db.fetchval(_PAID, orders),
        "worked_off_at": [row["at"] for row in await db.fetch(_WORKED_OFF, stored)],
    }


def under_two_ids(events: Sequence[int], answered: Mapping[int, UUID]) -> int:
    """Events that were answered with more than one id: something was stored twice."""
    found: dict[int, set[UUID]] = {}
    for number, webhook_id in answered.items():
        found.setdefault(events[number], set()).add(webhook_id)
    return sum(len(webhook_ids) > 1 for webhook_ids in found.values())


def losses(verified: Mapping[str, Any]) -> list[str]:
    """What is missing or too much, in words; nothing when all is there exactly once."""
    expected = {
        "deliveries never answered 200": verified["deliveries"] - verified["answered_200"],
        "ids answered 200 and not stored": verified["ids_answered"] - verified["ids_stored"],
        "ids stored without their keys": verified["ids_stored"] - verified["ids_with_keys"],
        "ids answered 200 and never processed": verified["ids_answered"] - verified["ids_processed"],
        "ids whose status is not SUCCESS": verified["ids_answered"] - verified["stands"].get("SUCCESS", 0),
        "events sent and not stored": verified["events_sent"] - verified["ids_answered"],
        "events stored under two ids": verified["events_under_two_ids"],
        "orders that are not paid and granted": verified["orders"] - verified["orders_paid_and_granted"],
    }
    return [f"{count:,} {what}" for what, count in expected.items() if count]
