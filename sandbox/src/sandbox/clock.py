"""Time as the gateways write it: Indian Standard Time with its offset."""

import time
from datetime import datetime, timedelta, timezone
from functools import lru_cache

IST = timezone(timedelta(hours=5, minutes=30))


def now() -> int:
    """Seconds since the epoch."""
    return int(time.time())


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=4096)  # many records share a second
def ist(seconds: int) -> str:
    """2026-03-02T10:15:42+05:30"""
    return datetime.fromtimestamp(seconds, IST).isoformat()


def seconds_of(text: str) -> int | None:
    """Epoch seconds of an ISO 8601 time with its offset, or None if it is not one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else int(moment.timestamp())
