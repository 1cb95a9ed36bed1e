"""JSON that says a field twice: readers differ in which of the two counts, so where money rests on it neither does."""

import json
from collections.abc import Iterable


def says_twice(body: bytes, fields: Iterable[bytes], objects: int) -> bool:
    """Whether an object of *body* repeats a field; *objects* of its objects may have *fields*, quoted, once each.

    Nearly every body is done with the counting, which costs next to nothing.
    """
    if all(body.count(field) <= objects for field in fields):
        return False
    try:
        json.loads(body, object_pairs_hook=_unique, parse_float=str)
    except (ValueError, RecursionError):
        return True
    return False


def _unique(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a field is repeated")
