"""Refunds and disputes whose credits are not held yet, and since when people were told."""

from collections.abc import Sequence
from datetime import datetime

from common.database import Row, Tx

_TAKE = """
update {table} set hold_alerted_at = :now
where id in (select id from {table}
             where {waits} and created_at < :before and (hold_alerted_at is null or hold_alerted_at < :alerted_before)
             order by created_at limit :rows for no key update skip locked)
returning id, payment_id, created_at
"""
_REFUNDS = _TAKE.format(table="refunds", waits="status = 'INITIATED'")
_DISPUTES = _TAKE.format(table="disputes", waits="announced = 'NONE'")


async def take_refunds(tx: Tx, before: datetime, alerted_before: datetime, now: datetime, limit: int) -> Sequence[Row]:
    """Refunds from before *before* that wait for their hold, and were not told since *alerted_before*."""
    values = {"before": before, "alerted_before": alerted_before, "now": now, "rows": limit}
    return (await tx.execute(_REFUNDS, **values)).all()


async def take_disputes(tx: Tx, before: datetime, alerted_before: datetime, now: datetime, limit: int) -> Sequence[Row]:
    """The same of disputes, which are not announced before their hold."""
    values = {"before": before, "alerted_before": alerted_before, "now": now, "rows": limit}
    return (await tx.execute(_DISPUTES, **values)).all()
