"""How many login attempts a window allows. Attempts are counted before the password is verified, so that parallel
guesses gain nothing; a success resets the count."""

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace


class Throttle(Struct, frozen=True):
    """The attempts under one key (a hash: of account and address, or of the address alone) until the window ends."""

    key: bytes
    attempts: int
    window_ends_at: datetime


def admit(throttle: Throttle, attempts_max: int, window: timedelta, now: datetime) -> tuple[Throttle, bool]:
    """Count one attempt, and whether it is allowed. A refused one does not make the wait longer."""
    if throttle.window_ends_at <= now:
        throttle = Throttle(throttle.key, 0, now + window)
    allowed = throttle.attempts < attempts_max
    # The count stops one above the limit, which tells the first refusal from those that follow.
    return replace(throttle, attempts=min(throttle.attempts + 1, attempts_max + 1)), allowed


def retry_after_seconds(throttle: Throttle, now: datetime) -> int:
    """Whole seconds until the window ends; at least one."""
    return max(1, -int((now - throttle.window_ends_at) // timedelta(seconds=1)))
