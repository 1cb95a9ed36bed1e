"""The sums that the books of the fleet are compared by."""

from common.database import Tx
from payment.store import totals as store


async def totals(tx: Tx) -> dict[str, int]:
    """By name; the names are in the README."""
    return await store.totals(tx)


async def recent_totals(tx: Tx) -> dict[str, int]:
    """Those of them that books are compared by, at a cost that does not grow with the number of payments."""
    return await store.recent_totals(tx)
