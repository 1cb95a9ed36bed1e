"""Sums of what can no longer change: a balance is the last snapshot plus the entries since."""

from common.database import Tx
from ledger.store.queries import HORIZON, WITH_ENTRIES


async def claim_snapshots(tx: Tx) -> bool:
    """Whether *tx* is the only one that takes a snapshot now."""
    claimed = await tx.execute("select pg_try_advisory_xact_lock(hashtextextended('ledger.snapshots', 0))")
    return bool(claimed.scalar_one())


# Every transaction below the horizon is over: what it booked is visible, and no row can join it later.
_CUT = f"""
select cast(pg_snapshot_xmin(pg_current_snapshot()) as text) as horizon,
       cast(coalesce(({HORIZON}), cast('0' as xid8)) as text) as last
"""

_SNAPSHOT_BALANCES = f"""
insert into balance_snapshots (horizon, merchant_id, account_id, debit, credit, entries)
select cast(cast(:horizon as text) as xid8), merchant_id, account_id, sum(debit), sum(credit), sum(entries)
from (
    select merchant_id, account_id, debit, credit, entries from balance_snapshots
    where horizon = cast(cast(:last as text) as xid8)
    union all
    select merchant_id, account_id, sum(debit), sum(credit), count(*)
    from {WITH_ENTRIES}
    where xid >= cast(cast(:last as text) as xid8) and xid < cast(cast(:horizon as text) as xid8)
    group by merchant_id, account_id
) sums
group by merchant_id, account_id
"""

_SNAPSHOT_JOURNALS = """
insert into journal_snapshots (horizon, merchant_id, template, journals)
select cast(cast(:horizon as text) as xid8), merchant_id, template, sum(journals)
from (
    select merchant_id, template, journals from journal_snapshots
    where horizon = cast(cast(:last as text) as xid8)
    union all
    select merchant_id, template, count(*) from journals
    where xid >= cast(cast(:last as text) as xid8) and xid < cast(cast(:horizon as text) as xid8)
    group by merchant_id, template
) counts
group by merchant_id, template
"""


async def take_snapshot(tx: Tx) -> bool:
    """Sum up the book as far as it can no longer change; False when there is nothing to cut since the last time."""
    cut = (await tx.execute(_CUT)).one()
    if int(cut["horizon"]) <= int(cut["last"]):
        return False
    for statement in (_SNAPSHOT_BALANCES, _SNAPSHOT_JOURNALS):
        await tx.execute(statement, horizon=cut["horizon"], last=cut["last"])
    # Those of before and those of another cluster; the service itself may not delete any, see migration 0007.
    await tx.execute("select delete_replaced_snapshots()")
    return True
