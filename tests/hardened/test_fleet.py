"""The fleet over TLS and through a transaction pooler: a payment completes, and nobody gets in who should not."""

import asyncio
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import grpc
import psutil
import pytest
import trustme

from commdesk.common.v1 import delivery_pb2
from common import grpc_client
from common.grpc_certificates import Certificates
from common.services import SERVICES
from common.testing import free_port
from common.tokens import ServiceTokens
from ops import fleet, fleet_client, internal_tls, invariants, journey, pgbouncer
from ops.credentials import load_or_generate
from ops.fleet_client import FleetClient
from ops.ports import Layout

pytestmark = pytest.mark.timeout(300)

PLAIN = ("postgresql", "rabbitmq", "redis")
ENCRYPTED = ("pgbouncer", "rabbitmq-tls", "redis-tls")


@pytest.fixture
async def client(layout: Layout) -> AsyncIterator[FleetClient]:
    async with fleet_client.connect(layout) as client:
        yield client


async def test_payments_complete(client: FleetClient) -> None:
    member = await journey.sign_up(client)
    for _ in range(5):
        created = await journey.create(client, member, pack_id="pack_500")
        await journey.pay(client, created["orderId"], method="upi", outcome="success")
        await journey.until_success(client, member, created["paymentId"])
    await invariants.until_quiet(client.description, 60)
    assert await invariants.violations(client.description) == []


async def test_services_use_encrypted_connections_alone(client: FleetClient, layout: Layout) -> None:
    names = {layout.port(name): name for name in (*PLAIN, *ENCRYPTED)}
    for service in SERVICES:
        process = psutil.Process(client.description["pids"][service])
        peers = {names.get(each.raddr.port) for each in process.net_connections("tcp4") if each.raddr}
        assert peers.isdisjoint(PLAIN), service
        assert {"pgbouncer", "rabbitmq-tls"} <= peers, service
        if service == "payment":
            assert "redis-tls" in peers


async def test_the_pooler_shares_few_sessions_encrypted(client: FleetClient) -> None:
    connection = await asyncpg.connect(client.description["postgresql"]["superuser_url"])
    try:
        rows = await connection.fetch(
            "select usename, ssl, count(*) as sessions from pg_stat_ssl join pg_stat_activity using (pid)"
            " where usename = any($1) group by 1, 2",
            [row.package for row in SERVICES.values()],
        )
    finally:
        await connection.close()
    assert {row["usename"] for row in rows} == {row.package for row in SERVICES.values()}
    assert all(row["ssl"] and row["sessions"] <= pgbouncer.SESSIONS_PER_ROLE for row in rows)


async def backlog(client: FleetClient, certificates: Certificates | None, *, caller: str) -> str:
    """The status of a question of *caller* to wallet: the operator may ask it."""
    keys = client.description["service_keys"]
    tokens = ServiceTokens(caller, keys[caller]["private"], {name: key["public"] for name, key in keys.items()})
    address = client.description["services"]["wallet"]["grpc"]
    async with grpc_client.channel(address, tokens, "wallet", certificates) as channel:
        call = channel.unary_unary(
            "/commdesk.common.v1.DeliveryService/Backlog",
            request_serializer=delivery_pb2.BacklogRequest.SerializeToString,
            response_deserializer=delivery_pb2.BacklogResponse.FromString,
        )
        try:
            await call(delivery_pb2.BacklogRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"


def certificates_of(layout: Layout, name: str) -> Certificates:
    files = internal_tls.certificate_variables(layout, name)
    return Certificates(*(files[f"GRPC_{each}_FILE"] for each in ("CERTIFICATE", "KEY", "CA")))


async def test_only_owners_of_a_certificate_call(client: FleetClient, layout: Layout, tmp_path: Path) -> None:
    assert await backlog(client, certificates_of(layout, "operator"), caller="operator") == "OK"
    assert await backlog(client, None, caller="operator") == "UNAVAILABLE"
    # The operator's stolen key is of no use with another service's certificate, nor the other way round.
    assert await backlog(client, certificates_of(layout, "payment"), caller="operator") == "UNAUTHENTICATED"
    assert await backlog(client, certificates_of(layout, "operator"), caller="payment") == "UNAUTHENTICATED"
    stranger = trustme.CA().issue_cert("operator")
    stranger.private_key_pem.write_to_path(tmp_path / "key")
    stranger.cert_chain_pems[0].write_to_path(tmp_path / "certificate")
    ours = internal_tls.authority_file(layout)
    forged = Certificates(str(tmp_path / "certificate"), str(tmp_path / "key"), str(ours))
    assert await backlog(client, forged, caller="operator") == "UNAVAILABLE"


def production(layout: Layout, switches: Mapping[str, str]) -> dict[str, str]:
    """The environment of a second wallet that says production."""
    credentials = load_or_generate(layout.run_dir / "secrets.json")
    environment = fleet.service_environment(layout, credentials, "wallet", switches)
    return environment | {
        "ENVIRONMENT": "production",
        "REDIS_URL": environment["REDIS_URL"].replace("//:", "//default:"),
        "HTTP_PORT": str(free_port()),
        "GRPC_PORT": str(free_port()),
        "PUBLIC_URL": "https://pay.example.in",
        # Nobody answers there, which a service outlives.
        "IDENTITY_JWKS_URL": "https://pay.example.invalid/.well-known/jwks.json",
    }


@asynccontextmanager
async def wallet(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wallet", "serve"),
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def test_a_service_starts_in_production(layout: Layout, switches: Mapping[str, str]) -> None:
    environment = production(layout, switches)
    async with wallet(environment) as process:
        url, deadline = f"http://127.0.0.1:{environment['HTTP_PORT']}/health/ready", time.monotonic() + 60
        while not answers(url):
            assert process.returncode is None
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)


async def test_a_service_does_not_start_as_the_owner_of_its_schema(layout: Layout, switches: Mapping[str, str]) -> None:
    environment = production(layout, switches)
    credentials = load_or_generate(layout.run_dir / "secrets.json")
    owner = fleet.database_url(layout, "wallet_owner", credentials.database["wallet_owner"])
    secured = internal_tls.secured({"DATABASE_URL": owner}, layout, "wallet")["DATABASE_URL"]
    async with wallet(environment | {"DATABASE_URL": secured, "DATABASE_POOLER": "false"}) as process:
        output, _ = await process.communicate()
    assert process.returncode == 1
    assert b"logs in as a schema's owner" in output


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return json.loads(response.read()) is not None and response.status == 200
    except (urllib.error.URLError, OSError, ValueError):
        return False
