"""What becomes of a process when one of its roles ends."""

import asyncio
from typing import Any

from common.runtime import Runtime


def _runtime() -> Runtime:
    nothing: Any = None
    return Runtime(*([nothing] * 10))


async def test_a_role_that_dies_takes_the_process_along() -> None:
    async def dies() -> None:
        raise ValueError

    runtime = _runtime()
    await asyncio.wait([runtime._spawn(dies(), "role")])
    assert runtime._stopping.is_set()
    assert isinstance(runtime._failed, ValueError)


async def test_so_does_a_role_that_is_cancelled_by_nobody_of_ours() -> None:
    """As a client library did with consumers whose connection it gave up: nobody consumed their queues any more."""
    runtime = _runtime()
    role = runtime._spawn(asyncio.sleep(60), "role")
    role.cancel()
    await asyncio.wait([role])
    assert runtime._stopping.is_set()
    assert isinstance(runtime._failed, RuntimeError)


async def test_roles_that_end_because_the_service_stops_are_no_failure() -> None:
    runtime = _runtime()
    role = runtime._spawn(asyncio.sleep(60), "role")
    runtime.stop()
    role.cancel()
    await asyncio.wait([role])
    assert runtime._failed is None
