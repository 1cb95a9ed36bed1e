"""Identifiers: UUIDv7 inside, outside a prefix and the same 128 bits in 26 characters of Crockford's base 32.

An id has exactly one spelling (upper case, no look-alikes), so that texts compare as the ids do. Both directions
are on the hot path: a table of two-character chunks one way, `bytes.translate` and `int(…, 32)` the other.
"""

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from uuid import UUID

from asyncpg.pgproto import pgproto

from common.errors import InvalidArgument

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26

_PYTHON_DIGITS = b"0123456789abcdefghijklmnopqrstuv"
_CHUNKS = tuple(high + low for high in ALPHABET for low in ALPHABET)
# Every other byte becomes one that int() refuses; int() alone would take "_", "+", " " and lower case.
_TO_PYTHON = bytes(dict(zip(ALPHABET.encode(), _PYTHON_DIGITS, strict=True)).get(byte, ord("!")) for byte in range(256))

_VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
_NOISE = (1 << 62) - 1
_random = random.Random()  # noqa: S311 - ids are no secrets
_time_ns = time.time_ns
_lock = threading.Lock()
_last_tick = 0

# A forked child would otherwise repeat its parent's random bits.
os.register_at_fork(after_in_child=_random.seed)


class IdInvalid(InvalidArgument):
    """The text is not an id of the expected type."""

    fix = "Send the id exactly as it was given to you, prefix included."


def new() -> UUID:
    """A UUIDv7 (RFC 9562), greater than every one this process made before.

    The 12 bits of rand_a are a counter, seeded low at random in each millisecond; when it overflows it carries into
    the timestamp, which then runs ahead of the clock (also while the clock stands still or goes back).
    """
    global _last_tick
    with _lock:
        chance = _random.getrandbits(72)
        tick = _time_ns() // 1_000_000 << 12 | chance >> 62
        if tick <= _last_tick:
            tick = _last_tick + 1
        _last_tick = tick
    return _uuid((tick >> 12) << 80 | _VERSION_AND_VARIANT | (tick & 0xFFF) << 64 | chance & _NOISE)


@contextmanager
def reproducible(time_ns: Callable[[], int], chance: random.Random) -> Iterator[None]:
    """Inside, ids are made of this time and chance alone: the same ones in every run. For simulations."""
    global _time_ns, _random, _last_tick
    before = _time_ns, _random, _last_tick
    _time_ns, _random, _last_tick = time_ns, chance, 0
    try:
        yield
    finally:
        _time_ns, _random, _last_tick = before


def derived(day: date, content: bytes) -> UUID:
    """The one UUIDv7 of the beginning of *day* that stands for *content*."""
    digest = int.from_bytes(hashlib.sha256(content).digest()[:10], "big")
    milliseconds = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
    return _uuid(milliseconds << 80 | _VERSION_AND_VARIANT | (digest >> 62 & 0xFFF) << 64 | digest & (1 << 62) - 1)


def encode(prefix: str, uuid: UUID) -> str:
    """`encode("pay", uuid)` is "pay_" and 26 characters that sort as the ids do."""
    n = uuid.int
    high, low = n >> 60, n & 0xFFF_FFFF_FFFF_FFFF
    t = _CHUNKS
    return (
        f"{prefix}_{t[high >> 60]}{t[high >> 50 & 1023]}{t[high >> 40 & 1023]}{t[high >> 30 & 1023]}"
        f"{t[high >> 20 & 1023]}{t[high >> 10 & 1023]}{t[high & 1023]}{t[low >> 50]}{t[low >> 40 & 1023]}"
        f"{t[low >> 30 & 1023]}{t[low >> 20 & 1023]}{t[low >> 10 & 1023]}{t[low & 1023]}"
    )


def decode(prefix: str, text: str) -> UUID:
    """The id behind *text*. Raises IdInvalid when it is not *prefix*, "_" and 26 canonical characters."""
    digits = text[-LENGTH:]
    # The first character holds 3 bits only; str.isascii keeps out the other scripts' digits that int() would take.
    if len(digits) == LENGTH and text[:-LENGTH] == prefix + "_" and digits.isascii() and digits[0] < "8":
        try:
            return _uuid(int(digits.encode().translate(_TO_PYTHON), 32))
        except ValueError:
            pass
    raise IdInvalid(f"expected an id that looks like {prefix}_ and {LENGTH} characters of Crockford's base 32")


def timestamp(uuid: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond, in UTC."""
    return datetime.fromtimestamp((uuid.int >> 80) / 1000, UTC)


def _uuid(n: int) -> UUID:
    """`UUID(int=n)` as the database driver's subclass, written in C: made at a third of the cost, written to a query
    as it is, and what a query answers with.
    """
    return pgproto.UUID(n.to_bytes(16, "big"))


def lower_bound(moment: datetime) -> UUID:
    """The smallest UUIDv7 of that millisecond: ids made before *moment* are less than it."""
    return UUID(int=int(moment.timestamp() * 1000) << 80 | _VERSION_AND_VARIANT)
