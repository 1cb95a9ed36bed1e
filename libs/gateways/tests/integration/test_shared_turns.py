"""The quota of an account is shared by all replicas: two clients on a real Redis, and on none."""

import asyncio
import time
from typing import Any

import pytest

from common.redis import connect
from gateways.limiter import Limiter, QuotaExhaustedError
from gateways.shared_turns import SharedTurns

# 1,200 calls a minute: a turn every 50 ms.
TIGHT = {"x-ratelimit-limit": "1200", "x-ratelimit-remaining": "100"}
INTERVAL = 0.05


def replicas(redis: Any, number: int = 2, account: str = "gwa_1") -> list[Limiter]:
    return [Limiter(SharedTurns(redis, account, "create_order")) for _ in range(number)]


@pytest.fixture(autouse=True)
async def patient(redis: Any) -> None:
    """A busy machine may take longer than the 50 ms that a service waits."""
    redis.connection_pool.connection_kwargs["socket_timeout"] = 10
    redis.connection_pool.connection_kwargs["socket_connect_timeout"] = 10


async def seconds(*turns: Any) -> float:
    started = time.monotonic()
    await asyncio.gather(*turns)
    return time.monotonic() - started


async def test_replicas_take_turns_from_one_place(redis: Any) -> None:
    one, other = replicas(redis)
    for each in (one, other):
        each.learn(200, TIGHT)
    turns = [each.turn(30) for _ in range(5) for each in (one, other)]
    # Ten turns have nine intervals between them; each by itself would be through after four.
    assert await seconds(*turns) >= 9 * INTERVAL * 0.99


async def test_other_accounts_and_operations_have_turns_of_their_own(redis: Any) -> None:
    waits = [
        await SharedTurns(redis, account, operation).take(30, 0, 60)
        for account, operation in (("gwa_1", "a"), ("gwa_1", "b"), ("gwa_2", "a"), ("gwa_1a", ""))
    ]
    assert waits == [0, 0, 0, 0]


async def test_a_pause_that_one_replica_was_told_counts_for_the_others(redis: Any) -> None:
    one, other = replicas(redis)
    one.learn(429, {"x-ratelimit-limit": "1200", "x-ratelimit-retry": "1"})
    other.learn(200, TIGHT)
    first = asyncio.create_task(one.turn(30))
    await asyncio.sleep(0.2)
    assert await seconds(other.turn(30)) >= 0.5
    await first


async def test_a_turn_that_comes_too_late_is_not_taken(redis: Any) -> None:
    turns = SharedTurns(redis, "gwa_1", "read_order")
    assert await turns.take(10, 0, 1) == 0
    for _ in range(3):
        wait = await turns.take(10, 0, 1)
        assert wait is not None and 5 < wait <= 10
    limiter = Limiter(turns)
    limiter.learn(200, TIGHT)
    with pytest.raises(QuotaExhaustedError) as refused:
        await limiter.turn(1)
    assert 4 < refused.value.retry_after_seconds <= 10


async def test_far_from_the_limit_nobody_is_asked(redis: Any) -> None:
    [one] = replicas(redis, 1)
    await redis.config_resetstat()
    one.learn(200, {"x-ratelimit-limit": "1200", "x-ratelimit-remaining": "1100"})
    for _ in range(10):
        await one.turn(0.001)
    assert await redis.dbsize() == 0


@pytest.mark.parametrize("forged", ["nan", "inf", "-1", "x", "", "9" * 300, "1e308", "4102444800000000"])
async def test_what_others_put_there_stops_nobody(redis: Any, forged: str) -> None:
    turns = SharedTurns(redis, "gwa_1", "create_order")
    await turns.take(1, 0, 60)
    [key] = await redis.keys("gateway:quota:*")
    await redis.set(key, forged)
    assert await turns.take(1, 0, 60) == 0
    wait = await turns.take(1, 0, 60)
    assert wait is not None and 0 <= wait <= 1


async def test_without_redis_each_keeps_the_pace_by_itself() -> None:
    async with connect("redis://127.0.0.1:1/0") as nobody:
        [one] = replicas(nobody, 1)
        one.learn(200, TIGHT)
        assert await seconds(*(one.turn(30) for _ in range(5))) >= 4 * INTERVAL * 0.99
