"""Dead letters that a scenario closes: those that it provoked, and those that it leaves."""

import asyncpg

from tests.faults.environment import Environment


async def discard(
    environment: Environment, schema: str, reason: str, *, queue: str | None = None, type: str | None = None
) -> list[asyncpg.Record]:
    """Close the open dead letters of a service, of one queue or one type if given; the error code of each."""
    async with environment.db() as db:
        discarded: list[asyncpg.Record] = await db.fetch(
            f"update {schema}.dead_letters set status = 'DISCARDED', closed_at = now(), actor = 'faults', reason = $1"
            " where status = 'OPEN' and queue = coalesce($2, queue) and type = coalesce($3, type) returning error_code",
            reason,
            queue,
            type,
        )
    return discarded
