"""The public door, over a real socket and a real Postgres."""

import asyncio
import ipaddress
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

import httpx
import msgspec
import pytest

from common import http_server
from common.batching import Batcher, OutcomeUnknown
from common.clock import FakeClock
from common.database import Database
from common.errors import DomainError
from common.testing import published
from gateways import GatewayAccount
from gateways.registry import ADAPTERS
from webhook_ingest import routes, use_cases
from webhook_ingest.domain import BODY_BYTES_MAX, Stored, Webhook

PATH = "/api/v1/webhooks/cashfree"
Post = Callable[..., "asyncio.Future[httpx.Response]"]


@pytest.fixture
def receiver(db: Database, clock: FakeClock, account: GatewayAccount) -> use_cases.Receiver:
    return use_cases.Receiver(
        accounts={"cashfree": account},
        adapters=ADAPTERS,
        batcher=Batcher(partial(use_cases.store_webhooks, db), name="test"),
        refusals=use_cases.Refusals(),
        clock=clock,
        merchant_id="mer_commdesk",
        window=timedelta(days=1),
        proxy_hops=1,
    )


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[use_cases.Receiver], "asyncio.Future[httpx.AsyncClient]"]]:
    """Opens the door of a receiver; the client that comes back talks to it."""
    opened: list[tuple[http_server.HttpServer, httpx.AsyncClient]] = []

    async def start(receiver: use_cases.Receiver) -> httpx.AsyncClient:
        door = http_server.Door("webhook-ingest")
        server = await http_server.serve_http(http_server.app(routes.routes(receiver), door), 0)
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10)
        opened.append((server, client))
        return client

    yield start  # type: ignore[misc]
    for server, client in opened:
        await client.aclose()
        await server.stop(1)


async def test_a_good_webhook_is_answered_after_the_commit(
    db: Database, receiver: use_cases.Receiver, serve: Callable, payment_body: Callable, signed: Callable
) -> None:
    client = await serve(receiver)
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
    db: Database, receiver: use_cases.Receiver, serve: Callable, payment_body: Callable, signed: Callable
) -> None:
    """Two replicas, each with its own batcher, over one database."""
    other = replace(receiver, batcher=Batcher(partial(use_cases.store_webhooks, db), name="test"))
    clients = [await serve(receiver), await serve(other)]
    body = payment_body()
    answers = await asyncio.gather(
        *(clients[number % 2].post(PATH, content=body, headers=signed(body)) for number in range(20))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 20}
    assert Counter(answer.json()["data"]["duplicate"] for answer in answers) == {False: 1, True: 19}
    assert len(await published(db)) == 1


async def test_refusals_say_why_and_store_nothing(
    db: Database,
    receiver: use_cases.Receiver,
    serve: Callable,
    payment_body: Callable,
    signed: Callable,
    clock: FakeClock,
) -> None:
    client = await serve(receiver)
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


async def test_a_flood_of_forgeries_leaves_a_figure_and_one_alert(
    db: Database,
    receiver: use_cases.Receiver,
    serve: Callable,
    payment_body: Callable,
    signed: Callable,
    clock: FakeClock,
) -> None:
    client = await serve(receiver)
    body = payment_body()
    forged = signed(body) | {"x-webhook-signature": "x" * 44}
    await asyncio.gather(*(client.post(PATH, content=body, headers=forged) for _ in range(50)))
    await client.post(PATH, content=body, headers=signed(body, at=clock.now() - timedelta(days=2)))
    await receiver.refusals.announce(db, clock)
    await receiver.refusals.announce(db, clock)
    events = await published(db)
    assert Counter(key for key, _ in events) == {"analytics.webhook.failure": 2, "email.admin.alert": 1}
    assert {event.reason for key, event in events if key.startswith("analytics")} == {"signature_invalid", "too_old"}  # type: ignore[attr-defined]
    [alert] = [event for key, event in events if key == "email.admin.alert"]
    assert alert.fields["count"] == "50"  # type: ignore[attr-defined]


async def test_bodies_are_bounded_and_odd_ones_are_parked(
    db: Database, receiver: use_cases.Receiver, serve: Callable, signed: Callable
) -> None:
    client = await serve(receiver)
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
    receiver: use_cases.Receiver, serve: Callable, payment_body: Callable, signed: Callable, db: Database
) -> None:
    gate = asyncio.Event()

    async def slow(webhooks: list[Webhook]) -> Sequence[Stored | DomainError]:
        await gate.wait()
        return await use_cases.store_webhooks(db, webhooks)

    client = await serve(replace(receiver, batcher=Batcher(slow, name="test", items_max=1, waiting_max=2)))
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
    receiver: use_cases.Receiver, serve: Callable, payment_body: Callable, signed: Callable
) -> None:
    async def doubtful(webhooks: list[Webhook]) -> Sequence[Stored | DomainError]:
        raise OutcomeUnknown

    client = await serve(replace(receiver, batcher=Batcher(doubtful, name="test")))
    body = payment_body()
    answer = await client.post(PATH, content=body, headers=signed(body))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "webhook_not_stored")
    assert answer.headers["retry-after"]


async def test_the_allow_list_believes_only_our_proxy(
    db: Database,
    receiver: use_cases.Receiver,
    account: GatewayAccount,
    serve: Callable,
    payment_body: Callable,
    signed: Callable,
) -> None:
    strict = msgspec.structs.replace(account, webhook_networks=(ipaddress.ip_network("52.66.101.190"),))
    client = await serve(replace(receiver, accounts={"cashfree": strict}))
    body = payment_body()
    for forwarded, status in (("52.66.101.190", 200), ("52.66.101.190, 6.6.6.6", 403), ("6.6.6.6", 403)):
        headers = signed(body) | {"x-forwarded-for": forwarded}
        assert (await client.post(PATH, content=body, headers=headers)).status_code == status
    assert (await client.post(PATH, content=body, headers=signed(body))).status_code == 403
    assert len(await published(db)) == 1
