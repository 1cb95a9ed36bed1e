"""A PostgreSQL instance for each context and a broker of three nodes: the same fleet, and no node of them is needed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping

import aiohttp
import asyncpg
import psutil
import pytest

from common.services import SCHEMAS, SERVICES
from common.topology import CONTRACT
from ops import invariants, rabbitmq, readiness, stack
from ops.credentials import load_or_generate
from ops.fleet_client import FleetClient
from ops.ports import Layout
from ops.virtual_users import buy_all, granted

pytestmark = pytest.mark.timeout(600)

NODES = 3
RECOVERY_SECONDS = 180.0


@pytest.fixture(scope="module")
def switches() -> Mapping[str, str]:
    return {"DATABASES": "apart", "BROKER_NODES": str(NODES)}


async def until_granted(fleet: FleetClient, created: list[dict[str, str]]) -> None:
    orders = [each["orderId"] for each in created]
    async with asyncio.timeout(RECOVERY_SECONDS):
        while await granted(fleet, orders) < len(orders):
            await asyncio.sleep(0.5)


async def quorum_queues(layout: Layout) -> dict[str, dict[str, object]]:
    """Every queue of the contract, as the management API of the last node tells of it."""
    credentials = load_or_generate(layout.run_dir / "secrets.json")
    login = aiohttp.BasicAuth(rabbitmq.ADMINISTRATOR, credentials.words["rabbitmq_administrator"])
    port = layout.broker_ports(NODES)["rabbitmq-management"]
    url = f"http://127.0.0.1:{port}/api/queues/{rabbitmq.VHOST}?columns=name,members,leader,online"
    async with aiohttp.ClientSession(auth=login) as http, http.get(url) as response:
        queues = await response.json()
    return {each["name"]: each for each in queues if each["name"] in {queue.name for queue in CONTRACT.queues}}


async def test_every_schema_lies_in_its_own_instance_and_its_service_alone_connects(
    fleet: FleetClient, layout: Layout
) -> None:
    await until_granted(fleet, await buy_all(fleet, 20, at_once=4))
    urls = fleet.description["postgresql"]["schema_urls"]
    assert len(set(urls.values())) == len(SCHEMAS)
    for schema, url in urls.items():
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch("select nspname from pg_namespace where nspname = any($1)", list(SCHEMAS))
        finally:
            await connection.close()
        assert [row["nspname"] for row in rows] == [schema]
    ports = {layout.database_port(schema): schema for schema in SCHEMAS}
    for service, row in SERVICES.items():
        process = psutil.Process(fleet.description["pids"][service])
        peers = {ports.get(each.raddr.port) for each in process.net_connections("tcp4") if each.raddr}
        assert peers - {None} == {row.package}, service


async def test_every_queue_has_a_member_on_each_node(layout: Layout, fleet: FleetClient) -> None:
    queues = await quorum_queues(layout)
    assert len(queues) == len(CONTRACT.queues)
    for name, queue in queues.items():
        assert len(queue["members"]) == len(queue["online"]) == NODES, name  # type: ignore[arg-type]


async def test_a_node_that_is_killed_under_load_loses_nothing(fleet: FleetClient, layout: Layout) -> None:
    async def kill() -> None:
        await asyncio.sleep(2)
        # The first: services list it first, so that their connections are there.
        [state] = [state for state in stack.states(layout) if state.name == "rabbitmq"]
        os.kill(state.pid, signal.SIGKILL)

    created, _ = await asyncio.gather(buy_all(fleet, 200, at_once=8), kill())
    await until_granted(fleet, created)
    await invariants.until_quiet(fleet.description, RECOVERY_SECONDS)
    here = stack.Stack(layout)
    async with asyncio.timeout(RECOVERY_SECONDS):
        while not await asyncio.to_thread(readiness.is_ready, layout, here.credentials, "rabbitmq"):
            await asyncio.sleep(0.5)


def test_a_stack_is_not_put_together_by_a_switch(layout: Layout, environment: Mapping[str, str]) -> None:
    for other in ({"DATABASES": "together"}, {"BROKER_NODES": "1"}):
        run = subprocess.run(
            [sys.executable, "-m", "ops", "up"],
            env={**environment, **other},
            check=False,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 1
        assert "made with other instances" in run.stderr


def test_doctor_finds_every_instance_well(layout: Layout, environment: Mapping[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "ops", "doctor"], env=environment, check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
