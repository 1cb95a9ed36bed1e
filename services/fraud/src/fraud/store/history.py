"""Refunds and disputes by user and day. Rows are taken in sorted order."""

from collections.abc import Mapping
from uuid import UUID

from common.database import Tx
from fraud.domain.history import History

_ADD = """
insert into history_days as stored (key, day, refunded, disputed, disputes_won, disputes_lost)
select * from unnest(cast(:keys as uuid[]), cast(:days as integer[]), cast(:refunded as integer[]),
                     cast(:disputed as integer[]), cast(:won as integer[]), cast(:lost as integer[]))
on conflict (key, day) do update set
    refunded = stored.refunded + excluded.refunded, disputed = stored.disputed + excluded.disputed,
    disputes_won = stored.disputes_won + excluded.disputes_won,
    disputes_lost = stored.disputes_lost + excluded.disputes_lost
"""
_FORGET = """
delete from history_days where ctid = any(array(select ctid from history_days where day < :before limit :rows))
returning 1
"""
ROWS_MAX = 10_000


async def add_history(tx: Tx, tally: Mapping[tuple[UUID, int], History]) -> None:
    """Add to the counters of each (key, day)."""
    if not tally:
        return
    rows = sorted(tally.items(), key=lambda row: row[0])
    await tx.execute(
        _ADD,
        keys=[key for (key, _), _ in rows],
        days=[day for (_, day), _ in rows],
        refunded=[history.refunded for _, history in rows],
        disputed=[history.disputed for _, history in rows],
        won=[history.disputes_won for _, history in rows],
        lost=[history.disputes_lost for _, history in rows],
    )


async def forget(tx: Tx, before: int) -> int:
    """Delete counters of days before *before*; how many."""
    return len((await tx.execute(_FORGET, before=before, rows=ROWS_MAX)).all())
