"""How many attempts a window allows, and how long an account that is guessed at has to wait.

Attempts are counted before the password is verified, so that parallel guesses gain nothing; a success resets the count.
"""

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace


class Throttle(Struct, frozen=True):
    """The attempts under one key (a hash: of account and address, or of the address alone) until the window ends."""

    key: bytes
    attempts: int
    window_ends_at: datetime
    # Of an account: until then every attempt is refused, from wherever it comes.
    blocked_until: datetime | None = None


# After this time without an attempt an account's count starts anew.
ACCOUNT_WINDOW = timedelta(days=1)
DELAY_FIRST = timedelta(seconds=1)
# Continuous guessing gets 96 guesses a day, from however many addresses. The account's owner may wait several times as
# long: after each wait one attempt is allowed, from any address; see `admit_account`.
DELAY_MAX = timedelta(minutes=15)


def admit(throttle: Throttle, attempts_max: int, window: timedelta, now: datetime) -> tuple[Throttle, bool]:
    """Count one attempt, and whether it is allowed. A refused one does not make the wait longer."""
    if throttle.window_ends_at <= now:
        throttle = Throttle(throttle.key, 0, now + window)
    allowed = throttle.attempts < attempts_max
    # The count stops one above the limit, which distinguishes the first refusal from those that follow.
    return replace(throttle, attempts=min(throttle.attempts + 1, attempts_max + 1)), allowed


def admit_account(throttle: Throttle, free: int, now: datetime) -> tuple[Throttle, bool]:
    """Count one attempt at an account from anywhere, and whether it is allowed.

    After *free* attempts each allowed one makes the next wait twice as long, up to DELAY_MAX. A refused one changes
    nothing. One address cannot keep an account closed: what `admit` refuses it is not counted here. Many addresses can,
    by making the one attempt after each wait before the owner does.
    """
    if throttle.blocked_until is not None and throttle.blocked_until > now:
        return throttle, False
    attempts = 1 if throttle.window_ends_at <= now else throttle.attempts + 1
    delay = min(DELAY_FIRST * 2 ** min(attempts - free, 20), DELAY_MAX) if attempts > free else None
    return Throttle(throttle.key, attempts, now + ACCOUNT_WINDOW, now + delay if delay else None), True


def retry_after_seconds(throttle: Throttle, now: datetime) -> int:
    """Whole seconds until an attempt is allowed again; at least one."""
    return max(1, -int((now - (throttle.blocked_until or throttle.window_ends_at)) // timedelta(seconds=1)))
