"""The Locust journeys, for a few seconds: each comes to its end, and nothing in them fails."""

import asyncio
import json
import os
import subprocess
import sys

from ops.fleet_client import FleetClient
from ops.ports import ROOT, Layout

JOURNEYS = {"member signs up, buys, spends", "impatient client retries everything", "webhook storm"}


async def test_each_journey_comes_to_its_end_and_nothing_fails(fleet: FleetClient, layout: Layout) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--only-summary", "--json"),
        *("--users", "8", "--spawn-rate", "8", "--run-time", "5s", "--stop-timeout", "40s"),
        cwd=ROOT,
        env={**os.environ, "RUN_DIR": str(layout.run_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, (output[-4000:] + errors[-4000:]).decode()
    entries = json.loads(output)
    assert {entry["name"]: entry["num_failures"] for entry in entries if entry["num_failures"]} == {}
    ended = {entry["name"] for entry in entries if entry["method"] == "JOURNEY" and entry["num_requests"] > 0}
    assert ended == JOURNEYS
