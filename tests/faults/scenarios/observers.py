"""N88: those who watch the fleet stand still, and the disk of its logs is full. Nobody who buys may notice."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from common.services import SERVICES
from tests.faults import disks
from tests.faults.environment import Environment
from tests.faults.scenario import scenario

UNAFFECTED = "buyers do not notice"
SECONDS = 8.0
SCRAPES = 20
LOG_SPARE_BYTES = 2 << 20


@scenario("N88-log-disk-full", must=UNAFFECTED, random=False, needs=disks.why_not)
async def _(environment: Environment) -> None:
    """The disk of all logs is full for 8 s."""
    logs = environment.layout.logs
    with disks.small(logs, spare_bytes=LOG_SPARE_BYTES):
        await _reopen_logs(environment)
        with disks.full(logs):
            await asyncio.sleep(SECONDS)
        await asyncio.sleep(1)
        environment.expect(not environment.history.unknown, "every request is answered while no line can be written")
    await _reopen_logs(environment)


async def _reopen_logs(environment: Environment) -> None:
    """The supervisor, which writes them all, opens its files anew."""
    os.kill(await asyncio.to_thread(environment.stack.supervisor.pid), signal.SIGUSR2)
    await asyncio.sleep(0.5)


@asynccontextmanager
async def _silent() -> AsyncIterator[int]:
    """A port that takes connections and everything that is sent, and never answers."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65536):
                pass
        finally:
            writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@scenario("N88-collector-black-hole", must=UNAFFECTED, random=False)
async def _(environment: Environment) -> None:
    """payment sends every trace to a collector that takes it and never answers, for 8 s."""
    async with _silent() as port:
        collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "TRACE_SAMPLE_RATIO": "1"}
        await environment.command("payment", variables=collector)
        try:
            await asyncio.sleep(SECONDS)
        finally:
            await environment.command("payment")


@scenario("N88-scrapes-hang", must=UNAFFECTED)
async def _(environment: Environment) -> None:
    """Twenty scrapes of each service's metrics begin and never go on, for 8 s."""
    writers = []
    for name in SERVICES:
        for _ in range(SCRAPES):
            with suppress(OSError):  # one that is away has nothing to be scraped
                _, writer = await asyncio.open_connection("127.0.0.1", environment.layout.http_port(name))
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
                writers.append(writer)
    await asyncio.sleep(SECONDS)
    for writer in writers:
        writer.close()
