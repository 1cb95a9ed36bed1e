"""Seal what operators have listed."""

from common.database import Database, retried
from fraud.store import subject_lists

BATCH_ROWS = 500


async def seal_entries(db: Database) -> None:
    """Seal the entries that are in plain and make them count, in batches of one short transaction."""
    while await _seal_batch(db) == BATCH_ROWS:
        pass


@retried
async def _seal_batch(db: Database) -> int:
    async with db.begin() as tx:
        return await subject_lists.seal_entries(tx, BATCH_ROWS)
