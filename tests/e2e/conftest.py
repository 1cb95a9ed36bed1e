"""A whole fleet of its own, behind Traefik, on real engines; started once, taken down at the end."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from ops import fleet_client, invariants, stack
from ops.fleet_client import FleetClient
from ops.ports import ROOT, Layout
from tests.otlp_receiver import Receiver, receiving

PORT_BASE = int(os.environ.get("COMMDESK_E2E_PORT_BASE", "20000"))
# Short enough to walk the whole schedule in a test, long enough to tell one tier from the next.
RETRY_SCHEDULE_MS = "300,600,900,1200"
QUIET_SECONDS = 60.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the whole fleet to start, and every test for it to become quiet."""
    for item in items:
        if "e2e" in item.path.parts and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def traces() -> Iterator[Receiver]:
    """Where the fleet's spans arrive. Of itself it samples none; a test sends the traceparent of a sampled trace."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def layout(traces: Receiver) -> Iterator[Layout]:
    # Two runs of one checkout need two folders: COMMDESK_E2E_RUN_DIR names another.
    run_dir = Path(os.environ.get("COMMDESK_E2E_RUN_DIR") or ROOT / ".run" / "e2e")
    layout = Layout(run_dir, stack.free_port_base(PORT_BASE))
    environment = os.environ | {
        "RUN_DIR": str(layout.run_dir),
        "PORT_BASE": str(layout.port_base),
        "RETRY_SCHEDULE_MS": RETRY_SCHEDULE_MS,
        "TEST_PROCESSING_DELAY": "50",
        "SANDBOX_SEED": "7",
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces.endpoint,
        "TRACE_SAMPLE_RATIO": "0",
    }
    commdesk = [sys.executable, "-m", "ops"]
    subprocess.run([*commdesk, "down", "--wipe"], env=environment, check=True)
    try:
        subprocess.run([*commdesk, "up"], env=environment, check=True)
        yield layout
    finally:
        subprocess.run([*commdesk, "down", "--wipe"], env=environment, check=True)


@pytest.fixture
async def fleet(layout: Layout) -> AsyncIterator[FleetClient]:
    """The fleet, without faults at the start; quiet and with books that agree at the end."""
    async with fleet_client.connect(layout) as fleet:
        await fleet.sandbox("DELETE", "/control/faults")
        yield fleet
        await fleet.sandbox("DELETE", "/control/faults")
        await invariants.until_quiet(fleet.description, QUIET_SECONDS)
        assert await invariants.violations(fleet.description) == []


@pytest.fixture
def commdesk(layout: Layout) -> Sequence[str]:
    """How the operator's command line is called for this fleet."""
    return [
        "env",
        f"RUN_DIR={layout.run_dir}",
        f"PORT_BASE={layout.port_base}",
        sys.executable,
        "-m",
        "ops",
    ]
