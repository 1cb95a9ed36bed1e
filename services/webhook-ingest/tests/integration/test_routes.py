"""The public endpoints of the service, over a real Postgres."""

import asyncio
import ipaddress
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import msgspec
import pytest

from common.batching import Batcher, OutcomeUnknown
from common.clock import FakeClock
from common.database import Database
from common.errors import DomainError
from common.guards import Guards
from common.runtime import Service, Workers
from common.testing import Served, published
from gateways import GatewayAccount
from gateways.registry import webhook_sources
from webhook_ingest import routes, use_cases
from webhook_ingest.domain import BODY_BYTES_MAX, Stored, Webhook
from webhook_ingest.gateways.accounts import WebhookSources
from webhook_ingest.use_cases import Receiver, Refusals

PATH = "/api/v1/webhooks/cashfree"

Body = Callable[..., bytes]
Headers = Callable[..., dict[str, str]]
Serve = Callable[[Service], AbstractAsyncContextManager[Served]]
Replica = Callable[..., Awaitable[Served]]


def batching_with(batcher: Batcher[Webhook, Stored], account: GatewayAccount, clock: FakeClock) -> Service:
    """The endpoints over another batcher than the service's own."""
    sources = WebhookSources(webhook_sources([account], Guards.all()), Guards.all())
    receiver = Receiver(batcher, clock, sources, timedelta(days=1), Refusals())
    return Service(http=routes.routes(receiver, {account.gateway: account.id}), workers=[Workers(batchers=(batcher,))])


async def test_a_good_webhook_is_answered_after_the_commit(
    db: Database, ingest: Served, payment_body: Body, signed: Headers
) -> None:
    body = payment_body()
    answers = [await ingest.http.post(PATH, content=body, headers=signed(body)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    first, second = (answer.json() for answer in answers)
    assert first["success"] is True
    assert first["data"]["eventId"] == second["data"]["eventId"]
    assert (first["data"]["duplicate"], second["data"]["duplicate"]) == (False, True)
    [(key, event)] = await published(db)
    assert (key, event.event_id) == ("webhook.cashfree.received", first["data"]["eventId"])  # type: ignore[attr-defined]


async def test_the_same_webhook_twenty_times_at_once(
    db: Database, account: GatewayAccount, replica: Replica, payment_body: Body, signed: Headers
) -> None:
    """Two replicas, each with its own batcher, over one database."""
    replicas = [await replica(account), await replica(account)]
    body = payment_body()
    answers = await asyncio.gather(
        *(replicas[number % 2].http.post(PATH, content=body, headers=signed(body)) for number in range(20))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 20}
    assert Counter(answer.json()["data"]["duplicate"] for answer in answers) == {False: 1, True: 19}
    assert len(await published(db)) == 1


async def test_refusals_say_why_and_store_nothing(
    db: Database,
    ingest: Served,
    payment_body: Body,
    signed: Headers,
    clock: FakeClock,
) -> None:
    body = payment_body()
    good = signed(body)
    for headers, code in (
        (good | {"x-webhook-signature": "x" * 44}, "webhook_signature_invalid"),
        ({"content-type": "application/json"}, "webhook_timestamp_invalid"),
        (good | {"x-webhook-timestamp": "yesterday"}, "webhook_timestamp_invalid"),
        (signed(body, at=clock.now() + timedelta(minutes=6)), "webhook_timestamp_invalid"),
        (signed(body, at=clock.now() - timedelta(hours=25)), "webhook_too_old"),
    ):
        answer = await ingest.http.post(PATH, content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
        assert answer.json()["success"] is False
    assert await published(db) == []
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from webhook_logs")).scalar_one() == 0


async def test_a_flood_of_forgeries_leaves_one_event_and_one_alert(
    db: Database,
    ingest: Served,
    payment_body: Body,
    signed: Headers,
    clock: FakeClock,
) -> None:
    body = payment_body()
    forged = signed(body) | {"x-webhook-signature": "x" * 44}
    await asyncio.gather(*(ingest.http.post(PATH, content=body, headers=forged) for _ in range(50)))
    await ingest.http.post(PATH, content=body, headers=signed(body, at=clock.now() - timedelta(days=2)))
    await ingest.run_job("announce_refusals")
    await ingest.run_job("announce_refusals")
    events = await published(db)
    assert Counter(key for key, _ in events) == {"analytics.webhook.failure": 2, "email.admin.alert": 1}
    assert {event.reason for key, event in events if key.startswith("analytics")} == {"signature_invalid", "too_old"}  # type: ignore[attr-defined]
    [alert] = [event for key, event in events if key == "email.admin.alert"]
    assert alert.fields["count"] == "50"  # type: ignore[attr-defined]


async def test_each_account_has_its_own_path_and_secret(
    db: Database, account: GatewayAccount, replica: Replica, payment_body: Body, signed: Headers
) -> None:
    other = GatewayAccount(id="gwa_other", gateway="cashfree", webhook_secrets=("another-secret",))
    ingest = await replica(other, account)
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
        assert (await ingest.http.post(path, content=body, headers=headers)).status_code == status, path
    accounts = [event.gateway_account_id for _, event in await published(db)]  # type: ignore[attr-defined]
    assert accounts == ["gwa_other", "gwa_cashfree"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"{PATH}/gwa_nobody", "gateway_account_not_found"),
        ("/api/v1/webhooks/razorpay/gwa_cashfree", "gateway_account_not_found"),
        ("/api/v1/webhooks/nobody/gwa_cashfree", "gateway_account_not_found"),
        ("/api/v1/webhooks/nobody", "route_not_found"),
        # Of a gateway at which no account is configured.
        ("/api/v1/webhooks/razorpay", "gateway_account_not_found"),
    ],
)
async def test_a_webhook_of_nobody_is_not_found(
    db: Database,
    ingest: Served,
    clock: FakeClock,
    payment_body: Body,
    signed: Headers,
    path: str,
    code: str,
) -> None:
    body = payment_body()
    answer = await ingest.http.post(path, content=body, headers=signed(body))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)
    await ingest.run_job("announce_refusals")
    # The name in the path is anybody's text: it becomes no label and no event.
    assert {event.gateway for _, event in await published(db)} <= {"unknown"}  # type: ignore[attr-defined]


