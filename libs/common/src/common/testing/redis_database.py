"""A numbered Redis database for every worker, empty for every test."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from common.testing.engines import Stack, is_over

if TYPE_CHECKING:
    from redis.asyncio import Redis


@pytest.fixture(scope="session")
def redis_database(stack: Stack) -> Iterator[str]:
    """The URL of a numbered database that nobody else uses meanwhile; number 0 keeps who has which."""
    import redis

    register = redis.Redis.from_url(f"{stack.redis_url}/0")
    for number in range(1, 16):
        lease = f"commdesk:test:database:{number}"
        holder = register.get(lease)
        if isinstance(holder, bytes) and is_over(int(holder)):
            register.delete(lease)
        if register.set(lease, os.getpid(), nx=True, ex=7200):
            yield f"{stack.redis_url}/{number}"
            register.delete(lease)
            register.close()
            return
    pytest.fail("all numbered databases of the tests' Redis are taken", False)


@pytest.fixture
def redis_url(redis_database: str) -> str:
    """A Redis database, empty."""
    import redis

    with redis.Redis.from_url(redis_database) as client:
        client.flushdb()
    return redis_database


@pytest_asyncio.fixture(name="redis")
async def redis_client(redis_url: str) -> "AsyncIterator[Redis]":
    """A client as the services have it, over an empty database."""
    from common import redis

    client = redis.connect(redis_url)
    yield client
    await client.aclose()
