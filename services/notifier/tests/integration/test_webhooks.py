"""Webhooks from the event to a merchant's server: the service's own value, real PostgreSQL, a real HTTP server."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from hashlib import sha256
from typing import Any

import grpc
import httpx
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from commdesk.common.v1.common_pb2 import Error, Money
from commdesk.identity.v1 import identity_pb2, identity_pb2_grpc
from commdesk.payment.v1 import events_pb2 as pb
from commdesk.payment.v1.payment_pb2 import PAYMENT_STATUS_SUCCESS, Payment
from common import ids
from common.clock import FakeClock
from common.events import micros
from common.runtime import Resources, Service
from common.settings import read
from common.testing import Served, free_port, published
from notifier import consumers
from notifier.__main__ import service
from notifier.domain.webhook_endpoints import DISABLED_AFTER, ENDPOINTS_MAX
from notifier.settings import Settings

ENDPOINTS, WEBHOOKS = "/api/v1/webhook-endpoints", "/api/v1/webhooks"


class Request(msgspec.Struct):
    """What the merchant's server got."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """A merchant's server. *statuses* are its next answers, 200 once they are used up; *hang* is how long it thinks."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.statuses: list[int] = []
        self.hang = 0.0
        self.at_once, self.at_once_max = 0, 0
        self.port = free_port()

    async def answer(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            body = await request.read()
            self.requests.append(Request(request.path, dict(request.headers), body))
            await asyncio.sleep(self.hang)
        finally:
            self.at_once -= 1
        status = self.statuses.pop(0) if self.statuses else 200
        headers = {"Location": "http://169.254.169.254/"} if 300 <= status < 400 else {}
        return web.Response(status=status, text="x" * 5_000, headers=headers)

    def url(self, path: str = "/hooks") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def bodies(self) -> list[Any]:
        return [json.loads(request.body) for request in self.requests]


class Merchant:
    """Calls notifier's API for one merchant, and delivers events to its queue."""

    def __init__(self, served: Served, token: Callable[..., str], clock: FakeClock) -> None:
        self.served, self.clock, self._token = served, clock, token

    async def call(
        self, method: str, path: str, *, merchant_id: str = "mer_shop", role: str = "ADMIN", **rest: Any
    ) -> httpx.Response:
        token = self._token("usr_dev", merchant_id=merchant_id, roles=(role,))
        return await self.served.http.request(method, path, headers={"authorization": f"Bearer {token}"}, **rest)

    async def endpoint(self, url: str, merchant_id: str = "mer_shop", **fields: Any) -> dict[str, Any]:
        response = await self.call("POST", ENDPOINTS, merchant_id=merchant_id, json={"url": url, **fields})
        assert response.status_code == 201, response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    async def succeed(self, merchant_id: str = "mer_shop", payment_id: str = "", seq: int = 3) -> pb.PaymentSucceeded:
        event = pb.PaymentSucceeded(
            event_id=ids.encode("evt", ids.new()),
            time_unix_micros=micros(self.clock.now()),
            payment=Payment(
                payment_id=payment_id or ids.encode("pay", ids.new()),
                merchant_id=merchant_id,
                user_id="usr_1",
                order_id="ord_1",
                gateway="cashfree",
                status=PAYMENT_STATUS_SUCCESS,
                amount=Money(minor=50_000, currency="INR"),
                seq=seq,
            ),
        )
        await self.served.handle(consumers.WEBHOOKS, [event])
        return event

    async def send(self) -> None:
        await self.served.execute_intents()

    async def webhooks(self, **query: Any) -> list[dict[str, Any]]:
        response = await self.call("GET", WEBHOOKS, params=query)
        items: list[dict[str, Any]] = response.json()["data"]["items"]
        return items


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/{tail:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    await runner.cleanup()


class Identity(identity_pb2_grpc.IdentityServiceServicer):
    """Says that everybody still may, until a test takes the right away."""

    refuses = False

    async def Authorize(self, request: identity_pb2.AuthorizeRequest, context: Any) -> identity_pb2.AuthorizeResponse:
        refused = Error(code="rights_outdated", kind="PermissionDenied", message="no more")
        result = identity_pb2.AuthorizeResult(error=refused if self.refuses else None)
        return identity_pb2.AuthorizeResponse(results=[result] * len(request.acts))


@pytest_asyncio.fixture
async def identity(service_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Identity]:
    """Identity, on a port of its own."""
    servicer, server = Identity(), grpc.aio.server()
    identity_pb2_grpc.add_IdentityServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    monkeypatch.setenv("IDENTITY_ADDRESS", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    await server.start()
    yield servicer
    await server.stop(0)


@pytest.fixture
def environment() -> dict[str, str]:
    return {"WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8", "WEBHOOK_TIMEOUT_SECONDS": "0.5"}


@pytest_asyncio.fixture
async def merchant(
    serve: Callable[[Service], AbstractAsyncContextManager[Served]],
    resources: Resources,
    access_token: Callable[..., str],
    environment: dict[str, str],
    identity: Identity,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Merchant]:
    for name, setting in environment.items():
        monkeypatch.setenv(name, setting)
    assert isinstance(resources.clock, FakeClock)
    async with service(read(Settings), resources) as value, serve(value) as served:
        yield Merchant(served, access_token, resources.clock)


async def test_an_event_is_delivered_signed(merchant: Merchant, receiver: Receiver) -> None:
    endpoint = await merchant.endpoint(receiver.url(), events=["payment.*"], headers={"X-Shop": "1"})
    event = await merchant.succeed()
    await merchant.send()
    [request] = receiver.requests
    body = json.loads(request.body)
    assert (body["event"], body["id"]) == ("payment.success", event.event_id)
    assert body["data"]["payment"]["amount"] == 50_000
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert (headers["x-shop"], headers["webhook-id"]) == ("1", event.event_id)
    secret = endpoint["secret"]
    assert headers["x-webhook-signature"] == hmac.new(secret.encode(), request.body, sha256).hexdigest()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    [webhook] = await merchant.webhooks()
    assert (webhook["status"], webhook["attempts"]) == ("SUCCESS", 1)


async def test_an_event_is_delivered_once_however_often_it_comes(merchant: Merchant, receiver: Receiver) -> None:
    await merchant.endpoint(receiver.url())
    event = await merchant.succeed()
    await merchant.served.handle(consumers.WEBHOOKS, [event])
    await merchant.send()
    assert len(receiver.requests) == 1


async def test_a_merchant_hears_of_its_own_events_only(merchant: Merchant, receiver: Receiver) -> None:
    endpoint = await merchant.endpoint(receiver.url("/one"), "mer_one")
    await merchant.endpoint(receiver.url("/two"), "mer_two")
    await merchant.succeed("mer_one")
    await merchant.succeed("mer_other")
    await merchant.send()
    assert [request.path for request in receiver.requests] == ["/one"]
    for method, path in (
        ("GET", f"{ENDPOINTS}/{endpoint['id']}"),
        ("DELETE", f"{ENDPOINTS}/{endpoint['id']}"),
        ("POST", f"{ENDPOINTS}/{endpoint['id']}/test"),
    ):
        assert (await merchant.call(method, path, merchant_id="mer_two")).status_code == 404, path
    [webhook] = (await merchant.call("GET", WEBHOOKS, merchant_id="mer_one")).json()["data"]["items"]
    assert (await merchant.call("GET", f"{WEBHOOKS}/{webhook['id']}", merchant_id="mer_two")).status_code == 404
    retried = await merchant.call("POST", f"{WEBHOOKS}/{webhook['id']}/retry", merchant_id="mer_two")
    assert retried.status_code == 404


async def test_what_fails_is_sent_again_the_same_bytes_until_it_failed_five_times(
    merchant: Merchant, receiver: Receiver
) -> None:
    await merchant.endpoint(receiver.url())
    receiver.statuses = [500, 404, 302, 503, 500]
    await merchant.succeed()
    for pause in (0, 70, 340, 2_000, 8_000):
        merchant.clock.advance(timedelta(seconds=pause).total_seconds())
        await merchant.send()
    merchant.clock.advance(timedelta(days=1).total_seconds())
    await merchant.send()
    assert len(receiver.requests) == 5
    assert len({request.body for request in receiver.requests}) == 1
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    [webhook] = await merchant.webhooks()
    assert (webhook["status"], webhook["attempts"]) == ("FAILED", 5)
    detail = (await merchant.call("GET", f"{WEBHOOKS}/{webhook['id']}")).json()["data"]
    assert [(each["statusCode"], each["error"]) for each in detail["log"]] == [
        *((500, "http"), (404, "http"), (302, "redirect"), (503, "http"), (500, "http"))
    ]
    assert len(detail["log"][0]["response"]) == 1_024
    # Somebody repaired the server and asks for it.
    assert (await merchant.call("POST", f"{WEBHOOKS}/{webhook['id']}/retry")).status_code == 202
    await merchant.send()
    [webhook] = await merchant.webhooks()
    assert (webhook["status"], webhook["attempts"]) == ("SUCCESS", 6)


async def test_a_retry_by_hand_begins_no_new_schedule(merchant: Merchant, receiver: Receiver) -> None:
    await merchant.endpoint(receiver.url())
    receiver.statuses = [500] * 9
    await merchant.succeed()
    for pause in (0, 70, 340, 2_000, 8_000):
        merchant.clock.advance(timedelta(seconds=pause).total_seconds())
        await merchant.send()
    [webhook] = await merchant.webhooks(status="FAILED")
    since = webhook["createdAt"]
    assert (await merchant.call("POST", f"{WEBHOOKS}/resend", json={"since": since})).json()["data"] == {"resent": 1}
    await merchant.send()
    merchant.clock.advance(timedelta(days=1).total_seconds())
    await merchant.send()
    assert len(receiver.requests) == 6
    assert [each["status"] for each in await merchant.webhooks()] == ["FAILED"]


async def test_a_server_that_thinks_too_long_has_not_answered(merchant: Merchant, receiver: Receiver) -> None:
    await merchant.endpoint(receiver.url())
    receiver.hang = 2
    await merchant.succeed()
    await merchant.send()
    [webhook] = await merchant.webhooks()
    assert (webhook["status"], webhook["attempts"]) == ("PENDING", 1)
    detail = (await merchant.call("GET", f"{WEBHOOKS}/{webhook['id']}")).json()["data"]
    assert [each["error"] for each in detail["log"]] == ["timeout"]


async def test_what_is_about_one_payment_keeps_its_order(merchant: Merchant, receiver: Receiver) -> None:
    await merchant.endpoint(receiver.url())
    receiver.statuses = [500]
    payment_id = ids.encode("pay", ids.new())
    await merchant.succeed(payment_id=payment_id, seq=1)
    await merchant.send()
    await merchant.succeed(payment_id=payment_id, seq=2)
    await merchant.succeed()
    await merchant.send()
    # The other payment's went out; the second of this one waits for the first.
    assert len(receiver.requests) == 2
    merchant.clock.advance(timedelta(minutes=2).total_seconds())
    await merchant.send()
    sequences = [
        body["data"]["payment"]["sequence"] for body in receiver.bodies() if body["data"]["payment"]["id"] == payment_id
    ]
    assert sequences == [1, 1, 2]


async def test_one_endpoint_never_takes_all_places(merchant: Merchant, receiver: Receiver) -> None:
    await merchant.endpoint(receiver.url("/slow"))
    await merchant.endpoint(receiver.url("/other"), "mer_other")
    receiver.hang = 0.2
    for _ in range(40):
        await merchant.succeed()
    await merchant.succeed("mer_other")
    await merchant.send()
    assert receiver.at_once_max <= 17
    assert len(receiver.requests) == 41
    assert "/other" in [request.path for request in receiver.requests[:17]]


async def test_one_merchant_never_takes_all_places(merchant: Merchant, receiver: Receiver) -> None:
    for number in range(8):
        await merchant.endpoint(receiver.url(f"/slow-{number}"))
    receiver.hang = 0.2
    for _ in range(20):
        await merchant.succeed()
    await merchant.endpoint(receiver.url("/other"), "mer_other")
    await merchant.succeed("mer_other")
    worker = asyncio.create_task(merchant.send())
    await asyncio.sleep(0.1)
    await merchant.send()
    await worker
    assert receiver.at_once_max <= 49
    assert "/other" in [request.path for request in receiver.requests[:60]]
    assert len(receiver.requests) == 161


async def test_a_lease_that_nobody_reports_on_is_a_retry(merchant: Merchant, receiver: Receiver) -> None:
    await merchant.endpoint(receiver.url())
    await merchant.succeed()
    [worker] = [each for each in merchant.served.service.intents() if each.kind == "webhook"]
    # A worker that took it and died.
    assert len(await worker._lease_all()) == 1  # type: ignore[attr-defined]
    await merchant.send()
    assert receiver.requests == []
    merchant.clock.advance(timedelta(seconds=31).total_seconds())
    await merchant.send()
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("environment", [{"WEBHOOK_TIMEOUT_SECONDS": "0.5"}])
async def test_an_address_of_ours_is_never_called(merchant: Merchant, receiver: Receiver) -> None:
    await merchant.endpoint(receiver.url())
    await merchant.endpoint(f"http://localhost:{receiver.port}/hooks")
    await merchant.succeed()
    await merchant.send()
    assert receiver.requests == []
    for webhook in await merchant.webhooks():
        detail = (await merchant.call("GET", f"{WEBHOOKS}/{webhook['id']}")).json()["data"]
        assert [each["error"] for each in detail["log"]] == ["forbidden_address"]


async def test_a_receiver_that_wants_nothing_more_gets_nothing_more(merchant: Merchant, receiver: Receiver) -> None:
    endpoint = await merchant.endpoint(receiver.url())
    receiver.statuses = [410]
    await merchant.succeed()
    await merchant.send()
    await merchant.succeed()
    await merchant.send()
    assert len(receiver.requests) == 1
    shown = (await merchant.call("GET", f"{ENDPOINTS}/{endpoint['id']}")).json()["data"]
    assert (shown["status"], shown["disabledReason"]) == ("DISABLED", "gone")
    [(_, alert)] = await published(merchant.served.resources.db, "email.admin.alert")
    assert alert.cause == "webhook_endpoint_disabled"  # type: ignore[attr-defined]


async def test_an_endpoint_that_fails_for_days_is_given_up_and_can_be_enabled(
    merchant: Merchant, receiver: Receiver
) -> None:
    endpoint = await merchant.endpoint(receiver.url())
    receiver.statuses = [500, 500]
    await merchant.succeed()
    await merchant.send()
    merchant.clock.advance(DISABLED_AFTER.total_seconds())
    await merchant.send()
    path = f"{ENDPOINTS}/{endpoint['id']}"
    assert (await merchant.call("GET", path)).json()["data"]["disabledReason"] == "failing"
    assert (await merchant.call("PATCH", path, json={"enabled": True})).json()["data"]["status"] == "ENABLED"
    merchant.clock.advance(timedelta(hours=1).total_seconds())
    await merchant.send()
    assert [each["status"] for each in await merchant.webhooks()] == ["SUCCESS"]


async def test_a_rotated_secret_signs_beside_the_new_one(merchant: Merchant, receiver: Receiver) -> None:
    endpoint = await merchant.endpoint(receiver.url())
    rotated = await merchant.call("POST", f"{ENDPOINTS}/{endpoint['id']}/rotate", json={"overlapHours": 1})
    assert rotated.json()["data"]["secret"] != endpoint["secret"]
    await merchant.succeed()
    await merchant.send()
    merchant.clock.advance(timedelta(hours=1).total_seconds())
    await merchant.succeed()
    await merchant.send()
    assert [len(request.headers["webhook-signature"].split(" ")) for request in receiver.requests] == [2, 1]
    assert "secret" not in (await merchant.call("GET", f"{ENDPOINTS}/{endpoint['id']}")).json()["data"]


async def test_a_test_event_reaches_an_endpoint_that_wants_others(merchant: Merchant, receiver: Receiver) -> None:
    endpoint = await merchant.endpoint(receiver.url(), events=["refund.*"])
    assert (await merchant.call("POST", f"{ENDPOINTS}/{endpoint['id']}/test")).status_code == 202
    await merchant.send()
    assert [body["event"] for body in receiver.bodies()] == ["webhook.test"]


async def test_a_deleted_endpoint_gets_nothing_and_its_log_stays(merchant: Merchant, receiver: Receiver) -> None:
    endpoint = await merchant.endpoint(receiver.url())
    await merchant.succeed()
    assert (await merchant.call("DELETE", f"{ENDPOINTS}/{endpoint['id']}")).status_code == 200
    await merchant.send()
    assert receiver.requests == []
    assert [each["status"] for each in await merchant.webhooks()] == ["CANCELLED"]
    assert (await merchant.call("GET", ENDPOINTS)).json()["data"]["items"] == []


async def test_endpoints_are_bounded_even_when_they_are_made_at_once(merchant: Merchant, receiver: Receiver) -> None:
    responses = await asyncio.gather(
        *(merchant.call("POST", ENDPOINTS, json={"url": receiver.url()}) for _ in range(ENDPOINTS_MAX + 4))
    )
    assert sorted(response.status_code for response in responses) == [201] * ENDPOINTS_MAX + [429] * 4


async def test_events_can_be_pulled_with_the_bytes_that_were_sent(merchant: Merchant, receiver: Receiver) -> None:
    await merchant.endpoint(receiver.url())
    for _ in range(3):
        await merchant.succeed()
    await merchant.send()
    first = (await merchant.call("GET", "/api/v1/events", params={"limit": 2})).json()["data"]
    rest = (await merchant.call("GET", "/api/v1/events", params={"cursor": first["nextCursor"]})).json()["data"]
    pulled = [each["payload"] for each in first["items"] + rest["items"]]
    assert sorted(pulled, key=str) == sorted(receiver.bodies(), key=str)


async def test_old_events_go_and_what_is_still_to_be_sent_stays(merchant: Merchant, receiver: Receiver) -> None:
    await merchant.endpoint(receiver.url())
    await merchant.succeed()
    await merchant.send()
    receiver.statuses = [500]
    await merchant.succeed()
    await merchant.send()
    merchant.clock.advance(timedelta(days=31).total_seconds())
    [worker] = [each for each in merchant.served.service.intents() if each.kind == "webhook"]
    await worker.forget(timedelta(days=1))
    assert [each["status"] for each in await merchant.webhooks()] == ["PENDING"]


async def test_who_has_lost_the_right_changes_nothing(
    merchant: Merchant, receiver: Receiver, identity: Identity
) -> None:
    endpoint = await merchant.endpoint(receiver.url())
    await merchant.succeed()
    await merchant.send()
    [webhook] = await merchant.webhooks()
    identity.refuses = True
    path = f"{ENDPOINTS}/{endpoint['id']}"
    for method, target, body in (
        ("POST", ENDPOINTS, {"url": receiver.url()}),
        ("PATCH", path, {"url": receiver.url("/other")}),
        ("POST", f"{path}/rotate", {}),
        ("POST", f"{path}/test", None),
        ("DELETE", path, None),
        ("POST", f"{WEBHOOKS}/{webhook['id']}/retry", None),
        ("POST", f"{WEBHOOKS}/resend", {"since": webhook["createdAt"]}),
    ):
        response = await merchant.call(method, target, json=body)
        assert (response.status_code, response.json()["error"]["code"]) == (403, "rights_outdated"), target
    await merchant.send()
    assert len(receiver.requests) == 1
    assert (await merchant.call("GET", path)).json()["data"]["url"] == receiver.url()


async def test_a_member_without_the_permission_sees_nothing(merchant: Merchant) -> None:
    assert (await merchant.call("GET", ENDPOINTS, role="USER")).status_code == 403
    assert (
        await merchant.call("POST", ENDPOINTS, role="SUPPORT", json={"url": "https://x.example"})
    ).status_code == 403