async def test_bodies_are_bounded_and_odd_ones_are_parked(db: Database, ingest: Served, signed: Headers) -> None:
    large = b"x" * (BODY_BYTES_MAX + 1)
    assert (await ingest.http.post(PATH, content=large, headers=signed(large))).status_code == 413
    for odd in (b"garbage", b"", b"[" * 200_000, json.dumps({"type": "WEBHOOK"}).encode(), b"x" * BODY_BYTES_MAX):
        answer = await ingest.http.post(PATH, content=odd, headers=signed(odd))
        assert (answer.status_code, answer.json()["success"]) == (200, True)
    async with db.begin() as tx:
        rows = await tx.execute("select processing_status, count(*) as n from webhook_logs group by 1")
        assert [tuple(row) for row in rows] == [("PARKED", 5)]
    assert {key for key, _ in await published(db)} == {"email.admin.alert", "analytics.webhook.failure"}


async def test_seventy_of_the_largest_at_once_are_stored(
    db: Database, ingest: Served, payment_body: Body, signed: Headers
) -> None:
    bodies = [payment_body(payment_id=f"pay_{number}") for number in range(70)]
    padded = [body[:-1] + b',"padding":"' + b"x" * (250_000 - len(body)) + b'"}' for body in bodies]
    answers = await asyncio.gather(*(ingest.http.post(PATH, content=body, headers=signed(body)) for body in padded))
    assert Counter(answer.status_code for answer in answers) == {200: 70}
    assert len(await published(db)) == 70


async def test_more_than_can_wait_is_shed_before_it_is_taken(
    db: Database, account: GatewayAccount, clock: FakeClock, serve: Serve, payment_body: Body, signed: Headers
) -> None:
    gate = asyncio.Event()

    async def slow(webhooks: Sequence[Webhook]) -> Sequence[Stored | DomainError]:
        await gate.wait()
        return await use_cases.store_webhooks(db, webhooks)

    batcher = Batcher[Webhook, Stored](slow, name="test", items_max=1, waiting_max=2)
    async with serve(batching_with(batcher, account, clock)) as ingest:
        bodies = [payment_body(str(number)) for number in range(8)]
        pending = [asyncio.create_task(ingest.http.post(PATH, content=body, headers=signed(body))) for body in bodies]
        done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED, timeout=5)
        assert done
        # One is being flushed, two wait, and every other one was answered at once.
        while sum(task.done() for task in pending) < 5:
            await asyncio.sleep(0.01)
        gate.set()
        answers = await asyncio.gather(*pending)
    count = Counter(answer.status_code for answer in answers)
    assert set(count) == {200, 503}
    assert count[503] >= 5
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 503)
    assert len(await published(db)) == count[200]


async def test_a_commit_in_doubt_is_no_success(
    account: GatewayAccount, clock: FakeClock, serve: Serve, payment_body: Body, signed: Headers
) -> None:
    async def doubtful(webhooks: Sequence[Webhook]) -> Sequence[Stored | DomainError]:
        raise OutcomeUnknown

    batcher = Batcher[Webhook, Stored](doubtful, name="test")
    async with serve(batching_with(batcher, account, clock)) as ingest:
        body = payment_body()
        answer = await ingest.http.post(PATH, content=body, headers=signed(body))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "webhook_not_stored")
    assert answer.headers["retry-after"]


async def test_the_allow_list_believes_only_our_proxy(
    db: Database, account: GatewayAccount, replica: Replica, payment_body: Body, signed: Headers
) -> None:
    strict = msgspec.structs.replace(account, webhook_networks=(ipaddress.ip_network("52.66.101.190"),))
    ingest = await replica(strict)
    body = payment_body()
    for forwarded, status in (("52.66.101.190", 200), ("52.66.101.190, 6.6.6.6", 403), ("6.6.6.6", 403)):
        headers = signed(body) | {"x-forwarded-for": forwarded}
        assert (await ingest.http.post(PATH, content=body, headers=headers)).status_code == status
    assert (await ingest.http.post(PATH, content=body, headers=signed(body))).status_code == 403
    assert len(await published(db)) == 1
