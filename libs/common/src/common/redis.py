"""Redis, a best-effort cache: the service stays correct when it is away, was emptied or holds forged values.

Others may write to it as well: a value is accepted only when a service of ours sealed it for this very entry.
"""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from common import telemetry
from common.batching import Batcher
from common.errors import DomainError
from common.seals import Sealer

TIMEOUT_SECONDS = 0.05
# Opening a connection with TLS takes that many times as long: its handshake, and the certificate's check.
TLS_CONNECT_FACTOR = 4
CONNECTIONS_MAX = 64

# All entries of a batch in one command: a pipeline waits for an answer to each, which costs the client four times as
# much (29 µs an entry against 8). ARGV holds the seconds, then a value for each key.
_SET_MANY = "for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1]) end"

T = TypeVar("T")
D = TypeVar("D")

_failures = telemetry.counter("redis_failures_total", "Commands that Redis did not answer, by error", ["error"])


def connect(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> redis.asyncio.Redis:
    """A client for *url*. It connects at its first command, waits *timeout_seconds* at most and never tries twice.

    Wrap its commands in `best_effort`.
    """
    connect_factor = TLS_CONNECT_FACTOR if url.startswith("rediss:") else 1
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds * connect_factor,
        max_connections=CONNECTIONS_MAX,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        decode_responses=False,
    )


async def best_effort(awaitable: Awaitable[T], default: D) -> T | D:
    """What Redis answers, or *default* when it does not answer; the failure is counted and nothing else."""
    try:
        return await awaitable
    except (RedisError, OSError, TimeoutError) as error:
        _failures.of(type(error).__name__).inc()
        return default


class BestEffortCache:
    """Sealed values by key, kept for so many seconds. Reads of one moment share a round trip, and so do writes.

    A value opens only under the key and for the *content* (a fingerprint, say) that it was stored with.
    """

    def __init__(self, redis: redis.asyncio.Redis, sealer: Sealer, name: str, *, seconds: int) -> None:
        self._redis = redis
        self._sealer = sealer
        self._seconds = seconds
        self.reads: Batcher[str, bytes | None] = Batcher(self._read, name=f"{name}:read")
        self.writes: Batcher[tuple[str, bytes], None] = Batcher(self._write, name=f"{name}:write")

    async def get(self, key: str, content: bytes = b"") -> bytes | None:
        """The value, None when Redis has none of ours or does not answer."""
        try:
            return self._sealer.open_cached(_place(key, content), await self.reads.submit(key))
        except DomainError:
            return None

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of *keys* in one round trip, for callers who have them together."""
        values = await self._read(list(keys)) if keys else ()
        return [self._sealer.open_cached(_place(key, b""), value) for key, value in zip(keys, values, strict=True)]

    def set(self, key: str, value: bytes, content: bytes = b"") -> None:
        """Store *value*, which is not empty, soon; the caller does not wait for it."""
        try:
            self.writes.offer((key, self._sealer.seal_bytes(_place(key, content), value)))
        except DomainError:
            pass  # too much waits already: it is best effort

    async def _read(self, keys: list[str]) -> Sequence[bytes | None]:
        values = await best_effort(self._redis.mget(keys), [None] * len(keys))
        return [value if isinstance(value, bytes) else None for value in values]

    async def _write(self, entries: list[tuple[str, bytes]]) -> Sequence[None]:
        keys, values = zip(*entries, strict=True)
        await best_effort(self._redis.eval(_SET_MANY, len(keys), *keys, self._seconds, *values), None)
        return [None] * len(entries)


def _place(key: str, content: bytes) -> str:
    """What a value is sealed for. The content has no colon, so that key and content are unambiguous."""
    return f"cache:{key}:{content.hex()}"
