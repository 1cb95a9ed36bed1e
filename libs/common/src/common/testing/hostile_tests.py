"""Tests that every service imports: nothing that comes in ends in a bug."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from common.testing import hostile
from common.testing.in_process import Served

__all__ = ["test_no_call_ends_in_a_bug", "test_no_delivery_ends_in_a_bug", "test_no_request_ends_in_a_bug"]


@hostile.examples
@given(st.data())
async def test_no_request_ends_in_a_bug(served: Served, access_token: Callable[..., str], data: st.DataObject) -> None:
    if any(route.documented for route in served.service.http):
        await hostile.request(served, access_token, data.draw)


@hostile.examples
@given(st.data())
async def test_no_call_ends_in_a_bug(served: Served, data: st.DataObject) -> None:
    if served.service.grpc:
        await hostile.call(served, data.draw)


@hostile.examples
@given(st.data())
async def test_no_delivery_ends_in_a_bug(served: Served, data: st.DataObject) -> None:
    if served.service.subscriptions:
        await hostile.deliver(served, data.draw)
