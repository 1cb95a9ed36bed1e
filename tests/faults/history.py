"""What was acknowledged, remembered by those who asked; at the end every word of it must be in the database."""

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from common import ids
from ops import virtual_users
from ops.fleet_client import FleetClient
from ops.journey import Member

# How many answered creates are asked once more, byte for byte.
REPLAYED = 40
# The sandbox lists no more of its log.
WEBHOOKS_LISTED = 1000
SHOWN = 3


@dataclass(frozen=True)
class Created:
    """A create call that was answered 201."""

    member: Member
    key: str
    payment_id: str
    order_id: str
    raw: bytes
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When it was first asked for; of one that a scenario made itself, when it was answered."""
    by_load: bool = False
    """One of the even stream of purchases, by which recovery is measured."""


@dataclass
class History:
    """One scenario's requests and what became of them."""

    created: list[Created] = field(default_factory=list)
    paid_orders: list[str] = field(default_factory=list)
    consumed: dict[str, str] = field(default_factory=dict)
    """operation key → transaction id"""
    longest_seconds: float = 0.0
    """The longest that anybody waited for a final answer, repetitions included."""
    unknown: list[str] = field(default_factory=list)
    """What never got a final answer, or none that the load expects."""

    @property
    def acknowledged(self) -> int:
        return len(self.created) + len(self.consumed)


async def complaints(fleet: FleetClient, db: asyncpg.Connection, history: History) -> list[str]:
    """Every acknowledgement that the quiet fleet does not stand by; empty when it does."""
    found = [f"no final answer: {what}" for what in history.unknown[:SHOWN]]
    found += _shown("acknowledged payment has no row of its own", await _payments(db, history))
    found += _shown("paid order was not granted exactly once", await _grants(db, history))
    found += _shown("acknowledged consumption is not one transaction", await _consumptions(db, history))
    found += _shown("acknowledged webhook is not stored", await _webhooks(fleet, db))
    found += _shown("key answered with other bytes", await _replays(fleet, history))
    return found


async def _payments(db: asyncpg.Connection, history: History) -> list[str]:
    rows = await db.fetch(
        "select order_id, id, idempotency_key from payment.payments where order_id = any($1)",
        [created.order_id for created in history.created],
    )
    stored = {row["order_id"]: row["id"] for row in rows}
    lost = [
        created.order_id
        for created in history.created
        if stored.get(created.order_id) != ids.decode("pay", created.payment_id)
    ]
    # One key, one payment: also for keys whose first answers got lost on the way.
    twice = await db.fetch(
        "select idempotency_key from payment.payments where user_id = any($1) and idempotency_key <> ''"
        " group by merchant_id, user_id, idempotency_key having count(*) > 1",
        list({created.member.user_id for created in history.created}),
    )
    return lost + [f"{row['idempotency_key']} paid twice" for row in twice]


async def _grants(db: asyncpg.Connection, history: History) -> list[str]:
    payment_ids = {created.order_id: created.payment_id for created in history.created}
    wanted = {payment_ids[order_id]: order_id for order_id in history.paid_orders if order_id in payment_ids}
    rows = await db.fetch(
        "select source_id, count(*) as grants from wallet.wallet_transactions"
        " where type = 'GRANT' and source_id = any($1) group by 1",
        list(wanted),
    )
    once = {row["source_id"] for row in rows if row["grants"] == 1}
    return [payment_id for payment_id in wanted if payment_id not in once]


async def _consumptions(db: asyncpg.Connection, history: History) -> list[str]:
    rows = await db.fetch(
        "select operation_key, array_agg(transaction_id) as ids from wallet.wallet_transactions"
        " where operation_key = any($1) group by 1",
        list(history.consumed),
    )
    stored = {row["operation_key"]: list(row["ids"]) for row in rows}
    return [key for key, transaction in history.consumed.items() if stored.get(key) != [ids.decode("wtx", transaction)]]


async def _webhooks(fleet: FleetClient, db: asyncpg.Connection) -> list[str]:
    log = (await fleet.sandbox("GET", f"/control/webhooks?limit={WEBHOOKS_LISTED}")).data["webhooks"]
    accepted = {
        hashlib.sha256(sent["body"].encode()).digest(): sent["order_id"] for sent in log if sent["status"] == 200
    }
    stored = await db.fetch("select key from webhook_ingest.webhook_keys where key = any($1)", list(accepted))
    known = {bytes(row["key"]) for row in stored}
    return [order_id for digest, order_id in accepted.items() if digest not in known]


async def _replays(fleet: FleetClient, history: History) -> list[str]:
    async def differs(created: Created) -> str | None:
        answer = await virtual_users.create_with_retries(fleet, created.member, created.key)
        return None if (answer.status, answer.raw) == (201, created.raw) else created.key

    step = max(1, len(history.created) // REPLAYED)
    answers: Iterable[Any] = await asyncio.gather(*(differs(created) for created in history.created[::step]))
    return [key for key in answers if key]


def _shown(what: str, cases: list[str]) -> list[str]:
    return [f"{what}: {len(cases)}, as {', '.join(cases[:SHOWN])}"] if cases else []
