"""The simulator of the gateways as a process of a test's own. Needs what tests install."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from common.testing import free_port

READY_SECONDS = 20.0
STOP_SECONDS = 10.0


@contextmanager
def simulator(environment: Mapping[str, str]) -> Iterator[str]:
    """Run the sandbox with *environment* beside this process's; yields its base URL. Raises TimeoutError."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox"], env={**os.environ, **environment, "SANDBOX_PORT": str(port)}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(url)
        yield url
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _wait_until_healthy(url: str) -> None:
    ends = time.monotonic() + READY_SECONDS
    while time.monotonic() < ends:
        try:
            if httpx.get(f"{url}/health", timeout=1).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the sandbox did not come up")
