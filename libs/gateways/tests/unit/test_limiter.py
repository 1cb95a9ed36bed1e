"""Quotas: a spent one is waited for, near its end calls are paced."""

import asyncio
import time

import pytest

from gateways.limiter import Limiter, QuotaExhaustedError


async def test_a_spent_quota_is_waited_for() -> None:
    limiter = Limiter()
    await limiter.turn(0.01)
    limiter.learn(429, {"x-ratelimit-limit": "600", "x-ratelimit-remaining": "0", "x-ratelimit-retry": "1"})
    with pytest.raises(QuotaExhaustedError) as refused:
        await limiter.turn(0.5)
    assert 0.5 < refused.value.retry_after_seconds <= 1
    started = time.monotonic()
    await asyncio.gather(*(limiter.turn(5) for _ in range(3)))
    # After the pause one call in each tenth of a second: 600 a minute.
    assert time.monotonic() - started >= 1.19


async def test_calls_are_paced_near_the_end_of_the_quota() -> None:
    limiter = Limiter()
    limiter.learn(200, {"x-ratelimit-limit": "1200", "x-ratelimit-remaining": "100"})
    started = time.monotonic()
    await asyncio.gather(*(limiter.turn(5) for _ in range(5)))
    assert time.monotonic() - started >= 0.19


@pytest.mark.parametrize("nonsense", ["", "-1", "1e9", "x", "٣", "99999999999999"])
async def test_nonsense_in_the_headers_is_ignored(nonsense: str) -> None:
    limiter = Limiter()
    limiter.learn(200, {"x-ratelimit-limit": nonsense, "x-ratelimit-remaining": nonsense})
    await limiter.turn(0.001)
