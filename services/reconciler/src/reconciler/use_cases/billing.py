"""Keep and count billing events; sum them up for one merchant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from common.database import Database, Tx
from reconciler import store
from reconciler.domain import BillingDay, BillingEvent


async def keep_billing(tx: Tx, events: Sequence[BillingEvent]) -> None:
    """Each event counts once, in the day it happened on, whatever order they come in."""
    await store.add_billing(tx, events)


async def summarise(
    db: Database, merchant_id: str, first: date, last: date, *, with_webhooks: bool
) -> tuple[list[BillingDay], int | None]:
    """The merchant's days, and the webhooks turned away, which are the platform's business alone."""
    async with db.begin() as tx:
        days = await store.billing_days(tx, merchant_id, first, last)
        return days, await store.webhook_failures(tx, first, last) if with_webhooks else None
