"""The turns of all replicas at one account's operation, kept in Redis: `gateway:quota:<digest>`.

The value is a time, and at most one window ahead of now is accepted: a forged one slows calls for that long.
"""

from redis.asyncio import Redis

from common import keys
from common.redis import best_effort
from gateways.limiter import WINDOW_SECONDS

# The next free turn by Redis's own clock, in microseconds. One round trip, and atomic, as scripts are there.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, earliest, latest, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local turn = tonumber(redis.call('GET', KEYS[1]) or '') or 0
if turn > now + window or turn ~= turn then turn = 0 end
turn = math.max(turn, now + earliest)
local wait = turn - now
if wait <= latest then
    local after = turn + interval
    redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1000)
end
return wait
"""


class SharedTurns:
    """The turns of *operation* at the account; one round trip for each."""

    def __init__(self, redis: Redis, account_id: str, operation: str) -> None:
        self._redis = redis
        self._key = keys.named("gateway:quota", account_id, operation)

    async def take(self, interval: float, earliest: float, latest: float) -> float | None:
        """See `gateways.limiter.Turns`; None when Redis does not answer."""
        micros = [round(seconds * 1_000_000) for seconds in (interval, earliest, latest, WINDOW_SECONDS)]
        answer = await best_effort(self._redis.eval(_TAKE, 1, self._key, *map(str, micros)), None)
        return answer / 1_000_000 if isinstance(answer, int) else None
