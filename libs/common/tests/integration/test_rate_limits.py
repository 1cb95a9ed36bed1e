"""Quotas of API keys, in a real Redis and without one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from common.rate_limits import REST_SECONDS, Allowance, Quota, RateLimiter
from common.redis import connect

# One each six seconds, five at once.
QUOTA = Quota(per_minute=10, burst=5)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Any]:
    """Patient, unlike the services': a busy machine must not make a limiter count by itself."""
    async with connect(redis_url, timeout_seconds=5.0) as client:
        yield client


class Monotonic:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_burst_is_let_in_and_then_what_the_rate_allows(redis: Any) -> None:
    limiter = RateLimiter(redis, "payment")
    answers = [await limiter.take("apk_1", QUOTA) for _ in range(7)]
    assert [answer.remaining for answer in answers] == [4, 3, 2, 1, 0, 0, 0]
    assert [answer.retry_after_seconds > 0 for answer in answers] == [False] * 5 + [True] * 2
    assert {answer.limit for answer in answers} == {5}
    assert answers[0].reset_seconds == 6
    # What was refused costs nothing.
    assert 1 <= answers[6].retry_after_seconds <= 6
    assert answers[6].reset_seconds <= 30
    assert (await limiter.take("apk_2", QUOTA)).remaining == 4


async def test_replicas_count_together_however_many_come_at_once(redis: Any) -> None:
    limiters = [RateLimiter(redis, "payment") for _ in range(4)]
    answers = await asyncio.gather(*(limiters[turn % 4].take("apk_1", QUOTA) for turn in range(40)))
    assert sum(answer.retry_after_seconds == 0 for answer in answers) == 5


async def test_the_quota_comes_back_with_time(redis: Any) -> None:
    quick = Quota(per_minute=600, burst=2)
    limiter = RateLimiter(redis, "payment")
    assert [(await limiter.take("apk_1", quick)).retry_after_seconds for _ in range(3)] == [0, 0, 1]
    await asyncio.sleep(0.11)
    assert [(await limiter.take("apk_1", quick)).retry_after_seconds for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("forged", [b"99999999999999999999", b"inf", b"nan", b"-5", b"no number", b""])
async def test_a_forged_value_is_worth_one_burst_at_most(redis: Any, forged: bytes) -> None:
    limiter = RateLimiter(redis, "payment")
    await limiter.take("apk_1", QUOTA)
    [key] = await redis.keys("ratelimit:payment:*")
    await redis.set(key, forged)
    answer = await limiter.take("apk_1", QUOTA)
    assert answer.retry_after_seconds <= 6
    assert answer.reset_seconds <= 30


async def test_what_redis_holds_goes_by_itself(redis: Any) -> None:
    await RateLimiter(redis, "payment").take("apk_1", QUOTA)
    [key] = await redis.keys("*")
    assert 6_000 <= await redis.pttl(key) <= 7_100


async def test_without_redis_each_replica_counts_by_itself() -> None:
    monotonic = Monotonic()
    async with connect("redis://127.0.0.1:1/0") as nobody:
        limiter = RateLimiter(nobody, "payment", monotonic=monotonic)
        answers = [await limiter.take("apk_1", QUOTA) for _ in range(6)]
        assert answers[0] == Allowance(limit=5, remaining=4, reset_seconds=6, retry_after_seconds=0)
        assert [answer.retry_after_seconds for answer in answers] == [0, 0, 0, 0, 0, 6]
        monotonic.now += 6
        assert (await limiter.take("apk_1", QUOTA)).retry_after_seconds == 0


async def test_a_redis_that_does_not_answer_is_left_alone_for_a_while(redis: Any) -> None:
    monotonic = Monotonic()
    async with connect("redis://127.0.0.1:1/0") as nobody:
        limiter = RateLimiter(nobody, "payment", monotonic=monotonic)
        await limiter.take("apk_1", QUOTA)
        limiter._redis = redis  # it is back
        await limiter.take("apk_1", QUOTA)
        assert await redis.keys("*") == []
        monotonic.now += REST_SECONDS
        await limiter.take("apk_1", QUOTA)
        assert len(await redis.keys("*")) == 1
