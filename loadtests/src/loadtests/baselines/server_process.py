"""Starts the bare servers of the baselines and ends them."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator

METHOD = "/bench.Baseline/Echo"
START_SECONDS_MAX = 20.0


@contextlib.asynccontextmanager
async def running(kind: str) -> AsyncIterator[tuple[int, int]]:
    """A server of *kind*; yields its pid and its port, on loopback, and ends it afterwards. Raises TimeoutError."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.baselines.bare_servers", kind, str(port), cwd=os.sep
    )
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield process.pid, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
