"""Quotas, learned from the gateway's answers: a spent quota is waited for.

Cashfree counts a sliding minute for each API and sends with every answer how much is left. Near the end of the quota
calls are spread over the rest of the minute; after a 429 no call is made before the time it names.
"""

import asyncio
import time
from collections.abc import Mapping

WINDOW_SECONDS = 60.0
# Below this share of the quota the calls are paced.
TIGHT_SHARE = 0.1
RETRY_SECONDS_DEFAULT = 2.0


class QuotaExhaustedError(Exception):
    """The turn comes later than the caller can wait."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("quota exhausted")
        self.retry_after_seconds = retry_after_seconds


class Limiter:
    """One for each operation of an account."""

    def __init__(self) -> None:
        self._interval = 0.0
        self._paced_until = 0.0
        self._next = 0.0

    async def turn(self, timeout_seconds: float) -> None:
        """Wait for a turn. Raises QuotaExhaustedError at once when it would come after *timeout_seconds*."""
        now = time.monotonic()
        wait = self._next - now
        if wait > timeout_seconds:
            raise QuotaExhaustedError(wait)
        if now < self._paced_until or wait > 0:
            self._next = max(now, self._next) + self._interval
        if wait > 0:
            await asyncio.sleep(wait)

    def learn(self, status: int, headers: Mapping[str, str]) -> None:
        """Adjust to what an answer says about the quota."""
        limit = _number(headers.get("x-ratelimit-limit"))
        remaining = _number(headers.get("x-ratelimit-remaining"))
        now = time.monotonic()
        if status == 429:
            pause = _number(headers.get("x-ratelimit-retry")) or _number(headers.get("retry-after"))
            self._next = max(self._next, now + (pause or RETRY_SECONDS_DEFAULT))
        if status == 429 or (limit and remaining is not None and remaining <= limit * TIGHT_SHARE):
            self._interval = WINDOW_SECONDS / limit if limit else 0.1
            self._paced_until = now + WINDOW_SECONDS
        elif now >= self._paced_until:
            self._interval = 0.0


def _number(text: str | None) -> float | None:
    """Seconds or a count from a header; nonsense is as good as nothing."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None
