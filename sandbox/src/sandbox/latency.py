"""How long receivers took to answer, in buckets fine enough for a p99 and small enough to keep them all."""

from bisect import bisect_left
from typing import Any

_FIRST_MS = 0.5
_GROWTH = 1.15
_BUCKETS = 80  # up to half a minute


class Latencies:
    """Counts by upper bound in milliseconds; the last bucket has none."""

    def __init__(self) -> None:
        self.bounds_ms = tuple(round(_FIRST_MS * _GROWTH**step, 3) for step in range(_BUCKETS))
        self.counts = [0] * (_BUCKETS + 1)

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds_ms, seconds * 1000)] += 1

    def described(self) -> dict[str, Any]:
        return {"bounds_ms": self.bounds_ms, "counts": self.counts}
