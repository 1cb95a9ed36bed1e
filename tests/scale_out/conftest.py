"""Fleets of their own that are spread: over replicas, over databases, over the nodes of a broker."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from ops import fleet_client, invariants, stack
from ops.fleet_client import FleetClient
from ops.ports import ROOT, Layout

PORT_BASE = int(os.environ.get("COMMDESK_SCALE_OUT_PORT_BASE", "21000"))
# Ports up to this many hundreds above the base are used.
BLOCKS = 3
QUIET_SECONDS = 120.0


@pytest.fixture(scope="module")
def switches() -> Mapping[str, str]:
    """What the stack of a module is started with."""
    return {}


@pytest.fixture(scope="module")
def environment(switches: Mapping[str, str]) -> Mapping[str, str]:
    """What `commdesk` is called with."""
    run_dir = Path(os.environ.get("COMMDESK_SCALE_OUT_RUN_DIR") or ROOT / ".run" / "scale")
    return os.environ | {
        "RUN_DIR": str(run_dir),
        "PORT_BASE": str(stack.free_port_base(PORT_BASE, BLOCKS)),
        "TEST_PROCESSING_DELAY": "50",
        **switches,
    }


@pytest.fixture(scope="module")
def layout(environment: Mapping[str, str]) -> Iterator[Layout]:
    commdesk = [sys.executable, "-m", "ops"]
    subprocess.run([*commdesk, "down", "--wipe"], env=environment, check=True)
    try:
        subprocess.run([*commdesk, "up"], env=environment, check=True)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("RUN_DIR", "PORT_BASE", *environment.keys() & {"REPLICAS", "DATABASES", "BROKER_NODES"}):
                patch.setenv(name, environment[name])
            layout = Layout.from_environment()
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
