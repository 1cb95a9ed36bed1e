"""The edge passes on what the services serve, and nothing else."""

import asyncio
import re
from urllib.parse import urlsplit

import pytest

from common.route_tables import route_tables
from ops.fleet_client import FleetClient

UNKNOWN = (
    "/",
    "/metrics",
    "/health/ready",
    "/health/database",
    "/health/queues",
    "/health/redis",
    "/edge/errors/502",
    "/api/v1/payouts",
    "/api/v1/merchants/mer_commdesk",
    "/api/v1/webhook",
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


async def test_health_says_no_more_than_up(fleet: FleetClient) -> None:
    answer = await fleet.edge("GET", "/health")
    assert (answer.status, answer.data) == (200, {"status": "up"})


async def test_what_no_service_serves_is_not_found(fleet: FleetClient) -> None:
    for path in UNKNOWN:
        answer = await fleet.edge("GET", path, headers={"X-Request-Id": "req-nowhere"})
        assert (answer.status, answer.data["code"], answer.data["requestId"]) == (404, "route_not_found", "req-nowhere")


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/payments/../../../metrics",
        "/api/v1/payments/..%2f..%2f..%2fmetrics",
        "/api/v1/payments/%2e%2e/%2e%2e/%2e%2e/metrics",
        "/api/v1/payments/%252e%252e/%252e%252e/%252e%252e/metrics",
        "/api/v1/payments/..;/..;/..;/metrics",
        "/api/v1/payments/..\\..\\..\\metrics",
        "/api/v1/payments/pay_1/public/../../../../../metrics",
        "/v1/api/payments/../../../metrics",
        "/health/../metrics",
        "/health/..%2fmetrics",
        "/health/ready",
        "/health%2fready",
        "/health;/ready",
        "/./metrics",
        "//metrics",
        "/metrics/",
        "/METRICS",
        "/metrics%00",
        "http://127.0.0.1/metrics",
        "http://payment/metrics",
    ],
)
async def test_no_way_leads_out_of_what_is_routed(fleet: FleetClient, target: str) -> None:
    """Sent as it is written: clients would tidy it up."""
    edge = urlsplit(fleet.description["edge_url"])
    reader, writer = await asyncio.open_connection(edge.hostname, edge.port)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {edge.netloc}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(10):
            answer = await reader.read()
    finally:
        writer.close()
    assert int(answer.split()[1]) in (400, 401, 404)
    assert b"commdesk_" not in answer
    assert b'"queues"' not in answer
