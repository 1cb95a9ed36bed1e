"""Attempts to log in, and what is forgotten in time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from common.database import Tx
from identity.domain import Throttle


async def lock_throttles(tx: Tx, keys: Collection[bytes], now: datetime) -> dict[bytes, Throttle]:
    """One for every key, made when it is missing; nobody changes them until *tx* ends."""
    ordered = sorted(set(keys))
    await tx.execute(
        """
        insert into login_throttles (key, attempts, window_ends_at)
        select key, 0, :now from unnest(cast(:keys as bytea[])) as row (key) on conflict do nothing
        """,
        keys=ordered,
        now=now,
    )
    rows = await tx.execute(
        """
        select key, attempts, window_ends_at from login_throttles where key = any(cast(:keys as bytea[]))
        order by key for no key update
        """,
        keys=ordered,
    )
    return {row.key: Throttle(row.key, row.attempts, row.window_ends_at) for row in rows}


async def save_throttles(tx: Tx, changed: Collection[Throttle]) -> None:
    if not changed:
        return
    await tx.execute(
        """
        update login_throttles t set attempts = c.attempts, window_ends_at = c.window_ends_at
        from unnest(cast(:keys as bytea[]), cast(:attempts as int[]), cast(:ends as timestamptz[]))
            as c (key, attempts, window_ends_at)
        where t.key = c.key
        """,
        keys=[throttle.key for throttle in changed],
        attempts=[throttle.attempts for throttle in changed],
        ends=[throttle.window_ends_at for throttle in changed],
    )


async def forget(tx: Tx, now: datetime) -> None:
    """Delete throttles and sessions whose time is over."""
    await tx.execute("delete from login_throttles where window_ends_at < :now", now=now)
    await tx.execute("delete from sessions where expires_at < :now", now=now)
