import re
import time
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import ids
from common.errors import InvalidArgument

uuids = st.integers(0, 2**128 - 1).map(lambda n: UUID(int=n))


@given(uuids)
def test_encoding_round_trips(uuid: UUID):
    text = ids.encode("pay", uuid)
    assert re.fullmatch(r"pay_[0-7][0-9A-HJKMNP-TV-Z]{25}", text)
    assert ids.decode("pay", text) == uuid


@given(uuids, uuids)
def test_texts_sort_as_the_ids_do(one: UUID, other: UUID):
    assert (one < other) == (ids.encode("x", one) < ids.encode("x", other))


@given(uuids, st.text())
def test_no_two_texts_are_one_id(uuid: UUID, text: str):
    good = ids.encode("pay", uuid)
    if text != good:
        try:
            assert ids.encode("pay", ids.decode("pay", text)) == text
        except ids.IdInvalid:
            pass


@given(st.binary(), st.binary())
def test_a_derived_id_is_of_its_day_and_stands_for_its_content_alone(one: bytes, other: bytes):
    day = date(2026, 5, 17)
    found = ids.derived(day, one)
    assert (ids.derived(day, other) == found) == (one == other)
    assert found.version == 7
    assert ids.timestamp(found) == datetime(2026, 5, 17, tzinfo=UTC)
    assert ids.derived(date(2026, 5, 18), one) != found


GOOD = "pay_01M7XXSTARE1MBVPGJ5PWDWFVZ"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pay_",
        GOOD[4:],
        GOOD.lower(),
        GOOD.replace("pay", "ord"),
        "xpay_" + GOOD[4:],
        " " + GOOD,
        GOOD + "\n",
        GOOD[:-1],
        GOOD + "0",
        GOOD[:-1] + "U",
        GOOD[:-1] + "I",
        GOOD[:-1] + "L",
        GOOD[:-1] + "O",
        GOOD[:-1] + "-",
        GOOD[:-2] + "_0",
        GOOD[:-1] + " ",
        GOOD[:-1] + "٣",
        "pay_8" + GOOD[5:],
        "pay_+" + GOOD[5:],
        "pay_\x00" + GOOD[5:],
    ],
)
def test_only_the_one_canonical_spelling_is_read(text: str):
    with pytest.raises(ids.IdInvalid):
        ids.decode("pay", text)
    assert issubclass(ids.IdInvalid, InvalidArgument)


def test_new_ids_are_uuid7_and_rise_strictly():
    made = [ids.new() for _ in range(20_000)]
    assert all(one < other for one, other in pairwise(made))
    assert {(uuid.version, uuid.variant) for uuid in made} == {(7, "specified in RFC 4122")}
    assert abs(ids.timestamp(made[0]) - datetime.now(UTC)) < timedelta(seconds=10)


def test_new_ids_rise_while_the_clock_goes_back():
    times = iter([time.time_ns(), *[0] * 5_000])
    with ids.reproducible(lambda: next(times), Random(7)):
        before = ids.new()
        after = [ids.new() for _ in range(5_000)]
    assert before < after[0]
    assert after == sorted(set(after))


def test_the_timestamp_is_the_millisecond_of_making():
    far = datetime(2199, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    with ids.reproducible(lambda: int(far.timestamp() * 1000) * 1_000_000, Random(7)):
        assert ids.timestamp(ids.new()) == far


def test_reproducible_ids_are_the_same_in_every_run_and_leave_the_others_alone():
    before = ids.new()
    runs = []
    for _ in range(2):
        with ids.reproducible(lambda: 1_800_000_000_000_000_000, Random(7)):
            runs.append([ids.new() for _ in range(3)])
    assert runs[0] == runs[1]
    assert before < ids.new()
