"""Requests with API keys through the whole HTTP layer; identity's and Redis's answers are in the test's hands."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from common import api_keys, api_versions
from common.api_keys import ApiKeys
from common.http_server import Body, Call, Route, ServerConfig, app
from common.http_server.key_requests import KeyGate
from common.permissions import TABLE
from common.rate_limits import Allowance, Quota
from common.request_log import LoggedRequest
from common.tokens import Caller, TokenInvalid

from .test_api_keys import Identity

SECRET = api_keys.generate("secret", "live")
TEST_SECRET = api_keys.generate("secret", "test")
PUBLISHABLE = api_keys.generate("publishable", "live")
QUOTAS = {"live": Quota(6_000, 1_000), "test": Quota(600, 100)}
JWT = "eyJhbGciOiJFZERTQSJ9.e30.x"


class Order(Body):
    amount: int
    email: str = ""


class Users:
    async def authenticate(self, token: str) -> Caller:
        if token != JWT:
            raise TokenInvalid("no")
        return Caller("usr_1", "mer_1", permissions=frozenset({"payments.create"}))


class Limiter:
    """Lets in until *allowance* says otherwise."""

    def __init__(self) -> None:
        self.allowance = Allowance(1_000, 999, 1, 0)
        self.taken: list[tuple[str, Quota]] = []

    async def take(self, holder: str, quota: Quota) -> Allowance:
        self.taken.append((holder, quota))
        return self.allowance


class Log:
    def __init__(self) -> None:
        self.entries: list[tuple[LoggedRequest, object]] = []

    def add(self, entry: LoggedRequest, body: object) -> None:
        self.entries.append((entry, body))


async def create(call: Call[Order]) -> str:
    caller = call.caller
    return f"{caller.merchant_id}/{caller.user_id}/{caller.api_key_id}"


async def look(call: Call) -> str:
    return call.context.merchant_id


ROUTES: list[Route] = [
    Route("POST", "/payments", create, body=Order, answer=str, status=201, permission="payments.create"),
    Route("GET", "/payments/{paymentId}", look, answer=str, permission="payments.read"),
    Route("GET", "/users", look, answer=str, permission="users.manage"),
    Route("GET", "/open", look, answer=str, public=True),
]


@pytest.fixture
def identity() -> Identity:
    each = Identity()
    each.add(SECRET, "apk_1", api_version=api_versions.LATEST)
    return each


@pytest.fixture
def limiter() -> Limiter:
    return Limiter()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def http(identity: Identity, limiter: Limiter, log: Log) -> AsyncIterator[httpx.AsyncClient]:
    stub: Any = identity
    gate = KeyGate(ApiKeys(stub), limiter, QUOTAS, log)  # type: ignore[arg-type]
    config = ServerConfig("payment", Users(), keys=gate)
    transport = httpx.ASGITransport(app(ROUTES, config), client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def test_the_three_ways_to_send_a_key(http: httpx.AsyncClient) -> None:
    ways: list[dict[str, Any]] = [
        {"headers": bearer(SECRET)},
        {"headers": {"x-api-key": SECRET}},
        {"auth": (SECRET, "")},
        {"auth": ("apk_1", SECRET)},
    ]
    for way in ways:
        response = await http.post("/payments", json={"amount": 1}, **way)
        assert (response.status_code, response.json()["data"]) == (201, "mer_1//apk_1")


async def test_access_tokens_work_as_before(http: httpx.AsyncClient, limiter: Limiter, log: Log) -> None:
    response = await http.post("/payments", json={"amount": 1}, headers=bearer(JWT))
    assert (response.status_code, response.json()["data"]) == (201, "mer_1/usr_1/")
    assert (limiter.taken, log.entries) == ([], [])
    assert not any(name.startswith(("ratelimit", "commdesk")) for name in response.headers)
    for headers in ({}, bearer("nonsense"), {"authorization": "Digest x"}):
        assert (await http.post("/payments", json={"amount": 1}, headers=headers)).status_code == 401


async def test_both_credentials_are_refused(http: httpx.AsyncClient) -> None:
    response = await http.post("/payments", json={"amount": 1}, headers={**bearer(JWT), "x-api-key": SECRET})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "credentials_ambiguous")


async def test_an_unknown_key_is_401_and_identity_away_is_503(http: httpx.AsyncClient, identity: Identity) -> None:
    response = await http.get("/payments/1", headers=bearer(TEST_SECRET))
    assert (response.status_code, response.json()["error"]["code"]) == (401, "api_key_invalid")
    assert response.headers["www-authenticate"] == "Bearer"
    identity.away = True
    response = await http.get("/payments/1", headers=bearer(api_keys.generate("secret", "live")))
    assert (response.status_code, response.json()["error"]["code"]) == (503, "callee_unavailable")
    assert response.headers["retry-after"]


async def test_public_routes_ask_nobody(http: httpx.AsyncClient, identity: Identity) -> None:
    assert (await http.get("/open", headers=bearer(TEST_SECRET))).status_code == 200
    assert identity.calls == []


async def test_a_key_may_what_its_kind_and_its_restriction_say(http: httpx.AsyncClient, identity: Identity) -> None:
    reader = api_keys.generate("secret", "live")
    identity.add(reader, "apk_2", is_restricted=True, permissions=["payments.read", "users.manage"])
    assert (await http.get("/payments/1", headers=bearer(reader))).status_code == 200
    for path, method, key in (("/payments", "POST", reader), ("/users", "GET", reader), ("/users", "GET", SECRET)):
        body = {"amount": 1} if method == "POST" else None
        response = await http.request(method, path, headers=bearer(key), json=body)
        assert (response.status_code, response.json()["error"]["code"]) == (403, "role_missing")
    nothing = api_keys.generate("secret", "live")
    identity.add(nothing, "apk_3", is_restricted=True)
    assert (await http.get("/payments/1", headers=bearer(nothing))).status_code == 403


async def test_a_publishable_key_does_what_its_kind_may_from_its_pages(
    http: httpx.AsyncClient, identity: Identity
) -> None:
    identity.add(PUBLISHABLE, "apk_4", origins=["https://shop.example.com"])
    response = await http.get("/payments/1", headers=bearer(PUBLISHABLE))
    assert response.json()["error"]["code"] == "api_key_origin_not_allowed"
    response = await http.get("/payments/1", headers={**bearer(PUBLISHABLE), "origin": "https://shop.example.com"})
    assert response.json()["error"]["code"] == "role_missing"
    assert not {"payments.create", "payments.read", "refunds.create"} & TABLE.of_key_kind("publishable")


async def test_the_clients_true_address_counts(http: httpx.AsyncClient, identity: Identity) -> None:
    bound = api_keys.generate("secret", "live")
    identity.add(bound, "apk_5", networks=["198.51.100.0/24"])
    forged = {**bearer(bound), "x-forwarded-for": "198.51.100.1, 203.0.113.9"}
    response = await http.get("/payments/1", headers=forged)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "api_key_network_not_allowed")
    genuine = {**bearer(bound), "x-forwarded-for": "203.0.113.9, 198.51.100.1"}
    assert (await http.get("/payments/1", headers=genuine)).status_code == 200


async def test_a_key_is_told_its_quota_and_held_to_it(http: httpx.AsyncClient, limiter: Limiter) -> None:
    response = await http.get("/payments/1", headers=bearer(SECRET))
    shown = {name: response.headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset")}
    assert shown == {"limit": "1000", "remaining": "999", "reset": "1"}
    limiter.allowance = Allowance(1_000, 0, 10, 3)
    response = await http.get("/payments/1", headers=bearer(SECRET))
    assert (response.status_code, response.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (response.headers["retry-after"], response.headers["ratelimit-remaining"]) == ("3", "0")
    assert limiter.taken == [("apk_1", QUOTAS["live"])] * 2


async def test_environments_have_quotas_of_their_own(
    http: httpx.AsyncClient, identity: Identity, limiter: Limiter
) -> None:
    identity.add(TEST_SECRET, "apk_6")
    await http.get("/payments/1", headers=bearer(TEST_SECRET))
    assert limiter.taken == [("apk_6", QUOTAS["test"])]


async def test_the_version_is_the_keys_or_the_requests_and_is_echoed(http: httpx.AsyncClient) -> None:
    response = await http.get("/payments/1", headers=bearer(SECRET))
    assert response.headers["commdesk-version"] == api_versions.LATEST
    response = await http.get("/payments/1", headers={**bearer(SECRET), "commdesk-version": api_versions.LATEST})
    assert response.headers["commdesk-version"] == api_versions.LATEST
    for wrong in ("2020-01-01", "latest", "v1"):
        response = await http.get("/payments/1", headers={**bearer(SECRET), "commdesk-version": wrong})
        assert (response.status_code, response.json()["error"]["code"]) == (400, "api_version_unknown")
        assert response.headers["commdesk-version"] == api_versions.LATEST


async def test_each_request_of_a_merchants_key_is_in_its_log(http: httpx.AsyncClient, log: Log) -> None:
    named = {**bearer(SECRET), "x-request-id": "r-1"}
    await http.post("/payments", json={"amount": 1, "email": "a@example.com"}, headers=named)
    await http.get("/users", headers=bearer(SECRET))
    await http.post("/payments", content=b"{", headers={**bearer(SECRET), "content-type": "application/json"})
    await http.get("/payments/1", headers=bearer(TEST_SECRET))
    shown = [(entry.method, entry.path, entry.status, entry.error_code) for entry, _ in log.entries]
    assert shown == [
        ("POST", "/payments", 201, ""),
        ("GET", "/users", 403, "role_missing"),
        ("POST", "/payments", 400, "request_invalid"),
    ]
    first, body = log.entries[0]
    assert (first.merchant_id, first.api_key_id, first.request_id) == ("mer_1", "apk_1", "r-1")
    assert first.duration_micros > 0
    assert body == Order(1, "a@example.com")
    assert [each for _, each in log.entries[1:]] == [None, None]


@pytest.mark.parametrize("name", ["x-api-key", "commdesk-version", "origin"])
async def test_a_header_that_is_read_comes_once(http: httpx.AsyncClient, name: str) -> None:
    lines = [(name, "a"), (name, "b")]
    response = await http.get("/payments/1", headers=lines)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "request_invalid")


def test_publishable_keys_may_next_to_nothing() -> None:
    """Everybody sees them: they begin a checkout and read what its page shows."""
    assert TABLE.of_key_kind("publishable") <= {"checkout_sessions.create", "payments.read_public"}
