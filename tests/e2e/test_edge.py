"""The edge passes on what the services serve, and nothing else."""

import re

from common.route_tables import health_routes, route_tables
from ops.fleet_client import FleetClient

UNKNOWN = (
    "/",
    "/metrics",
    "/api/v1/refunds",
    "/api/v1/merchants",
    "/api/v1/webhooks",
    "/api/v1/users",
    "/v1/api/usage",
)


async def test_every_routed_path_is_served_also_by_its_alias(fleet: FleetClient) -> None:
    for row in (row for table in route_tables().values() for row in table):
        path = re.sub(r"{\w+(?::\w+)?}", "x-1", row.path)
        for asked in {path, path.replace("/api/v1/", "/v1/api/")}:
            answer = await fleet.edge(row.method, asked)
            assert answer.headers.get("X-Request-Id"), f"{row.method} {asked} did not reach a service"
            if answer.status in (404, 405):
                assert answer.data["code"] not in ("route_not_found", "method_not_allowed"), (row.method, asked)


async def test_health_is_shown(fleet: FleetClient) -> None:
    for row in health_routes():
        assert (await fleet.edge("GET", row.path)).status == 200, row.path


async def test_what_no_service_serves_ends_at_the_edge(fleet: FleetClient) -> None:
    for path in UNKNOWN:
        answer = await fleet.edge("GET", path)
        assert (answer.status, answer.headers.get("X-Request-Id")) == (404, None), path
