"""What a client may keep with a payment."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.testing import hostile
from payment.domain import metadata

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | hostile.texts,
    lambda inner: st.lists(inner) | st.dictionaries(hostile.texts, inner),
    max_leaves=8,
)


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else "x"


@pytest.mark.parametrize(
    "value",
    [
        "ü",
        "x" * 200,
        7,
        -(2**63),
        0.0,
        19.99,
        -1e15,
        True,
        None,
        [],
        {},
        [1, [2, {"a": [3]}]],
        {"b": {"c": None}},
        nested(4),
    ],
)
def test_any_json_is_kept(value: Any) -> None:
    assert metadata.problem({"a": value}) == ""


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({str(n): n for n in range(21)}, "entries"),
        ({"a": list(range(100))}, "values"),
        ({"": 1}, "name"),
        ({"a": [{"b" * 41: 1}]}, "name"),
        ({"a": {"b\0": 1}}, "name"),
        ({"a": ["x" * 201]}, "text"),
        ({"a": ["\0"]}, "text"),
        ({"a": 2**63}, "too large"),
        ({"a": 1e300}, "out of range"),
        ({"a": -1e-300}, "out of range"),
        ({"a": float("nan")}, "out of range"),
        ({"a": nested(5)}, "deeper"),
    ],
)
def test_what_is_too_much_is_named(entries: dict[str, Any], problem: str) -> None:
    assert problem in metadata.problem(entries)


@hostile.pure
@given(st.dictionaries(hostile.texts, _json, max_size=4))
def test_what_is_taken_is_small(entries: dict[str, Any]) -> None:
    if metadata.problem(entries) == "":
        assert len(json.dumps(entries, ensure_ascii=False)) < 30_000
