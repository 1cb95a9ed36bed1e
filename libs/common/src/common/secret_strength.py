"""Whether a secret can be guessed: too short, an example out of a README, or a pattern."""

import re
from itertools import pairwise

# Words of examples and README files. The long ones make a secret weak wherever they stand in it; a shorter one may turn
# up in random text, and counts at its start, the shortest only as words of their own.
_WORDS = ("change", "default", "secret", "password", "postgres", "example", "qwerty")
_SHORTER_WORDS = ("guest", "redis", "admin", "dummy", "test", "your")
_SHORT_WORDS = (*_SHORTER_WORDS, "dev", "foo", "bar")
_SHORT_WORD = re.compile(rf"^(?:{'|'.join(_SHORTER_WORDS)})|(?<![a-z0-9])(?:{'|'.join(_SHORT_WORDS)})(?![a-z0-9])")
_DISTINCT_MIN = 6
# How people disguise the long ones.
_DISGUISES = str.maketrans("@0$1", "aosi")


def is_weak(secret: str, length_min: int, *, also: str = "") -> bool:
    """Whether *secret* is shorter than *length_min*, a default, a pattern, or *also* (the user name, say)."""
    lowered = secret.lower()
    return (
        len(secret) < length_min
        or len(set(secret.rstrip("="))) < min(_DISTINCT_MIN, length_min)
        or lowered == also.lower()
        or (len(also) > 3 and also.lower() in lowered and len(secret) < length_min + len(also))
        or any(word in lowered.translate(_DISGUISES) for word in _WORDS)
        or _SHORT_WORD.search(lowered) is not None
        or _period(lowered) < min(length_min, len(lowered))
        or _is_sequence(lowered)
    )


def _period(text: str) -> int:
    """The length of what *text* repeats; its own length when it repeats nothing."""
    return (text + text).find(text, 1)


def _is_sequence(text: str) -> bool:
    """Whether most characters are the neighbours of those before them: 123456…, abcdef…, aaabbb…"""
    steps = sum(abs(ord(second) - ord(first)) <= 1 for first, second in pairwise(text))
    return 2 * steps > len(text)
