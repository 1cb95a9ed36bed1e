"""X: Redis forgets, stops, stands still. It is a hint, so nothing may depend on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import redis.asyncio
from redis.exceptions import RedisError

from tests.faults.environment import Environment
from tests.faults.proxy import NetworkConditions
from tests.faults.retry import retry
from tests.faults.scenario import scenario


@asynccontextmanager
async def _client(environment: Environment) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(environment.fleet.description["redis"]["url"])
    try:
        yield client
    finally:
        await client.aclose()


@scenario("X80-flushed", must="no double payment; limiters start anew and nothing else")
async def _(environment: Environment) -> None:
    """FLUSHALL every 100 ms for three seconds."""
    async with _client(environment) as client:
        for _ in range(30):
            with suppress(RedisError):
                await client.flushall()
            await asyncio.sleep(0.1)


@scenario("X81-killed", must="keys are exact: PostgreSQL has them")
async def _(environment: Environment) -> None:
    """SIGKILL: the last second of writes is gone."""
    await environment.kill("redis")
    await asyncio.sleep(1)
    await environment.until_ready("redis")


@scenario("X-stopped", must="slower at most")
async def _(environment: Environment) -> None:
    """Redis is stopped for 8 s."""
    await environment.stop("redis")
    await asyncio.sleep(8)
    await environment.start("redis")


@scenario("X-stopped-60s", must="slower at most: nothing piles up that would have to be drained", random=False)
async def _(environment: Environment) -> None:
    """Redis is stopped for 60 s."""
    await environment.stop("redis")
    await asyncio.sleep(60)
    await environment.start("redis")
    environment.expect(environment.history.longest_seconds < 5, "nobody waits for Redis")


@scenario("X83-paused", must="nobody waits for it beyond its time-out, no pile-up")
async def _(environment: Environment) -> None:
    """CLIENT PAUSE 5000."""
    async with _client(environment) as client:
        await retry(lambda: client.client_pause(5000))
        await asyncio.sleep(5)


@scenario("X-black-hole", must="nobody waits for it beyond its time-out, no pile-up")
async def _(environment: Environment) -> None:
    """Nothing passes between the services and Redis for 6 s."""
    with environment.conditions("redis", NetworkConditions(black_hole=True)):
        await asyncio.sleep(6)


@scenario("X82-evicting", must="what was forgotten is asked of PostgreSQL")
async def _(environment: Environment) -> None:
    """Redis has a megabyte: it forgets at random for 4 s, then refuses to write for 4 s."""
    async with _client(environment) as client:
        before = await retry(lambda: client.config_get("maxmemory*"))
        try:
            for policy in ("allkeys-random", "noeviction"):
                await _limited(client, "1mb", policy)
                await asyncio.sleep(4)
        finally:
            await _limited(client, str(before["maxmemory"]), str(before["maxmemory-policy"]))


async def _limited(client: redis.asyncio.Redis, bytes_max: str, policy: str) -> None:
    await retry(lambda: client.config_set("maxmemory", bytes_max))
    await retry(lambda: client.config_set("maxmemory-policy", policy))
