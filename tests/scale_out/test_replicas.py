"""Two replicas of every service share the work, and one may be killed or restarted while the other serves."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping

import aiohttp
import pytest

from common.services import SERVICES
from loadtests import restarts
from ops import stack
from ops.fleet_client import FleetClient
from ops.ports import Layout
from ops.progress import Progress
from ops.virtual_users import buy_all, granted

pytestmark = pytest.mark.timeout(600)

RECOVERY_SECONDS = 120.0
# Whose requests come through the edge, and whose calls by gRPC.
IN_FRONT = ("payment", "webhook-ingest")
CALLED = ("fraud", "identity")


@pytest.fixture(scope="module")
def switches() -> Mapping[str, str]:
    return {"REPLICAS": "2"}


async def until_granted(fleet: FleetClient, created: list[dict[str, str]]) -> None:
    orders = [each["orderId"] for each in created]
    async with asyncio.timeout(RECOVERY_SECONDS):
        while await granted(fleet, orders) < len(orders):
            await asyncio.sleep(0.5)


async def test_both_replicas_of_every_service_work(fleet: FleetClient) -> None:
    before = await restarts.answered(fleet.description)
    await until_granted(fleet, await buy_all(fleet, 200, at_once=16))
    # Those whose queues are worked off at leisure are waited for.
    async with asyncio.timeout(RECOVERY_SECONDS):
        while True:
            counted = await restarts.answered(fleet.description)
            done = {
                name: {what: count - before[name][what] for what, count in counts.items()}
                for name, counts in counted.items()
            }
            consuming = [name for name in done if not name.startswith("identity")]
            if all(done[name]["events"] for name in consuming):
                break
            await asyncio.sleep(0.5)
    assert len(done) == 2 * len(SERVICES)
    for service, what in (*((each, "http") for each in IN_FRONT), *((each, "grpc") for each in CALLED)):
        one, other = done[service][what], done[f"{service}-2"][what]
        assert min(one, other) > 0.25 * (one + other), (service, what, one, other)


async def test_a_killed_replica_costs_nothing(fleet: FleetClient, layout: Layout) -> None:
    async def kill_in_turn() -> None:
        for name in ("payment-2", "wallet", "webhook-ingest-2", "fraud", "ledger-2"):
            await asyncio.sleep(1)
            [state] = [state for state in stack.states(layout) if state.name == name]
            os.kill(state.pid, signal.SIGKILL)

    created, _ = await asyncio.gather(buy_all(fleet, 200, at_once=8), kill_in_turn())
    await until_granted(fleet, created)


async def test_no_request_fails_while_replicas_are_restarted_in_turn(fleet: FleetClient, layout: Layout) -> None:
    found = await restarts.run(layout, fleet.description, 20, Progress(), ["payment", "webhook-ingest", "fraud"])
    assert found["problems"] == []
    assert (found["failed"], found["sent_again"], found["webhooks"]["failed_attempts"]) == (0, 0, 0)
    assert [each["name"] for each in found["restarts"]] == [
        *("payment", "webhook-ingest", "fraud"),
        *("payment-2", "webhook-ingest-2", "fraud-2"),
    ]


async def test_the_operators_tools_know_every_replica(fleet: FleetClient, layout: Layout) -> None:
    states = {state.name for state in stack.states(layout) if state.pid}
    assert layout.all_replicas().keys() <= states
    async with aiohttp.ClientSession() as http:
        for name, addresses in fleet.replicas().items():
            async with http.get(f"{addresses['http']}/health/ready") as response:
                assert response.status == 200, name


async def test_a_stack_shrinks_to_one_replica_and_grows_again(layout: Layout, environment: Mapping[str, str]) -> None:
    def up(replicas: int) -> set[str]:
        command = [sys.executable, "-m", "ops", "up"]
        subprocess.run(command, env={**environment, "REPLICAS": str(replicas)}, check=True)
        return {state.name for state in stack.states(layout) if state.pid}

    assert {name for name in await asyncio.to_thread(up, 1) if name.endswith("-2")} == set()
    assert layout.all_replicas().keys() <= await asyncio.to_thread(up, 2)
