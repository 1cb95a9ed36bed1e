"""The edge passes on what the services serve, and nothing else."""

import re

import pytest

from common.route_tables import route_tables
from ops.fleet_client import FleetClient

ROUTES = [(row.method, row.path) for rows in route_tables().values() for row in rows]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_routed_path_is_served(fleet: FleetClient, method: str, path: str) -> None:
    path = re.sub(r"{\w+(?::\w+)?}", "x-1", path)
    for asked in {path, path.replace("/api/v1/", "/v1/api/")}:
        answer = await fleet.edge(method, asked)
        assert answer.headers.get("X-Request-Id"), f"{asked} did not reach a service"
        assert answer.status not in (404, 405) or answer.data["code"] not in ("route_not_found", "method_not_allowed")


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/health/database", "/health/queues", "/health/redis"])
async def test_health_is_shown(fleet: FleetClient, path: str) -> None:
    assert (await fleet.edge("GET", path)).status == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/metrics", "/api/v1/refunds", "/api/v1/merchants", "/api/v1/webhooks", "/api/v1/users", "/v1/api/usage"],
)
async def test_what_no_service_serves_ends_at_the_edge(fleet: FleetClient, path: str) -> None:
    answer = await fleet.edge("GET", path)
    assert (answer.status, answer.headers.get("X-Request-Id")) == (404, None)
