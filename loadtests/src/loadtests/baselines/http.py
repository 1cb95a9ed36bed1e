"""The bare HTTP endpoint: uvicorn with Starlette, a small JSON POST, kept-alive connections."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from loadtests.baselines.measurement import Costed, repeated
from loadtests.baselines.server_process import running
from loadtests.http_client import Address, Connection, post

CONNECTIONS = 32


async def measure(description: Mapping[str, Any], seconds: float) -> dict[str, dict[str, Any]]:
    async with running("http") as (pid, port):
        address = Address("127.0.0.1", port)
        request = post("/", address, b'{"packId":"pack_500","amount":50000}')
        idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for _ in range(CONNECTIONS):
            idle.put_nowait(Connection(address))

        async def ask() -> int:
            connection = await idle.get()
            answer = await connection.ask(request)
            idle.put_nowait(connection)
            return 1 if answer.status == 200 else 0

        await repeated(ask, CONNECTIONS, seconds / 4)
        async with Costed({"uvicorn": pid, "client": os.getpid()}) as costed:
            done, took = await repeated(ask, CONNECTIONS, seconds)
        while not idle.empty():
            idle.get_nowait().close()
    return {"uvicorn + Starlette POST": costed.figures(done, took)}
