"""X: Redis forgets, stops, stands still. It is a hint, so nothing may depend on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import redis.asyncio
from redis.exceptions import RedisError

from ops.faults.ground import Ground
from ops.faults.patience import patiently
from ops.faults.proxy import Weather
from ops.faults.scenario import scenario


@asynccontextmanager
async def _client(ground: Ground) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(ground.fleet.description["redis"]["url"])
    try:
        yield client
    finally:
        await client.aclose()


@scenario("X80-flushed", must="no double payment; limiters start anew and nothing else")
async def _(ground: Ground) -> None:
    """FLUSHALL every 100 ms for three seconds."""
    async with _client(ground) as client:
        for _ in range(30):
            with suppress(RedisError):
                await client.flushall()
            await asyncio.sleep(0.1)


@scenario("X81-killed", must="keys are exact: PostgreSQL has them")
async def _(ground: Ground) -> None:
    """SIGKILL: the last second of what it was told is gone."""
    await ground.kill("redis")
    await asyncio.sleep(1)
    await ground.until_ready("redis")


@scenario("X-stopped", must="slower at most")
async def _(ground: Ground) -> None:
    """Redis is stopped for 8 s."""
    await ground.stop("redis")
    await asyncio.sleep(8)
    await ground.start("redis")


@scenario("X-stopped-60s", must="slower at most: nothing piles up that would have to be drained", random=False)
async def _(ground: Ground) -> None:
    """Redis is stopped for 60 s."""
    await ground.stop("redis")
    await asyncio.sleep(60)
    await ground.start("redis")
    ground.expect(ground.history.longest_seconds < 5, "nobody waits for Redis")


@scenario("X83-paused", must="nobody waits for it beyond its time-out, no pile-up")
async def _(ground: Ground) -> None:
    """CLIENT PAUSE 5000."""
    async with _client(ground) as client:
        await patiently(lambda: client.client_pause(5000))
        await asyncio.sleep(5)


@scenario("X-black-hole", must="nobody waits for it beyond its time-out, no pile-up")
async def _(ground: Ground) -> None:
    """Nothing passes between the services and Redis for 6 s."""
    with ground.weather("redis", Weather(black_hole=True)):
        await asyncio.sleep(6)


@scenario("X82-evicting", must="what was forgotten is asked of PostgreSQL")
async def _(ground: Ground) -> None:
    """Redis has a megabyte: it forgets at random for 4 s, then refuses to write for 4 s."""
    async with _client(ground) as client:
        before = await patiently(lambda: client.config_get("maxmemory*"))
        try:
            for policy in ("allkeys-random", "noeviction"):
                await _limited(client, "1mb", policy)
                await asyncio.sleep(4)
        finally:
            await _limited(client, str(before["maxmemory"]), str(before["maxmemory-policy"]))


async def _limited(client: redis.asyncio.Redis, bytes_max: str, policy: str) -> None:
    await patiently(lambda: client.config_set("maxmemory", bytes_max))
    await patiently(lambda: client.config_set("maxmemory-policy", policy))
