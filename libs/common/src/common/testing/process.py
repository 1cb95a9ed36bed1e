"""The service under test as a process of its own, as its console script starts it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest
import pytest_asyncio
from msgspec import Struct

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

# Importing a service takes seconds of processor time, which a busy machine gives late.
READY_SECONDS = 60.0
# From SIGTERM to the end.
STOP_SECONDS = 15.0
LOG_SHOWN = 4000


class RunningService(Struct):
    """A service that was ready a moment ago; *http* is a client of its HTTP endpoints. Mutable: it is stopped once."""

    http: "httpx.AsyncClient"
    process: asyncio.subprocess.Process
    is_stopped: bool = False

    async def is_ready(self) -> bool:
        import httpx

        assert self.process.returncode is None, f"it ended with {self.process.returncode} before it was ready"
        try:
            return (await self.http.get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def stop(self) -> None:
        """Send SIGTERM, which must end the service cleanly and in time; the test's end does so if nobody has before."""
        if self.is_stopped:
            return
        self.is_stopped = True
        assert self.process.returncode is None, f"it ended by itself with {self.process.returncode}"
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            code = await self.process.wait()
        assert code == 0, f"SIGTERM ended it with {code}"


@pytest.fixture
def own_settings() -> dict[str, str]:
    """What the service's process reads beside settings_env; tests override it."""
    return {}


@pytest_asyncio.fixture
async def running_service(
    service_name: str, settings_env: dict[str, str], own_settings: dict[str, str]
) -> AsyncIterator[RunningService]:
    """The service, ready. At the end SIGTERM must end it cleanly."""
    async with serving(service_name, settings_env | own_settings) as running:
        yield running


@asynccontextmanager
async def serving(service: str, environment: dict[str, str]) -> AsyncIterator[RunningService]:
    """Run *service* until the block is left. The end of its log goes to stdout, which pytest shows when a test fails.

    Raises AssertionError if it ends before SIGTERM or not with 0, TimeoutError if it is not ready or not
    ended in time. Nothing of it is left in any case.
    """
    import httpx

    process = await start(service, **environment)
    assert process.stdout is not None
    log = asyncio.create_task(process.stdout.read())
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{environment['HTTP_PORT']}") as http:
            running = RunningService(http, process)
            await until(running.is_ready, READY_SECONDS)
            yield running
            await running.stop()
    finally:
        if process.returncode is None:
            process.kill()
        sys.stdout.write((await log).decode(errors="replace")[-LOG_SHOWN:])
        await process.wait()


async def start(service: str, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start `python -m <package of service> *arguments`, with *environment* beside this process's and its log piped."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", service.replace("-", "_"), *arguments),
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def until(condition: Callable[[], Awaitable[T]], seconds: float = 20) -> T:
    """What *condition* answers once that is true of it; TimeoutError after *seconds*."""
    async with asyncio.timeout(seconds):
        while not (answer := await condition()):
            await asyncio.sleep(0.05)
    return answer
