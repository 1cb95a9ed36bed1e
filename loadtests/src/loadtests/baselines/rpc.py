"""The bare call between services: grpc.aio, unary, some bytes there and back."""

import os
from collections.abc import Mapping
from typing import Any

import grpc.aio

from loadtests.baselines.measurement import Costed, repeated
from loadtests.baselines.server_process import METHOD, running

CALLERS = 32
PAYLOAD = bytes(200)


async def measure(description: Mapping[str, Any], seconds: float) -> dict[str, dict[str, Any]]:
    async with running("grpc") as (pid, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        echo = channel.unary_unary(METHOD, request_serializer=None, response_deserializer=None)

        async def call() -> int:
            await echo(PAYLOAD, timeout=5)
            return 1

        await repeated(call, CALLERS, seconds / 4)
        async with Costed({"server": pid, "client": os.getpid()}) as costed:
            done, took = await repeated(call, CALLERS, seconds)
    return {"grpc.aio unary call": costed.figures(done, took)}
