"""Fixtures of the wallet's tests; engines and databases come from common.testing, values from `builders`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
import pytest
import pytest_asyncio


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest_asyncio.fixture
async def as_owner(owner_url: str) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Runs a statement as only the schema's owner may."""
    connection = await asyncpg.connect(owner_url)
    yield connection.execute
    await connection.close()
