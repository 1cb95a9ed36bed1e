"""Quotas, learned from the gateway's answers: a spent quota is waited for.

Cashfree counts a sliding minute for each API and account, and sends with every answer how much is left. Far from the
end no replica waits. Near it, calls are spread over the rest of the minute, and all replicas take their turns from one
queue in Redis, for the quota is the account's; after a 429 no call is made before the time it names. While Redis does
not answer, each replica keeps the pace by itself.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

WINDOW_SECONDS = 60.0
# Below this share of the quota the calls are paced.
TIGHT_SHARE = 0.1
RETRY_SECONDS_DEFAULT = 2.0


class QuotaExhaustedError(Exception):
    """The turn comes later than the caller can wait."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("quota exhausted")
        self.retry_after_seconds = retry_after_seconds


class Turns(Protocol):
    """One queue of turns for all who share a quota."""

    async def take(self, interval: float, earliest: float, latest: float) -> float | None:
        """The seconds until the turn, not before *earliest*; turns are *interval* apart. A turn after *latest*
        is returned and not taken. None when the queue cannot be read.
        """


class Limiter:
    """One for each operation of an account. *shared*: the turns of all replicas."""

    def __init__(self, shared: Turns | None = None) -> None:
        self._shared = shared
        self._interval = 0.0
        self._paced_until = 0.0
        self._paused_until = 0.0
        self._next = 0.0

    async def turn(self, timeout_seconds: float) -> None:
        """Wait for a turn. Raises QuotaExhaustedError at once when it would come after *timeout_seconds*."""
        now = time.monotonic()
        pause = max(self._paused_until - now, 0.0)
        if not pause and now >= self._paced_until:
            return
        if pause > timeout_seconds:
            raise QuotaExhaustedError(pause)
        wait = await self._shared.take(self._interval, pause, timeout_seconds) if self._shared else None
        if wait is None:
            wait = self._own_turn(pause, timeout_seconds)
        if wait > timeout_seconds:
            raise QuotaExhaustedError(wait)
        if wait > 0:
            await asyncio.sleep(wait)

    def _own_turn(self, pause: float, latest: float) -> float:
        now = time.monotonic()
        turn_at = max(now + pause, self._next)
        if turn_at - now <= latest:
            self._next = turn_at + self._interval
        return turn_at - now

    def learn(self, status: int, headers: Mapping[str, str]) -> None:
        """Adjust to what an answer says about the quota."""
        limit = _number(headers.get("x-ratelimit-limit"))
        remaining = _number(headers.get("x-ratelimit-remaining"))
        now = time.monotonic()
        if status == 429:
            pause = _number(headers.get("x-ratelimit-retry")) or _number(headers.get("retry-after"))
            self._paused_until = max(self._paused_until, now + (pause or RETRY_SECONDS_DEFAULT))
        if status == 429 or (limit and remaining is not None and remaining <= limit * TIGHT_SHARE):
            self._interval = WINDOW_SECONDS / limit if limit else 0.1
            self._paced_until = now + WINDOW_SECONDS
        elif now >= self._paced_until:
            self._interval = 0.0


def _number(text: str | None) -> float | None:
    """Seconds or a count from a header; nonsense is as good as nothing."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None
