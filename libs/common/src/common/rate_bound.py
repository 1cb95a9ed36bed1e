"""At most so many a second of what must stay cheap while everything fails: error reports, spans of failures."""

import time


class RateBound:
    """`admits()` says yes at most *per_second* times in each second of this process's monotonic time."""

    __slots__ = ("_admitted", "_per_second", "_second")

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = 0
        self._admitted = 0

    def admits(self) -> bool:
        """Whether one more fits into the present second; if so, it is counted."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._admitted = second, 0
        self._admitted += 1
        return self._admitted <= self._per_second
