"""Fixtures of the wallet's tests; engines and databases come from common.testing, values from `builders`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import asyncpg
import pytest
import pytest_asyncio

from common.runtime import Resources, Service
from common.settings import read
from common.testing import Served
from wallet.__main__ import service
from wallet.settings import Settings


@pytest_asyncio.fixture
async def wallet(
    resources: Resources, serve: Callable[[Service], AbstractAsyncContextManager[Served]]
) -> AsyncIterator[Served]:
    """The wallet as `__main__` builds it, in this process."""
    async with service(read(Settings), resources) as value, serve(value) as served:
        yield served


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest_asyncio.fixture
async def as_owner(owner_url: str) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Runs a statement as only the schema's owner may."""
    connection = await asyncpg.connect(owner_url)
    yield connection.execute
    await connection.close()
