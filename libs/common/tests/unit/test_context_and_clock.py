from datetime import UTC, datetime

import pytest

from common import context
from common.clock import FakeClock, SystemClock
from common.context import Context


def test_a_context_is_bound_and_given_back():
    assert context.current() == Context()
    with context.bind(Context(request_id="one", traceparent=context.new_traceparent())) as outer:
        assert context.trace_id() == outer.traceparent[3:35]
        with context.bind(Context(request_id="two")):
            context.replace_current(Context(request_id="three"))
            assert context.current().request_id == "three"
        assert context.current() is outer
    assert context.current() == Context()


def test_traceparents_are_well_formed_and_children_stay_in_the_trace():
    parent = context.new_traceparent(sampled=True)
    child = context.child_traceparent(parent)
    assert context.is_traceparent(parent)
    assert context.is_traceparent(child)
    assert (parent[:36], parent[52:]) == (child[:36], child[52:])
    assert parent != child


@pytest.mark.parametrize(
    "text", ["", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-" + "1" * 32 + "-" + "0" * 16 + "-01", "x" * 55]
)
def test_what_is_no_traceparent_is_not_taken_for_one(text: str):
    assert not context.is_traceparent(text)


def test_a_fake_clock_moves_only_when_told():
    clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.now()
    assert clock.advance(seconds=90) == datetime(2026, 1, 1, 0, 1, 30, tzinfo=UTC)
    with pytest.raises(ValueError):
        clock.advance(-1)
    with pytest.raises(ValueError):
        FakeClock(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    assert SystemClock().now().tzinfo is UTC
