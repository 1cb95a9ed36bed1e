import asyncio

import pytest
from prometheus_client import REGISTRY
from redis.exceptions import ResponseError

from common import redis


def failures(error: str) -> float:
    return REGISTRY.get_sample_value("commdesk_redis_failures_total", {"error": error}) or 0.0


async def test_a_redis_that_is_not_there_costs_the_hint_only():
    async with redis.connect("redis://127.0.0.1:1/0") as client:
        before = failures("ConnectionError")
        assert await redis.best_effort(client.get("key"), b"default") == b"default"
        assert failures("ConnectionError") == before + 1


async def test_a_redis_that_hangs_is_left_after_its_timeout():
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    started = asyncio.get_running_loop().time()
    async with redis.connect(f"redis://127.0.0.1:{port}/0") as client:
        assert await redis.best_effort(client.set("key", "value", nx=True), default=None) is None
    assert asyncio.get_running_loop().time() - started < 1
    server.close()


async def test_a_redis_that_refuses_is_no_reason_to_fail():
    async def refuse() -> str:
        raise ResponseError("OOM command not allowed")

    async def answer() -> str:
        return "value"

    assert await redis.best_effort(refuse(), "default") == "default"
    assert await redis.best_effort(answer(), "default") == "value"


async def test_our_own_bugs_are_not_swallowed():
    async def bug() -> str:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await redis.best_effort(bug(), "default")
