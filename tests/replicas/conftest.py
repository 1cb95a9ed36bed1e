"""A fleet of its own with two replicas of every service; started once, taken down at the end."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from ops import fleet_client, invariants, stack
from ops.fleet_client import FleetClient
from ops.ports import ROOT, Layout

PORT_BASE = int(os.environ.get("COMMDESK_REPLICAS_PORT_BASE", "21000"))
REPLICAS = 2
QUIET_SECONDS = 120.0


@pytest.fixture(scope="session")
def environment() -> Mapping[str, str]:
    """What `commdesk` is called with."""
    run_dir = Path(os.environ.get("COMMDESK_REPLICAS_RUN_DIR") or ROOT / ".run" / "replicas")
    return os.environ | {
        "RUN_DIR": str(run_dir),
        "PORT_BASE": str(stack.free_port_base(PORT_BASE, REPLICAS)),
        "REPLICAS": str(REPLICAS),
        "TEST_PROCESSING_DELAY": "50",
    }


@pytest.fixture(scope="session")
def layout(environment: Mapping[str, str]) -> Iterator[Layout]:
    layout = Layout(Path(environment["RUN_DIR"]), int(environment["PORT_BASE"]), replicas=REPLICAS)
    commdesk = [sys.executable, "-m", "ops"]
    subprocess.run([*commdesk, "down", "--wipe"], env=environment, check=True)
    try:
        subprocess.run([*commdesk, "up"], env=environment, check=True)
        yield layout
    finally:
        subprocess.run([*commdesk, "down", "--wipe"], env=environment, check=True)


@pytest.fixture
async def fleet(layout: Layout) -> AsyncIterator[FleetClient]:
    """The fleet; quiet and with books that agree at the end of each test."""
    async with fleet_client.connect(layout) as fleet:
        yield fleet
        await invariants.until_quiet(fleet.description, QUIET_SECONDS)
        assert await invariants.violations(fleet.description) == []
