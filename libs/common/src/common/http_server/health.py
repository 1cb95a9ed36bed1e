"""The pages for machines: is the process alive, is it ready, how are its parts, what are its figures."""

from __future__ import annotations

import asyncio

from loguru import logger
from starlette.requests import Request
from starlette.responses import Response

from common import telemetry
from common.http_server.door import Check, Door, Endpoint, Route
from common.http_server.refusals import Unhealthy
from common.http_server.replies import Reply, reply

CHECK_SECONDS_MAX = 1.0
# Parts that the service works without; their failing shows, and takes nothing out of rotation.
HINTS = frozenset({"redis"})
_METRICS_TYPE = (b"content-type", telemetry.CONTENT_TYPE.encode())


def operational_routes(door: Door) -> list[Route]:
    """/health (alive), /health/ready (all parts), /health/{database,redis,queues} (one part each), /metrics."""

    async def alive(request: Request) -> Response:
        return reply({"status": "up", "service": door.service})

    async def ready(request: Request) -> Response:
        names = list(door.checks)
        results = await asyncio.gather(*(_run(name, door.checks[name]) for name in names))
        described = dict(zip(names, results, strict=True))
        failing = [name for name, result in described.items() if result["status"] == "down" and name not in HINTS]
        if failing:
            raise Unhealthy("not ready", **{name: str(described[name].get("problem", "down")) for name in failing})
        return reply({"status": "ready", "service": door.service, "checks": described})

    def part(name: str) -> Endpoint:
        async def answer(request: Request) -> Response:
            check = door.checks.get(name)
            if check is None:
                return reply({"status": "absent", "service": door.service})
            result = await _run(name, check)
            if result["status"] == "down":
                raise Unhealthy(f"{name} is down", **{name: str(result["problem"])})
            return reply(result)

        return answer

    async def metrics(request: Request) -> Response:
        return Reply(telemetry.exposition(), content_type=_METRICS_TYPE)

    pages: dict[str, Endpoint] = {"/health": alive, "/health/ready": ready}
    pages |= {f"/health/{name}": part(name) for name in ("database", "redis", "queues")}
    if door.metrics:
        pages["/metrics"] = metrics
    return [Route("GET", path, page, public=True, operational=True) for path, page in pages.items()]


async def _run(name: str, check: Check) -> dict[str, object]:
    """What the check says, with status "up"; "down" and the class of the problem when it fails or takes too long."""
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return {"status": "up", **await check()}
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a part, the page says so
        logger.bind(check=name).warning("a health check failed: {}", type(error).__name__)
        return {"status": "down", "problem": type(error).__name__}
