"""How often one may try to log in. Attempts are counted before the password is looked at, so that trying many at
once gains nothing; a success forgets them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Throttle:
    """The attempts under one key (a hash: of account and address, or of the address alone) until the window ends."""

    key: bytes
    attempts: int
    window_ends_at: datetime


def admit(throttle: Throttle, attempts_max: int, window: timedelta, now: datetime) -> tuple[Throttle, bool]:
    """Count one attempt; whether it may go ahead. A refused one does not make the wait longer."""
    if throttle.window_ends_at <= now:
        throttle = Throttle(throttle.key, 0, now + window)
    allowed = throttle.attempts < attempts_max
    # One above the limit is kept, so that the first refusal is told from those that follow.
    return replace(throttle, attempts=min(throttle.attempts + 1, attempts_max + 1)), allowed


def waiting_time(throttle: Throttle, now: datetime) -> int:
    """Whole seconds until the window ends; at least one."""
    return max(1, -int((now - throttle.window_ends_at) // timedelta(seconds=1)))
