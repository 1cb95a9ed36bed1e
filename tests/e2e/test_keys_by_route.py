"""Every route of every service × every kind of API key × environment: what protos/permissions.toml says, and no more.

And the life of a key on the fleet: issued, used at the edge, rotated, restricted, revoked, found in the log.
"""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import pytest

from common.api_keys import KNOWN_KEYS
from common.permissions import TABLE
from ops import journey
from ops.fleet_client import Answer, FleetClient
from ops.ports import Layout

from .test_journey import run_command
from .test_tokens_by_route import Answered, Services, Wrong, guarded, named

ORIGIN = "https://shop.example.com"
# By environment, the merchant.
MERCHANTS = {"live": "mer_commdesk", "test": "mer_commdesk_test"}
# A revocation is known everywhere after this.
KNOWN_SECONDS = 5.0

Create = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def services(fleet: FleetClient) -> AsyncIterator[Services]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield Services(fleet, http)


@pytest.fixture
def create(fleet: FleetClient, commdesk: Sequence[str]) -> Create:
    """`commdesk key create`."""

    async def create(merchant_id: str = "mer_commdesk", **options: str | Sequence[str]) -> dict[str, Any]:
        words = ["--name", "Shop"]
        for name, values in options.items():
            for value in [values] if isinstance(values, str) else values:
                words += [f"--{name}", value]
        code, output = await run_command(commdesk, "key", "create", merchant_id, *words, "--json")
        assert code == 0, output
        created: dict[str, Any] = json.loads(output)
        return created

    return create


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_a_route_takes_the_kinds_of_keys_that_the_table_names_and_no_others(
    services: Services, create: Create
) -> None:
    keys = {
        (kind, environment): await create(merchant, kind=kind, **({"origin": ORIGIN} if kind == "publishable" else {}))
        for kind in TABLE.key_kinds
        for environment, merchant in MERCHANTS.items()
    }
    assert {key["key"].rpartition("_")[0] for key in keys.values()} == {"key_live", "key_test", "sk_live", "sk_test"}
    restricted = await create(kind="secret", permission="payments.read")

    async def asked(kind: str, service: str, route: Any, key: str, *, may: bool) -> Wrong | None:
        answered = await services.ask(service, route, f"Bearer {key}", origin=ORIGIN)
        if may:
            is_refused = answered.status in (401, 403, 429) or answered.code in (
                "route_not_found",
                "method_not_allowed",
            )
            return (kind, named(route), answered) if is_refused else None
        return None if answered == Answered(403, "role_missing") else (kind, named(route), answered)

    questions = []
    for service, route in guarded():
        kinds = TABLE.permissions[route.permission].keys
        for (kind, environment), key in keys.items():
            questions.append(asked(f"{kind} {environment}", service, route, key["key"], may=kind in kinds))
        may = "secret" in kinds and route.permission == "payments.read"
        questions.append(asked("restricted", service, route, restricted["key"], may=may))
    assert len(questions) > 200
    assert [each for each in await asyncio.gather(*questions) if each is not None] == []


