"""Requests per minute and operation, over a sliding window; off by default."""

import time
from collections import deque

import msgspec

_WINDOW_SECONDS = 60
_PLENTY = 1_000_000  # what the headers say while quotas are off: nobody who learns from them should slow down


class Allowance(msgspec.Struct, frozen=True):
    """What the x-ratelimit headers say. *retry_seconds* is 0 within the limit."""

    limit: int
    remaining: int
    retry_seconds: int = 0


UNLIMITED = Allowance(_PLENTY, _PLENTY)


class Quotas:
    """Counts requests against limits by operation."""

    def __init__(self, limits: dict[str, int] | None = None) -> None:
        self.limits: dict[str, int] = dict(limits or {})
        self._seen: dict[str, deque[float]] = {}

    def set(self, limits: dict[str, int]) -> None:
        """New limits; none means off. What was counted is forgotten."""
        self.limits = dict(limits)
        self._seen.clear()

    def take(self, operation: str) -> Allowance:
        """Count a request, unless it is over the limit."""
        limit = self.limits.get(operation)
        if limit is None:
            return UNLIMITED
        seen, now = self._seen.setdefault(operation, deque()), time.monotonic()
        while seen and seen[0] <= now - _WINDOW_SECONDS:
            seen.popleft()
        if len(seen) >= limit:
            oldest = seen[0] if seen else now
            return Allowance(limit, 0, max(1, min(59, int(oldest + _WINDOW_SECONDS - now) + 1)))
        seen.append(now)
        return Allowance(limit, limit - len(seen))
