"""Keys of several parts: no two tuples share one."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common import keys

# The characters that parts are joined by elsewhere, and any others.
PART = st.text(st.sampled_from(":|/.\0-_ abRé") | st.characters(), max_size=6)
PARTS = st.lists(PART, max_size=5).map(tuple)


@given(PARTS, PARTS)
@example(("acct:R", "order-1"), ("acct", "R:order-1"))
@example(("a", ""), ("a",))
@example(("", "a"), ("a", ""))
@example(("\x00\x00\x00\x01a",), ("a",))
@example(("\ud83d\ude00",), ("😀",))
def test_different_parts_have_different_keys(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (keys.digest(*one) == keys.digest(*other)) is (one == other)


@given(st.lists(PART, min_size=2, max_size=2), st.sampled_from(":|/\0"))
def test_moving_a_separator_between_two_parts_makes_another_key(parts: list[str], separator: str) -> None:
    left, right = parts
    splits = {(left + separator + right, ""), (left, separator + right), (left + separator, right), (left, right)}
    assert len({keys.digest(*each) for each in splits}) == len(splits)


@given(PARTS)
def test_a_name_in_redis_has_one_form_whatever_the_parts_hold(parts: tuple[str, ...]) -> None:
    assert re.fullmatch(r"idempotency:payment:[0-9a-f]{64}", keys.named("idempotency:payment", *parts))


@pytest.mark.parametrize("part", ["x", "é|", ""])
def test_a_text_counts_as_its_utf_8(part: str) -> None:
    assert keys.digest("a", part) == keys.digest(b"a", part.encode())
