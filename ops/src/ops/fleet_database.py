"""The database of a stack, for what looks over all schemas: checks, drills, virtual users."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

CONNECT_SECONDS_MAX = 5


@asynccontextmanager
async def connect(description: Mapping[str, Any]) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the superuser, to the database that stack.json describes. Raises OSError, PostgresError."""
    known = description["postgresql"]
    names = ("host", "port", "user", "password", "database")
    connection = await asyncpg.connect(**{name: known[name] for name in names}, timeout=CONNECT_SECONDS_MAX)
    try:
        yield connection
    finally:
        await connection.close()
