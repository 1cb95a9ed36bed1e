"""The retry tiers: where an event waits before it goes home to its queue, by the name of the delay."""

import re
from random import Random

# A burst that is refused together would come back together, so each tier is three queues whose delays differ. (A delay
# for each message would not do: quorum queues expire at their head only.)
SHARES_PERCENT = (90, 100, 110)

_NAME = re.compile(r"retry\.([0-9]+)ms")


def retry_queues(ttl_ms: int) -> tuple[str, ...]:
    """The exchanges of the tier with this delay, and their queues, which have the same names.

    The delay is part of the name because a queue's TTL cannot change.
    """
    return tuple(f"retry.{ttl_ms * share // 100}ms" for share in SHARES_PERCENT)


def retry_exchange(ttl_ms: int, random: Random) -> str:
    """Where to publish what is to wait for about *ttl_ms*, under the name of the queue that it goes home to."""
    return random.choice(retry_queues(ttl_ms))


def is_retry_tier(exchange: str) -> bool:
    return _NAME.fullmatch(exchange) is not None


def delay_ms(tier: str) -> int:
    """How long an event waits in the exchange of a retry tier. Raises ValueError for another exchange."""
    name = _NAME.fullmatch(tier)
    if name is None:
        raise ValueError(f"{tier} is no retry tier")
    return int(name[1])
