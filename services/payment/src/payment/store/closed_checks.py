"""Closed and quarantined payments whose orders are looked up on: leased, scheduled, at last forgotten."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from common.database import Tx

_WATCH = """
insert into closed_checks as c (payment_id, due_at)
select id, :due_at from unnest(cast(:ids as uuid[])) as row (id) order by id
on conflict (payment_id) do update set due_at = least(c.due_at, excluded.due_at)
"""
_DUE = """
update closed_checks set due_at = :again
where payment_id in (select payment_id from closed_checks where due_at <= :now
                     order by due_at limit :rows for no key update skip locked)
returning payment_id, checks
"""
_SCHEDULE = """
update closed_checks c set checks = row.checks, due_at = row.at
from unnest(cast(:ids as uuid[]), cast(:checks as integer[]), cast(:ats as timestamptz[])) as row (id, checks, at)
where c.payment_id = row.id
"""
_FORGET = "delete from closed_checks where payment_id = any(cast(:ids as uuid[]))"


class DueCheck(msgspec.Struct, frozen=True, gc=False):
    """A leased payment, and how often its order was looked up since it closed."""

    payment_id: UUID
    checks: int


async def watch(tx: Tx, payment_ids: Collection[UUID], due_at: datetime) -> None:
    """Look at these payments at *due_at* or, where that is set already, earlier."""
    if payment_ids:
        await tx.execute(_WATCH, ids=sorted(payment_ids), due_at=due_at)


async def lease_due(tx: Tx, now: datetime, due_again_at: datetime, limit: int) -> list[DueCheck]:
    """Lease what is due: it is due again at *due_again_at* unless it is scheduled before."""
    rows = await tx.execute(_DUE, now=now, again=due_again_at, rows=limit)
    return [DueCheck(row.payment_id, row.checks) for row in rows]


async def schedule(tx: Tx, checks: Sequence[tuple[DueCheck, datetime]]) -> None:
    """These were looked up once more, and are due again at these times."""
    if checks:
        await tx.execute(
            _SCHEDULE,
            ids=[check.payment_id for check, _ in checks],
            checks=[check.checks + 1 for check, _ in checks],
            ats=[at for _, at in checks],
        )


async def forget(tx: Tx, payment_ids: Collection[UUID]) -> None:
    if payment_ids:
        await tx.execute(_FORGET, ids=sorted(payment_ids))
