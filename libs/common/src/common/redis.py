"""Redis, which is a hint: it makes things faster, and nothing is wrong when it is gone or has forgotten everything."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from common import telemetry
from common.batching import Batcher
from common.errors import DomainError

TIMEOUT_SECONDS = 0.05
CONNECTIONS_MAX = 64

T = TypeVar("T")
D = TypeVar("D")

_failures = telemetry.counter(
    "redis_hint_failures_total", "Hints that Redis could not give, by what went wrong", ["error"]
)


def connect(url: str) -> redis.asyncio.Redis:
    """A client for *url*. It connects at its first command, waits 50 ms at most and never tries twice: see `hint`."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        max_connections=CONNECTIONS_MAX,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        decode_responses=False,
    )


async def hint(awaitable: Awaitable[T], default: D) -> T | D:
    """What Redis says, or *default* when it does not say anything; the failure is counted and nothing else."""
    try:
        return await awaitable
    except (RedisError, OSError, TimeoutError) as error:
        _failures.of(type(error).__name__).inc()
        return default


class Hints:
    """What is remembered by key for so many seconds. Those who ask at one moment share a round trip, so do writes."""

    def __init__(self, redis: redis.asyncio.Redis, name: str, *, seconds: int) -> None:
        self._redis = redis
        self._seconds = seconds
        self.reads: Batcher[str, bytes | None] = Batcher(self._read, name=f"{name}:read")
        self.writes: Batcher[tuple[str, bytes], None] = Batcher(self._write, name=f"{name}:write")

    async def get(self, key: str) -> bytes | None:
        """The value, None when Redis has none or does not say."""
        try:
            return await self.reads.submit(key)
        except DomainError:
            return None

    def set(self, key: str, value: bytes) -> None:
        """Remember *value*, soon; nobody waits for it."""
        try:
            self.writes.offer((key, value))
        except DomainError:
            pass  # too much waits already: it is a hint

    async def _read(self, keys: list[str]) -> Sequence[bytes | None]:
        found = await hint(self._redis.mget(keys), [None] * len(keys))
        return [value if isinstance(value, bytes) else None for value in found]

    async def _write(self, entries: list[tuple[str, bytes]]) -> Sequence[None]:
        pipeline = self._redis.pipeline(transaction=False)
        for key, value in entries:
            pipeline.set(key, value, ex=self._seconds)
        await hint(pipeline.execute(), None)
        return [None] * len(entries)