async def test_the_life_of_a_key(fleet: FleetClient, create: Create, commdesk: Sequence[str]) -> None:
    created = await create(permission=["payments.read", "payments.read_others", "request_log.read"])
    key, key_id = created["key"], created["apiKeyId"]
    member = await journey.sign_up(fleet)
    payment = await journey.create(fleet, member, pack_id="pack_500")
    path = f"/api/v1/payments/{payment['paymentId']}"
    basic = {"Authorization": f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"}
    for headers in (bearer(key), basic, {"X-Api-Key": key}):
        answer = await fleet.edge("GET", path, headers=headers)
        assert (answer.status, answer.data["paymentId"]) == (200, payment["paymentId"])
        assert answer.headers["CommDesk-Version"] == "2026-11-28"
        assert int(answer.headers["RateLimit-Remaining"]) < int(answer.headers["RateLimit-Limit"])
    refused = await fleet.edge("GET", "/api/v1/refunds", headers=bearer(key))
    assert (refused.status, refused.data["code"]) == (403, "role_missing")

    async def logged() -> list[dict[str, Any]]:
        answer = await fleet.edge("GET", f"/api/v1/logs/requests?apiKeyId={key_id}", headers=bearer(key))
        assert answer.status == 200, answer.data
        return [each for each in answer.data["items"] if each["path"] != "/api/v1/logs/requests"]

    async with asyncio.timeout(10):
        while len(entries := await logged()) < 4:
            await asyncio.sleep(0.3)
    assert [(each["method"], each["path"], each["status"], each["errorCode"]) for each in entries] == [
        ("GET", "/api/v1/refunds", 403, "role_missing"),
        *[("GET", "/api/v1/payments/{paymentId}", 200, None)] * 3,
    ]
    code, output = await run_command(commdesk, "key", "list", "mer_commdesk", "--json")
    [listed] = [each for each in json.loads(output) if each["apiKeyId"] == key_id]
    assert (code, listed["status"], listed["lastFour"]) == (0, "active", key[-4:])
    assert key not in output
    code, output = await run_command(commdesk, "key", "revoke", key_id, "--reason", "found in a repository")
    assert (code, "is revoked" in output) == (0, True), output
    await asyncio.sleep(KNOWN_SECONDS)
    for each in (path, "/api/v1/logs/requests", "/api/v1/users/profile"):
        answer = await fleet.edge("GET", each, headers=bearer(key))
        assert (answer.status, answer.data["code"]) == (401, "api_key_invalid")


async def test_the_known_keys_are_those_of_the_test_merchant(fleet: FleetClient) -> None:
    answer = await fleet.edge("GET", "/api/v1/logs/requests", headers=bearer(KNOWN_KEYS["secret"]))
    assert answer.status == 200, answer.data
    answer = await fleet.edge("GET", "/api/v1/logs/requests", headers=bearer(KNOWN_KEYS["publishable"]))
    assert (answer.status, answer.data["code"]) == (403, "api_key_origin_not_allowed")


async def test_a_key_sees_its_merchant_alone(fleet: FleetClient, create: Create) -> None:
    member = await journey.sign_up(fleet)
    payment = await journey.create(fleet, member, pack_id="pack_500")
    elsewhere = await create("mer_commdesk_test")
    answer = await fleet.edge("GET", f"/api/v1/payments/{payment['paymentId']}", headers=bearer(elsewhere["key"]))
    assert (answer.status, answer.data["code"]) == (404, "payment_not_found")


async def test_the_edge_passes_the_clients_address_on(fleet: FleetClient, layout: Layout, create: Create) -> None:
    here = await create(network=["127.0.0.0/8", "::1/128"])
    assert (await fleet.edge("GET", "/api/v1/logs/requests", headers=bearer(here["key"]))).status == 200
    elsewhere = await create(network="198.51.100.0/24")
    forged = {**bearer(elsewhere["key"]), "X-Forwarded-For": "198.51.100.7"}
    answer = await fleet.edge("GET", "/api/v1/logs/requests", headers=forged)
    assert (answer.status, answer.data["code"]) == (403, "api_key_network_not_allowed")


async def test_the_keys_of_a_merchant_share_their_idempotency_keys(fleet: FleetClient, create: Create) -> None:
    """A request that is repeated after its key was rotated gets the first answer."""
    first, second = await create(), await create()
    body = {
        "packId": "pack_500",
        "customerName": "Asha Rao",
        "customerEmail": "asha@commdesk.test",
        "customerPhone": "+919876543210",
    }
    once = {"Idempotency-Key": secrets.token_hex(12)}

    async def pay(key: dict[str, Any], **changes: str) -> Answer:
        return await fleet.edge(
            "POST", "/api/v1/payments/create", body | changes, headers={**bearer(key["key"]), **once}
        )

    created, repeated = await pay(first), await pay(second)
    assert (created.status, repeated.status) == (201, 201), (created.data, repeated.data)
    assert repeated.raw == created.raw
    assert repeated.headers["Idempotent-Replayed"] == "true"
    other = await pay(second, customerName="Ravi Rao")
    assert (other.status, other.data["code"]) == (422, "idempotency_key_reused")
    member = await journey.sign_up(fleet)
    own = await fleet.edge("POST", "/api/v1/payments/create", body, token=member.token, headers=once)
    assert own.data["paymentId"] != created.data["paymentId"]
