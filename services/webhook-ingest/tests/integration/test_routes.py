"""The public endpoints, over a real socket and a real Postgres."""

import asyncio
import ipaddress
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Protocol

import httpx
import msgspec
import pytest
import pytest_asyncio

from common import http_server
from common.batching import Batcher, OutcomeUnknown
from common.clock import FakeClock
from common.database import Database
from common.errors import DomainError
from common.testing import published
from gateways import GatewayAccount
from gateways.registry import webhook_sources
from webhook_ingest import routes, use_cases
from webhook_ingest.domain import BODY_BYTES_MAX, SourcePolicy, Stored, Webhook
from webhook_ingest.use_cases import Receiver, Refusals

PATH = "/api/v1/webhooks/cashfree"

Body = Callable[..., bytes]
Headers = Callable[..., dict[str, str]]


class Serve(Protocol):
    """Serves the endpoints of a replica with these accounts, the first being the platform's own."""

    async def __call__(
        self, *accounts: GatewayAccount, batcher: Batcher[Webhook, Stored] | None = None
    ) -> httpx.AsyncClient: ...


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()


@pytest_asyncio.fixture
async def serve(db: Database, clock: FakeClock, refusals: Refusals) -> AsyncIterator[Serve]:
    replicas: list[tuple[http_server.HttpServer, httpx.AsyncClient]] = []

    async def start(*accounts: GatewayAccount, batcher: Batcher[Webhook, Stored] | None = None) -> httpx.AsyncClient:
        batcher = batcher or Batcher(partial(use_cases.store_webhooks, db), name="test")
        policy = SourcePolicy(timedelta(days=1), proxy_hops=1)
        receiver = Receiver(batcher, clock, webhook_sources(accounts), policy, refusals)
        rows = routes.routes(receiver, {accounts[0].gateway: accounts[0].id})
        server = await http_server.serve_http(http_server.app(rows, http_server.Door("webhook-ingest")), 0)
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10)
        replicas.append((server, client))
        return client

    yield start
    for server, client in replicas:
        await client.aclose()
        await server.stop(1)


async def test_a_good_webhook_is_answered_after_the_commit(
    db: Database, account: GatewayAccount, serve: Serve, payment_body: Body, signed: Headers
) -> None:
    client = await serve(account)
    body = payment_body()
    answers = [await client.post(PATH, content=body, headers=signed(body)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    first, second = (answer.json() for answer in answers)
    assert first["success"] is True
    assert first["data"]["eventId"] == second["data"]["eventId"]
    assert (first["data"]["duplicate"], second["data"]["duplicate"]) == (False, True)
    [(key, event)] = await published(db)
    assert (key, event.event_id) == ("webhook.cashfree.received", first["data"]["eventId"])  # type: ignore[attr-defined]


async def test_the_same_webhook_twenty_times_at_once(
    db: Database, account: GatewayAccount, serve: Serve, payment_body: Body, signed: Headers
) -> None:
    """Two replicas, each with its own batcher, over one database."""
    clients = [await serve(account), await serve(account)]
    body = payment_body()
    answers = await asyncio.gather(
        *(clients[number % 2].post(PATH, content=body, headers=signed(body)) for number in range(20))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 20}
    assert Counter(answer.json()["data"]["duplicate"] for answer in answers) == {False: 1, True: 19}
    assert len(await published(db)) == 1


async def test_refusals_say_why_and_store_nothing(
    db: Database,
    account: GatewayAccount,
    serve: Serve,
    payment_body: Body,
    signed: Headers,
    clock: FakeClock,
) -> None:
    client = await serve(account)
    body = payment_body()
    good = signed(body)
    for headers, code in (
        (good | {"x-webhook-signature": "x" * 44}, "webhook_signature_invalid"),
        ({"content-type": "application/json"}, "webhook_timestamp_invalid"),
        (good | {"x-webhook-timestamp": "yesterday"}, "webhook_timestamp_invalid"),
        (signed(body, at=clock.now() + timedelta(minutes=6)), "webhook_timestamp_invalid"),
        (signed(body, at=clock.now() - timedelta(hours=25)), "webhook_too_old"),
    ):
        answer = await client.post(PATH, content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
        assert answer.json()["success"] is False
    assert await published(db) == []
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from webhook_logs")).scalar_one() == 0


async def test_a_flood_of_forgeries_leaves_one_event_and_one_alert(
    db: Database,
    account: GatewayAccount,
    serve: Serve,
    payment_body: Body,
    signed: Headers,
    refusals: Refusals,
    clock: FakeClock,
) -> None:
    client = await serve(account)
    body = payment_body()
    forged = signed(body) | {"x-webhook-signature": "x" * 44}
    await asyncio.gather(*(client.post(PATH, content=body, headers=forged) for _ in range(50)))
    await client.post(PATH, content=body, headers=signed(body, at=clock.now() - timedelta(days=2)))
    await refusals.announce(db, clock)
    await refusals.announce(db, clock)
    events = await published(db)
    assert Counter(key for key, _ in events) == {"analytics.webhook.failure": 2, "email.admin.alert": 1}
    assert {event.reason for key, event in events if key.startswith("analytics")} == {"signature_invalid", "too_old"}  # type: ignore[attr-defined]
    [alert] = [event for key, event in events if key == "email.admin.alert"]
    assert alert.fields["count"] == "50"  # type: ignore[attr-defined]


async def test_each_account_has_its_own_path_and_secret(
    db: Database, account: GatewayAccount, serve: Serve, payment_body: Body, signed: Headers
) -> None:
    other = GatewayAccount(id="gwa_other", gateway="cashfree", webhook_secrets=("another-secret",))
    client = await serve(account, other)
    body = payment_body()
    mine, theirs = signed(body), signed(body, secret="another-secret")
    for path, headers, status in (
        (PATH, theirs, 401),
        (f"{PATH}/gwa_cashfree", theirs, 401),
        (f"{PATH}/gwa_other", mine, 401),
        (f"{PATH}/gwa_other", theirs, 200),
        (PATH, mine, 200),
        (f"{PATH}/gwa_cashfree", mine, 200),
    ):
        assert (await client.post(path, content=body, headers=headers)).status_code == status, path
    accounts = [event.gateway_account_id for _, event in await published(db)]  # type: ignore[attr-defined]
    assert accounts == ["gwa_other", "gwa_cashfree"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"{PATH}/gwa_nobody", "gateway_account_not_found"),
        ("/api/v1/webhooks/razorpay/gwa_cashfree", "gateway_account_not_found"),
        ("/api/v1/webhooks/nobody/gwa_cashfree", "gateway_account_not_found"),
        ("/api/v1/webhooks/razorpay", "route_not_found"),
    ],
)
async def test_a_webhook_of_nobody_is_not_found(
    db: Database,
    account: GatewayAccount,
    serve: Serve,
    refusals: Refusals,
    clock: FakeClock,
    payment_body: Body,
    signed: Headers,
    path: str,
    code: str,
) -> None:
    client = await serve(account)
    body = payment_body()
    answer = await client.post(path, content=body, headers=signed(body))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)
    await refusals.announce(db, clock)
    # The name in the path is anybody's text: it becomes no label and no event.
    assert {event.gateway for _, event in await published(db)} <= {"unknown"}  # type: ignore[attr-defined]


