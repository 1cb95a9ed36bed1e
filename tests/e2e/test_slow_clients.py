"""Silent and slow clients at the edge and at the services themselves: genuine requests are answered meanwhile."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from urllib.parse import urlsplit

import aiohttp
import pytest

from ops.fleet_client import FleetClient
from ops.virtual_users import members

WEBHOOK, LOGIN, CREATE = "/api/v1/webhooks/cashfree", "/api/v1/users/login", "/api/v1/payments/create"
SERVICES = {WEBHOOK: "webhook-ingest", LOGIN: "identity", CREATE: "payment"}
SLOW_OF_EACH_KIND = 500
# The time limit of edge and services is 15 s from the first byte on; the rest is for a busy machine.
ENDED_SECONDS = 60


async def hold(port: int, path: str, token: str, dripping: bool) -> float:
    """Send headers and then nothing, or a byte of the body a second; how long until the other side ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.monotonic()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
    writer.write(f"{head}Authorization: Bearer {token}\r\n\r\n".encode() if token else f"{head}\r\n".encode())

    async def drip() -> None:
        while dripping:
            await asyncio.sleep(1)
            writer.write(b" ")

    dripper = asyncio.create_task(drip())
    try:
        await reader.read()
    except ConnectionError:
        pass
    finally:
        dripper.cancel()
        writer.close()
    return time.monotonic() - started


def signed(fleet: FleetClient) -> tuple[bytes, dict[str, str]]:
    """A webhook as the gateway's own test button sends it, with its signature."""
    body = json.dumps({"type": "WEBHOOK", "data": {"test_object": {"test_key": secrets.token_hex(8)}}}).encode()
    timestamp = str(int(time.time() * 1000))
    key = fleet.description["cashfree"]["secret_key"].encode()
    digest = hmac.digest(key, timestamp.encode() + body, hashlib.sha256)
    headers = {"x-webhook-signature": base64.b64encode(digest).decode(), "x-webhook-timestamp": timestamp}
    return body, {**headers, "x-webhook-version": "2025-01-01", "Content-Type": "application/json"}


async def sign_up(fleet: FleetClient) -> dict[str, str]:
    """What somebody logs in with."""
    credentials = {"email": f"slow.{secrets.token_hex(6)}@example.com", "password": secrets.token_urlsafe(12)}
    more = {"name": "Asha Rao", "confirmPassword": credentials["password"], "mobileNumber": "9876543210"}
    answer = await fleet.edge("POST", "/api/v1/users/signup", {**credentials, **more})
    assert answer.status == 202, answer.body
    return credentials


@pytest.mark.timeout(600)
async def test_slow_clients_take_nothing_from_genuine_ones(fleet: FleetClient) -> None:
    """500 silent and 500 dripping ones for each of webhook, login and create, at the edge and at each service."""
    payers = members(fleet, 200)
    credentials = await sign_up(fleet)
    edge_port = urlsplit(fleet.description["edge_url"]).port or 0
    ports = {
        path: (edge_port, urlsplit(fleet.description["services"][service]["http"]).port or 0)
        for path, service in SERVICES.items()
    }
    slow = [
        asyncio.create_task(hold(port, path, payers[0].token if path == CREATE else "", dripping))
        for path in SERVICES
        for port in ports[path]
        for dripping in (False, True)
        for _ in range(SLOW_OF_EACH_KIND)
    ]
    await asyncio.sleep(2)
    assert not any(task.done() for task in slow)
    count = 0
    async with aiohttp.ClientSession() as direct:
        while not all(task.done() for task in slow):
            payer = payers[count % len(payers)]
            body, headers = signed(fleet)
            at_edge = await fleet.edge("POST", WEBHOOK, raw=body, headers=headers)
            assert at_edge.status == 200, at_edge.body
            body, headers = signed(fleet)
            url = f"http://127.0.0.1:{ports[WEBHOOK][1]}{WEBHOOK}"
            async with direct.post(url, data=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
            logged_in = await fleet.edge("POST", LOGIN, credentials)
            assert logged_in.status == 200, logged_in.body
            created = await fleet.edge("POST", CREATE, {"packId": "pack_500"}, token=payer.token)
            assert created.status == 201, created.body
            count += 1
            await asyncio.sleep(0.2)
    assert count > 10
    assert max(task.result() for task in slow) < ENDED_SECONDS
