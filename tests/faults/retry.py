"""Asking again while an engine is away: in a random combination that may be the other fault's doing."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aio_pika
import aiohttp
import asyncpg
import grpc.aio
import redis.exceptions

RETRY_SECONDS_MAX = 60.0
PAUSE_SECONDS = 0.5

AWAY = (
    OSError,
    TimeoutError,
    RuntimeError,
    subprocess.SubprocessError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    aiohttp.ClientError,
    aio_pika.exceptions.AMQPError,
    grpc.aio.AioRpcError,
    redis.exceptions.RedisError,
)

T = TypeVar("T")


async def retry(work: Callable[[], Awaitable[T]], seconds: float = RETRY_SECONDS_MAX) -> T:
    """What *work* returns, tried again while what it needs is away. Raises what it raised last."""
    ends = time.monotonic() + seconds
    while True:
        try:
            return await work()
        except AWAY:
            if time.monotonic() > ends:
                raise
        await asyncio.sleep(PAUSE_SECONDS)
