"""A whole fleet as production has it inside: TLS to the engines, mutual TLS between services, a transaction pooler."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ops import stack
from ops.ports import ROOT, Layout

PORT_BASE = int(os.environ.get("COMMDESK_HARDENED_PORT_BASE", "20500"))
SWITCHES = {"INTERNAL_TLS": "on", "POOLER": "on"}


@pytest.fixture(scope="module")
def switches() -> Mapping[str, str]:
    """What the stack is started with."""
    return SWITCHES


@pytest.fixture(scope="module")
def layout(switches: Mapping[str, str]) -> Iterator[Layout]:
    run_dir = Path(os.environ.get("COMMDESK_HARDENED_RUN_DIR") or ROOT / ".run" / "hardened")
    layout = Layout(run_dir, stack.free_port_base(PORT_BASE))
    environment = os.environ | {
        "RUN_DIR": str(layout.run_dir),
        "PORT_BASE": str(layout.port_base),
        "TEST_PROCESSING_DELAY": "50",
        **switches,
    }
    commdesk = [sys.executable, "-m", "ops"]
    subprocess.run([*commdesk, "down", "--wipe"], env=environment, check=True)
    try:
        subprocess.run([*commdesk, "up"], env=environment, check=True)
        yield layout
    finally:
        subprocess.run([*commdesk, "down", "--wipe"], env=environment, check=True)
