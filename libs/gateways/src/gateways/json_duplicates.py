"""JSON objects that repeat a key: readers differ in which one counts, so where money rests on it neither does."""

import json
from collections.abc import Iterable


def has_duplicate_keys(body: bytes, keys: Iterable[bytes], objects: int) -> bool:
    """Whether an object of *body* repeats a key; *objects* of its objects may have *keys*, quoted, once each.

    Nearly every body is done with the counting, which costs next to nothing.
    """
    if all(body.count(key) <= objects for key in keys):
        return False
    try:
        json.loads(body, object_pairs_hook=_require_unique, parse_float=str)
    except (ValueError, RecursionError):
        return True
    return False


def _require_unique(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is repeated")
