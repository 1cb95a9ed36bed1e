"""The pages for machines: is the process alive, is it ready, how are its parts, what are its figures."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from loguru import logger

from common import telemetry
from common.errors import Unavailable
from common.http_server.configuration import Check, ServerConfig
from common.http_server.error_responses import Stopping
from common.http_server.routing import Call, Encoded, Route

CHECK_SECONDS_MAX = 1.0
# Parts that the service works without; their failing shows, and takes nothing out of rotation.
BEST_EFFORT = frozenset({"redis"})


class Unhealthy(Unavailable):
    fix = "Look at the checks that are named in `fields`."


class AliveView(msgspec.Struct, frozen=True):
    """No more than that: the page is public."""

    status: str


class ReadyView(msgspec.Struct, frozen=True):
    """*checks* holds what each part says of itself, "status" included."""

    status: str
    service: str
    checks: dict[str, dict[str, Any]]


def operational_routes(config: ServerConfig) -> list[Route[Any]]:
    """/health (alive), /health/ready (all parts), /health/{database,redis,queues} (one part each), /metrics.

    Of a process that is about to stop the first two say so, while everything else is answered as ever.
    """

    def check_stays() -> None:
        if config.is_stopping():
            raise Stopping("about to stop")

    async def read_health(call: Call) -> AliveView:
        """Whether the process is alive."""
        check_stays()
        return AliveView("up")

    async def read_readiness(call: Call) -> ReadyView:
        """Whether all parts work that the service cannot do without."""
        check_stays()
        names = list(config.checks)
        results = await asyncio.gather(*(_run(name, config.checks[name]) for name in names))
        described = dict(zip(names, results, strict=True))
        failing = [name for name, result in described.items() if result["status"] == "down" and name not in BEST_EFFORT]
        if failing:
            raise Unhealthy("not ready", **{name: str(described[name].get("problem", "down")) for name in failing})
        return ReadyView("ready", config.service, described)

    def part(name: str) -> Callable[[Call], Awaitable[dict[str, Any]]]:
        async def read_part(call: Call) -> dict[str, Any]:
            check = config.checks.get(name)
            if check is None:
                return {"status": "absent", "service": config.service}
            result = await _run(name, check)
            if result["status"] == "down":
                raise Unhealthy(f"{name} is down", **{name: str(result["problem"])})
            return result

        read_part.__doc__ = f"Whether the service's {name} works."
        return read_part

    async def read_metrics(call: Call) -> Encoded:
        """Figures for Prometheus."""
        return Encoded(telemetry.exposition(), media_type=telemetry.CONTENT_TYPE)

    routes: list[Route[Any]] = [
        Route("GET", "/health", read_health, answer=AliveView, public=True, operational=True),
        Route(
            "GET",
            "/health/ready",
            read_readiness,
            answer=ReadyView,
            public=True,
            operational=True,
            errors=[Unhealthy],
        ),
    ]
    routes += [
        Route(
            "GET",
            f"/health/{name}",
            part(name),
            answer=dict[str, Any],
            public=True,
            operational=True,
            errors=[Unhealthy],
            operation_id=f"read{name.title()}Health",
        )
        for name in ("database", "redis", "queues")
    ]
    if config.metrics:
        routes.append(
            Route(
                "GET",
                "/metrics",
                read_metrics,
                answer=bytes,
                media_type="text/plain",
                public=True,
                operational=True,
            )
        )
    return routes


async def _run(name: str, check: Check) -> dict[str, object]:
    """What the check says, with status "up"; "down" and the class of the problem when it fails or takes too long."""
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return {"status": "up", **await check()}
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a part, the page says so
        logger.bind(check=name).warning("a health check failed: {}", type(error).__name__)
        return {"status": "down", "problem": type(error).__name__}
