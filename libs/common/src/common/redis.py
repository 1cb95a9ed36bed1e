"""Redis, which is a hint: it makes things faster, and nothing is wrong when it is gone or has forgotten everything."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from common import telemetry

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
