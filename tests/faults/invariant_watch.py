"""The checks that hold at every moment, on a snapshot, while things break."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from ops import invariants
from tests.faults.environment import Environment

LOOK_SECONDS = 3.0


@asynccontextmanager
async def watched(environment: Environment) -> AsyncIterator[list[str]]:
    """Check the invariants again and again while the block lasts; what was violated, each once."""
    found: dict[str, str] = {}
    complaints: list[str] = []
    watching = asyncio.create_task(_watch(environment, found))
    try:
        yield complaints
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        complaints += [f"meanwhile, {check}: {rows}" for check, rows in found.items()]


async def _watch(environment: Environment, found: dict[str, str]) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            for each in await invariants.violations(environment.fleet.description, under_way=True):
                found.setdefault(each.check, str(each.rows[:2]))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            continue  # PostgreSQL is away: that may be the very fault
