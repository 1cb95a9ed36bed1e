"""How often somebody may come: a quota a minute with a burst, the same for all replicas of a service.

The algorithm is GCRA (ITU-T I.371, as in redis-cell): one time for each holder, the moment at which the quota would be
whole again. It is kept in Redis and moved by one script, so that replicas count together. While Redis does not answer,
each replica counts by itself; a forged value in Redis is worth one burst at most.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from redis.asyncio import Redis

from common import keys
from common.redis import best_effort

# Of one process; the least recent are forgotten.
HOLDERS_MAX: Final = 10_000
# After Redis has not answered, it is left alone for so long: each try may take the whole time-out.
REST_SECONDS: Final = 1.0
_MICROS: Final = 1_000_000

# By Redis's own clock, in microseconds. ARGV: the interval between two requests, how many make the burst. Answers the
# time at which the quota is whole again, counted from now, as if this request were let in.
_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local whole = tonumber(redis.call('GET', KEYS[1]) or '') or 0
if whole ~= whole or whole < now then whole = now end
whole = math.min(whole, now + interval * burst) + interval
if whole - now <= interval * burst then
    redis.call('SET', KEYS[1], string.format('%.0f', whole), 'PX', math.ceil((whole - now) / 1000) + 1000)
end
return whole - now
"""


class Quota(Struct, frozen=True):
    """*per_minute* requests evenly, *burst* of them at once."""

    per_minute: int
    burst: int

    @property
    def interval_micros(self) -> int:
        return max(1, 60 * _MICROS // self.per_minute)


class Allowance(Struct, frozen=True):
    """What became of one request. *reset_seconds*: when the quota is whole again. *retry_after_seconds* 0: let in."""

    limit: int
    remaining: int
    reset_seconds: int
    retry_after_seconds: int


class RateLimiter:
    """Counts requests of holders against their quotas, under *name* in Redis."""

    def __init__(self, redis: Redis, name: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._name = name
        self._monotonic = monotonic
        self._own: OrderedDict[str, int] = OrderedDict()
        self._rests_until = float("-inf")

    async def take(self, holder: str, quota: Quota) -> Allowance:
        """Count one request of *holder*, let in when `retry_after_seconds` is 0; one that is refused costs nothing."""
        interval = quota.interval_micros
        ahead: object = None
        if self._monotonic() >= self._rests_until:
            key = keys.named(f"ratelimit:{self._name}", holder)
            ahead = await best_effort(self._redis.eval(_TAKE, 1, key, interval, quota.burst), None)
            if not isinstance(ahead, int):
                self._rests_until = self._monotonic() + REST_SECONDS
        if not isinstance(ahead, int):
            ahead = self._take_own(holder, interval, quota.burst)
        return _allowance(ahead, interval, quota.burst)

    def _take_own(self, holder: str, interval: int, burst: int) -> int:
        """What the script does, in this process's memory."""
        now = int(self._monotonic() * _MICROS)
        stored = self._own.pop(holder, 0)
        whole = max(stored, now) + interval
        self._own[holder] = whole if whole - now <= interval * burst else stored
        if len(self._own) > HOLDERS_MAX:
            self._own.popitem(last=False)
        return whole - now


def _allowance(ahead: int, interval: int, burst: int) -> Allowance:
    """*ahead*: how far the moment at which the quota is whole lies ahead, this request included."""
    over = ahead - interval * burst
    if over > 0:
        # The refused request is not in the quota.
        return Allowance(burst, 0, _seconds(ahead - interval), max(1, _seconds(over)))
    return Allowance(burst, -over // interval, _seconds(ahead), 0)


def _seconds(micros: int) -> int:
    """Whole seconds, rounded up."""
    return -(-micros // _MICROS)
