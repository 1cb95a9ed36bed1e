"""The best-effort cache against a real Redis, and against none."""

import asyncio
from typing import Any

from common import seals
from common.redis import BestEffortCache, connect

SEALER = seals.generated()


async def test_those_who_ask_at_one_moment_share_a_round_trip(redis: Any) -> None:
    cache = BestEffortCache(redis, SEALER, "test", seconds=60)
    for number in range(5):
        cache.set(f"key-{number}", b"value-%d" % number)
    await cache.writes.drain()
    assert 0 < await redis.ttl("key-0") <= 60
    await redis.config_resetstat()
    values = await asyncio.gather(*(cache.get(f"key-{number}") for number in range(6)))
    assert values == [b"value-0", b"value-1", b"value-2", b"value-3", b"value-4", None]
    stats = await redis.info("commandstats")
    assert stats["cmdstat_mget"]["calls"] == 1


async def test_a_redis_that_is_not_there_remembers_nothing() -> None:
    async with connect("redis://127.0.0.1:1/0") as nobody:
        cache = BestEffortCache(nobody, SEALER, "test", seconds=60)
        cache.set("key", b"value")
        assert await asyncio.gather(cache.get("key"), cache.get("other")) == [None, None]
        await cache.writes.drain()


async def test_what_others_put_there_is_as_good_as_nothing(redis: Any) -> None:
    cache = BestEffortCache(redis, SEALER, "test", seconds=60)
    cache.set("a", b"of a", b"request 1")
    cache.set("b", b"of b", b"request 1")
    await cache.writes.drain()
    sealed = {key: await redis.get(key) for key in ("a", "b")}
    assert b"of a" not in sealed["a"]
    foreign = seals.generated()
    for forged in (b"of a", b"", sealed["b"], sealed["a"][:-1], foreign.seal_bytes("cache:a:", b"of a")):
        await redis.set("a", forged)
        assert await cache.get("a", b"request 1") is None
    await redis.set("a", sealed["a"])
    assert await cache.get("a", b"request 1") == b"of a"
    # For another request it is not the answer.
    assert await cache.get("a", b"request 2") is None
    assert await cache.get("a") is None