async def test_bodies_are_bounded_and_odd_ones_are_parked(
    db: Database, account: GatewayAccount, serve: Serve, signed: Headers
) -> None:
    client = await serve(account)
    large = b"x" * (BODY_BYTES_MAX + 1)
    assert (await client.post(PATH, content=large, headers=signed(large))).status_code == 413
    for odd in (b"garbage", b"", b"[" * 200_000, json.dumps({"type": "WEBHOOK"}).encode(), b"x" * BODY_BYTES_MAX):
        answer = await client.post(PATH, content=odd, headers=signed(odd))
        assert (answer.status_code, answer.json()["success"]) == (200, True)
    async with db.begin() as tx:
        rows = await tx.execute("select processing_status, count(*) as n from webhook_logs group by 1")
        assert [tuple(row) for row in rows] == [("PARKED", 5)]
    assert {key for key, _ in await published(db)} == {"email.admin.alert", "analytics.webhook.failure"}


async def test_more_than_can_wait_is_shed_before_it_is_taken(
    account: GatewayAccount, serve: Serve, payment_body: Body, signed: Headers, db: Database
) -> None:
    gate = asyncio.Event()

    async def slow(webhooks: list[Webhook]) -> Sequence[Stored | DomainError]:
        await gate.wait()
        return await use_cases.store_webhooks(db, webhooks)

    client = await serve(account, batcher=Batcher(slow, name="test", items_max=1, waiting_max=2))
    bodies = [payment_body(str(number)) for number in range(8)]
    pending = [asyncio.create_task(client.post(PATH, content=body, headers=signed(body))) for body in bodies]
    done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    assert done
    await asyncio.sleep(0.3)
    gate.set()
    answers = await asyncio.gather(*pending)
    count = Counter(answer.status_code for answer in answers)
    assert set(count) == {200, 503}
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 503)
    assert len(await published(db)) == count[200]


async def test_a_commit_in_doubt_is_no_success(
    account: GatewayAccount, serve: Serve, payment_body: Body, signed: Headers
) -> None:
    async def doubtful(webhooks: list[Webhook]) -> Sequence[Stored | DomainError]:
        raise OutcomeUnknown

    client = await serve(account, batcher=Batcher(doubtful, name="test"))
    body = payment_body()
    answer = await client.post(PATH, content=body, headers=signed(body))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "webhook_not_stored")
    assert answer.headers["retry-after"]


async def test_the_allow_list_believes_only_our_proxy(
    db: Database,
    account: GatewayAccount,
    serve: Serve,
    payment_body: Body,
    signed: Headers,
) -> None:
    strict = msgspec.structs.replace(account, webhook_networks=(ipaddress.ip_network("52.66.101.190"),))
    client = await serve(strict)
    body = payment_body()
    for forwarded, status in (("52.66.101.190", 200), ("52.66.101.190, 6.6.6.6", 403), ("6.6.6.6", 403)):
        headers = signed(body) | {"x-forwarded-for": forwarded}
        assert (await client.post(PATH, content=body, headers=headers)).status_code == status
    assert (await client.post(PATH, content=body, headers=signed(body))).status_code == 403
    assert len(await published(db)) == 1
