"""Reconciliation's own sums."""

from common.database import Tx
from reconciler.store import queries


async def totals(tx: Tx) -> dict[str, int]:
    """Open cases and counted billing events."""
    return {"cases.open": await queries.open_cases_count(tx), **await queries.billing_counts(tx)}
