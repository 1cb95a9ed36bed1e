"""Crowds, storms and killed processes: exactly one grant for each payment, whatever happens around it."""

import asyncio
import os
import signal

import pytest

from ops import invariants, stack
from ops.fleet_client import FleetClient
from ops.ports import Layout
from ops.virtual_users import buy_all, fault, granted

RECOVERY_SECONDS = 120.0


async def all_granted(fleet: FleetClient, created: list[dict[str, str]]) -> None:
    """Every payment succeeded, was granted once, and the books agree."""
    await invariants.until_quiet(fleet.description, RECOVERY_SECONDS)
    orders = [each["orderId"] for each in created]
    async with asyncio.timeout(RECOVERY_SECONDS):
        while await granted(fleet, orders) < len(orders):
            await asyncio.sleep(0.5)
    await invariants.until_quiet(fleet.description, RECOVERY_SECONDS)
    assert await invariants.violations(fleet.description) == []


@pytest.mark.timeout(300)
async def test_every_webhook_three_times_in_random_order_and_a_tenth_before_the_create_call_returned(
    fleet: FleetClient,
) -> None:
    await fault(fleet, action="duplicate", operation="webhook", times=3)
    await fault(fleet, action="reorder", operation="webhook", window_ms=1500)
    await fault(fleet, action="pay_on_create", operation="create_order", probability=0.1)
    created = await buy_all(fleet, 500, at_once=32)
    assert len({each["paymentId"] for each in created}) == 500
    await all_granted(fleet, created)


@pytest.mark.timeout(420)
async def test_each_service_is_killed_once_in_the_middle(fleet: FleetClient, layout: Layout) -> None:
    async def kill_in_turn() -> list[str]:
        killed = []
        for service in ("payment", "wallet", "ledger", "webhook-ingest"):
            await asyncio.sleep(1.5)
            [state] = [state for state in stack.states(layout) if state.name == service]
            assert state.pid, f"{service} does not run"
            os.kill(state.pid, signal.SIGKILL)
            killed.append(service)
        return killed

    created, killed = await asyncio.gather(buy_all(fleet, 300, at_once=16), kill_in_turn())
    assert len(killed) == 4
    await all_granted(fleet, created)
    assert all(state.pid for state in stack.states(layout)), "the supervisor brings each back"


@pytest.mark.timeout(420)
async def test_rabbitmq_is_away_for_twenty_seconds(fleet: FleetClient, layout: Layout) -> None:
    supervisor = stack.existing_supervisor(layout)
    assert supervisor is not None
    await asyncio.to_thread(supervisor.stop, "rabbitmq")
    try:
        created, _ = await asyncio.gather(buy_all(fleet, 60, at_once=8), asyncio.sleep(20))
    finally:
        await asyncio.to_thread(supervisor.start, "rabbitmq")
    await all_granted(fleet, created)


@pytest.mark.timeout(300)
async def test_redis_is_flushed_and_stopped(fleet: FleetClient, layout: Layout) -> None:
    import redis.asyncio

    supervisor = stack.existing_supervisor(layout)
    assert supervisor is not None
    client = redis.asyncio.Redis.from_url(fleet.description["redis"]["url"])

    async def disturb() -> None:
        await asyncio.sleep(0.5)
        await client.flushall()
        await asyncio.to_thread(supervisor.stop, "redis")
        await asyncio.sleep(3)
        await asyncio.to_thread(supervisor.start, "redis")

    created, _ = await asyncio.gather(buy_all(fleet, 100, at_once=16), disturb())
    await client.aclose()
    await all_granted(fleet, created)
