"""How far each producer's announcements have been looked at, and what was not claimed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from common.database import Tx
from reconciler.domain import Missing

_MISSING_MAX = 20_000


async def cursor(tx: Tx, producer: str) -> datetime | None:
    """Up to when everything that *producer* announced has been looked at."""
    found: datetime | None = (
        await tx.execute("select checked_until from delivery_cursors where producer = :producer", producer=producer)
    ).scalar()
    return found


_MOVE_CURSOR = """
insert into delivery_cursors (producer, checked_until) values (:producer, :until)
on conflict (producer) do update set checked_until = greatest(delivery_cursors.checked_until, excluded.checked_until)
"""


async def move_cursor(tx: Tx, producer: str, until: datetime) -> None:
    """Forward only."""
    await tx.execute(_MOVE_CURSOR, producer=producer, until=until)


_NOTE_MISSING = """
insert into missing_deliveries (envelope_id, queue, producer, found_at, next_at)
select envelope_id, queue, producer, :now, next_at
from unnest(cast(:envelope_ids as uuid[]), cast(:queues as text[]), cast(:producers as text[]),
            cast(:next_ats as timestamptz[])) as row (envelope_id, queue, producer, next_at)
order by envelope_id, queue
on conflict (envelope_id, queue) do nothing
"""


async def note_missing(tx: Tx, missing: Sequence[Missing], now: datetime) -> None:
    """Remember *missing*; what is known of them already stays."""
    if missing:
        await tx.execute(
            _NOTE_MISSING,
            now=now,
            envelope_ids=[each.envelope_id for each in missing],
            queues=[each.queue for each in missing],
            producers=[each.producer for each in missing],
            next_ats=[each.next_at for each in missing],
        )


_UNCLAIMED = """
select envelope_id, queue, producer, attempts, next_at from missing_deliveries where claimed_at is null
order by next_at, envelope_id limit :limit
"""


async def unclaimed(tx: Tx) -> list[Missing]:
    """What was missing when it was last looked for, those that are due first, at most 20,000."""
    return [Missing._make(row) for row in await tx.execute(_UNCLAIMED, limit=_MISSING_MAX)]


_CLAIMED_NOW = """
update missing_deliveries set claimed_at = :now
where queue = :queue and envelope_id = any(cast(:ids as uuid[])) and claimed_at is null
"""


async def claimed_now(tx: Tx, queue: str, envelope_ids: Collection[UUID], now: datetime) -> None:
    """They arrived after all."""
    await tx.execute(_CLAIMED_NOW, queue=queue, ids=sorted(envelope_ids), now=now)


_PUT_OFF = """
update missing_deliveries missing set attempts = attempts + 1, next_at = row.next_at
from unnest(cast(:ids as uuid[]), cast(:next_ats as timestamptz[])) as row (envelope_id, next_at)
where missing.queue = :queue and missing.envelope_id = row.envelope_id
"""


async def put_off(tx: Tx, queue: str, again: Sequence[tuple[UUID, datetime]]) -> None:
    """They are being announced once more; look again at the time given."""
    await tx.execute(_PUT_OFF, queue=queue, ids=[each for each, _ in again], next_ats=[at for _, at in again])


async def unclaimed_counts(tx: Tx) -> dict[tuple[str, str], int]:
    """(producer, queue) → how many are lost, so that they were announced again, and still not claimed.

    0 for pairs that had some and have none now.
    """
    rows = await tx.execute(
        "select producer, queue, count(*) filter (where claimed_at is null and attempts > 0) as number"
        " from missing_deliveries group by producer, queue"
    )
    return {(row.producer, row.queue): row.number for row in rows}


async def forget_claimed(tx: Tx, before: datetime) -> None:
    await tx.execute("delete from missing_deliveries where claimed_at < :before", before=before)
