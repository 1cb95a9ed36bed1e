import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response

from common import context, logs
from common.errors import KINDS, Conflict, DomainError, ResourceExhausted, Unavailable, Unresolved
from common.http_server import (
    HTTP_STATUS,
    Body,
    Door,
    Route,
    app,
    body,
    caller,
    query,
    raw_body,
    reply,
    route,
    serve_http,
    status_of,
)
from common.tokens import Caller, TokenExpired, TokenInvalid


class Amount(Body):
    minor: int
    currency: str = "INR"


class Order(Body):
    amount: Amount
    note: str = ""
    pack_id: str | None = None
    tags: tuple[str, ...] = ()
    ratio: float = 0.0


class Page(Body):
    limit: int = 10
    done: bool = False


class PackGone(Conflict):
    fix = "Choose another pack."


class Auth:
    async def authenticate(self, token: str) -> Caller:
        if token == "old":
            raise TokenExpired("the token has expired")
        if token not in ("user", "admin"):
            raise TokenInvalid("no")
        return Caller(f"usr_{token}", "mer_1", frozenset({token.upper()}))


async def create(request: Request) -> Response:
    order = await body(request, Order)
    return reply({"minor": order.amount.minor, "who": caller(request).user_id}, 201)


async def listed(request: Request) -> Response:
    page = query(request, Page)
    return reply({"limit": page.limit, "done": page.done})


async def one(request: Request) -> Response:
    return reply({"id": request.path_params["id"], "user": context.current().user_id, "ip": context.current().ip})


async def hook(request: Request) -> Response:
    return reply({"bytes": len(await raw_body(request, 1_000))})


async def fails(request: Request) -> Response:
    raise RuntimeError("secret detail: password=hunter2")


async def refuses(request: Request) -> Response:
    raise {
        "gone": PackGone("this pack is no longer sold", packId="is retired"),
        "busy": ResourceExhausted("slow down"),
        "away": Unavailable(),
        "unknown": Unresolved("not known yet"),
    }[request.path_params["why"]]


async def anybody(request: Request) -> Response:
    return reply({"who": caller(request).user_id})


async def erase(request: Request) -> Response:
    return reply(request.path_params["order"])


def held_by(gate: asyncio.Event) -> Route:
    """A route that answers once *gate* is open."""

    async def held(request: Request) -> Response:
        await gate.wait()
        return reply("done")

    return route("GET", "/held", held, public=True)


ROUTES = [
    route("POST", "/orders", create),
    route("GET", "/orders", listed),
    route("GET", "/orders/{id}", one),
    route("DELETE", "/orders/{order}", erase, roles=("admin", "FINANCE")),
    route("POST", "/hook", hook, public=True),
    route("GET", "/fails", fails, public=True),
    route("GET", "/refuses/{why}", refuses, public=True),
    route("GET", "/anybody", anybody, public=True),
]
USER = {"authorization": "Bearer user"}
JSON = {"content-type": "application/json", **USER}


def client(door: Door | None = None, *more: Route) -> httpx.AsyncClient:
    application = app([*ROUTES, *more], door or Door("wallet", Auth()))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(application, client=("192.0.2.9", 1)), base_url="http://wallet"
    )


async def refusal(response: httpx.Response, status: int, code: str) -> dict:
    """The error of a response, once its shape is checked."""
    document = response.json()
    assert (response.status_code, document["success"], document["error"]["code"]) == (status, False, code), document
    assert document["error"]["requestId"] == response.headers["x-request-id"]
    assert document["error"]["message"]
    return document["error"]


async def test_a_good_request_is_answered():
    response = await client().post("/orders", json={"amount": {"minor": 5}, "packId": "p"}, headers=USER)
    assert (response.status_code, response.json()) == (201, {"success": True, "data": {"minor": 5, "who": "usr_user"}})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


DEEP = '{"amount": ' + "[" * 40 + "]" * 40 + "}"


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", None),
        (b"   ", None),
        (b"{", None),
        (b'{"amount": {"minor": 1}} x', None),
        (b"[]", None),
        (b'"text"', None),
        (b"null", None),
        (b"{'amount': 1}", None),
        (b'{"amount": {"minor": 1},}', None),
        (b"\xef\xbb\xbf{}", None),
        (b'{"amount": {"minor": 1}, "note": "\xff"}', None),
        (b'{"amount": {"minor": 1}, "note": "\\ud800"}', None),
        (b'{"amount": {"minor": NaN}}', None),
        (b'{"amount": {"minor": 1}, "ratio": Infinity}', None),
        (b'{"amount": {"minor": 1}, "ratio": -Infinity}', None),
        (b'{"amount": {"minor": 9007199254740993}}', None),
        (b'{"amount": {"minor": ' + b"9" * 5000 + b"}}", None),
        (b'{"amount": {"minor": 1e400}}', "amount.minor"),
        (DEEP.encode(), None),
        (b"[" * 60_000, None),
        (b'{"a":' * 10_000, None),
        (b"{}", "amount"),
        (b'{"amount": {}}', "amount.minor"),
        (b'{"amount": {"minor": "5"}}', "amount.minor"),
        (b'{"amount": {"minor": 5.0}}', "amount.minor"),
        (b'{"amount": {"minor": 5e2}}', "amount.minor"),
        (b'{"amount": {"minor": true}}', "amount.minor"),
        (b'{"amount": {"minor": null}}', "amount.minor"),
        (b'{"amount": 5}', "amount"),
        (b'{"amount": {"minor": 1}, "extra": 1}', "extra"),
        (b'{"amount": {"minor": 1, "extra": 1}}', "amount.extra"),
        (b'{"amount": {"minor": 1}, "pack_id": "x"}', "pack_id"),
        (b'{"amount": {"minor": 1}, "tags": ["a", 1]}', "tags[1]"),
        (b'{"amount": {"minor": 1}, "amount": {"minor": 2}}', "amount"),
        (b'{"amount": {"minor": 1, "minor": 2}}', "minor"),
    ],
)
async def test_bad_json_is_refused_with_its_field(content: bytes, field: str | None):
    response = await client().post("/orders", content=content, headers=JSON)
    error = await refusal(response, 400, "invalid_request")
    assert list(error.get("fields", {})) == ([field] if field else [])


async def test_brackets_inside_strings_are_not_depth():
    response = await client().post("/orders", json={"amount": {"minor": 1}, "note": '[{\\"' * 50}, headers=USER)
    assert response.status_code == 201


async def test_what_is_shown_back_is_bounded():
    response = await client().post("/orders", json={"x" * 50_000: 1}, headers=USER)
    assert len(response.content) < 1_000


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_other_content_types_are_refused(content_type: str):
    response = await client().post("/orders", content=b"{}", headers=USER | {"content-type": content_type})
    await refusal(response, 415, "unsupported_media_type")


async def test_json_with_parameters_or_a_suffix_is_json():
    for content_type in ("application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"):
        response = await client().post(
            "/orders", content=b'{"amount": {"minor": 1}}', headers=USER | {"content-type": content_type}
        )
        assert response.status_code == 201


async def test_a_declared_body_over_the_limit_is_refused_unread():
    response = await client().post("/orders", content=b" " * 65_537, headers=JSON)
    await refusal(response, 413, "body_too_large")
    assert response.headers["connection"] == "close"


async def test_a_streamed_body_over_the_limit_is_refused_early():
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1_000):
            sent += 100
            yield b"x" * 100

    response = await client().post("/hook", content=endless())
    await refusal(response, 413, "body_too_large")
    assert sent <= 1_200
    assert (await client().post("/hook", content=b"x" * 1_000)).json()["data"] == {"bytes": 1_000}


async def test_a_slow_body_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("common.http_server.bodies.BODY_SECONDS_MAX", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(5)
        yield b"x"

    await refusal(await client().post("/hook", content=slow()), 408, "body_too_slow")


async def test_the_query_is_read_and_refused_alike():
    async with client() as http:
        good = await http.get("/orders?limit=5&done=true", headers=USER)
        assert good.json()["data"] == {"limit": 5, "done": True}
        for text, field in (("limit=1&limit=2", "limit"), ("limit=x", "limit"), ("limit=1.5", "limit"), ("x=1", "x")):
            error = await refusal(await http.get(f"/orders?{text}", headers=USER), 400, "invalid_request")
            assert list(error["fields"]) == [field]
        await refusal(await http.get("/orders?limit=%ff", headers=USER), 400, "invalid_request")
        many = "&".join(f"a{n}=1" for n in range(100))
        await refusal(await http.get(f"/orders?{many}", headers=USER), 400, "invalid_request")


async def test_tokens_are_asked_for_by_name():
    async with client() as http:
        for headers, code in (
            ({}, "token_missing"),
            ({"authorization": "Basic dTpw"}, "token_missing"),
            ({"authorization": "Bearer"}, "token_missing"),
            ({"authorization": "Bearer  "}, "token_missing"),
            ({"authorization": "Bearer wrong"}, "token_invalid"),
            ({"authorization": "Bearer old"}, "token_expired"),
        ):
            response = await http.get("/orders", headers=headers)
            await refusal(response, 401, code)
            assert response.headers["www-authenticate"] == "Bearer"
        assert (await http.get("/orders", headers={"authorization": "bearer user"})).status_code == 200
        await refusal(await http.get("/anybody", headers=USER), 401, "token_missing")


async def test_roles_are_checked():
    async with client() as http:
        await refusal(await http.delete("/orders/1", headers=USER), 403, "role_missing")
        assert (await http.delete("/orders/1", headers={"authorization": "Bearer admin"})).status_code == 200
    with pytest.raises(ValueError):
        route("GET", "/x", one, public=True, roles=("ADMIN",))


async def test_unknown_paths_and_methods_have_the_same_shape():
    async with client() as http:
        await refusal(await http.get("/nowhere"), 404, "route_not_found")
        await refusal(await http.get("/orders/"), 404, "route_not_found")
        for path, allow in (("/orders", "GET, POST"), ("/orders/1", "DELETE, GET")):
            response = await http.patch(path)
            await refusal(response, 405, "method_not_allowed")
            assert response.headers["allow"] == allow
        assert (await http.head("/orders/1", headers=USER)).status_code == 200


async def test_a_bug_says_nothing_and_is_logged():
    stream = io.BytesIO()
    logs.setup("wallet", "test", "INFO", stream=stream)
    try:
        response = await client().get("/fails", headers={"x-request-id": "req-1"})
        logs.flush()
    finally:
        logs.setup("wallet", "test", "CRITICAL", stream=io.BytesIO())
    error = await refusal(response, 500, "internal_error")
    assert "hunter2" not in response.text
    assert error["requestId"] == "req-1"
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["ERROR", "ERROR"]
    assert "RuntimeError" in lines[0]["trace"]
    assert {line["requestId"] for line in lines} == {"req-1"}
    assert lines[1]["route"] == "/fails"


@pytest.mark.parametrize(
    ("why", "status", "code", "retry_after"),
    [
        ("gone", 409, "pack_gone", None),
        ("busy", 429, "resource_exhausted", "1"),
        ("away", 503, "unavailable", "1"),
        ("unknown", 202, "unresolved", "2"),
    ],
)
async def test_refusals_have_the_status_of_their_kind(why: str, status: int, code: str, retry_after: str | None):
    response = await client().get(f"/refuses/{why}")
    error = await refusal(response, status, code)
    assert response.headers.get("retry-after") == retry_after
    assert error.get("fields") == ({"packId": "is retired"} if why == "gone" else None)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_status(kind: type[DomainError]):
    assert status_of(kind()) == HTTP_STATUS[kind]


async def test_request_ids_are_kept_when_well_formed_and_minted_otherwise():
    async with client() as http:
        for sent in ("abc-123", "x" * 128):
            assert (await http.get("/health", headers={"x-request-id": sent})).headers["x-request-id"] == sent
        for sent in ("", "x" * 129, "a b", 'a"b', "<x>", "é"):
            minted = (await http.get("/health", headers=[("x-request-id", sent.encode())])).headers["x-request-id"]
            assert minted != sent
            assert len(minted) == 36


async def test_the_context_is_the_requests_and_ends_with_it():
    forwarded = USER | {"x-forwarded-for": "6.6.6.6, 203.0.113.7"}
    response = await client().get("/orders/7", headers=forwarded)
    assert response.json()["data"] == {"id": "7", "user": "usr_user", "ip": "203.0.113.7"}
    nonsense = await client().get("/orders/7", headers=USER | {"x-forwarded-for": "1.1.1.1, <script>"})
    assert nonsense.json()["data"]["ip"] == "192.0.2.9"
    assert (await client().get("/orders/7", headers=USER)).json()["data"]["ip"] == "192.0.2.9"
    assert context.current() == context.EMPTY


async def test_health_pages_tell_what_the_checks_say():
    async def well() -> dict[str, object]:
        return {"lag": 0}

    async def ill() -> dict[str, object]:
        raise ConnectionError("postgresql://user:hunter2@h/d")

    async def stuck() -> dict[str, object]:
        await asyncio.sleep(60)
        return {}

    checks = {"database": well, "redis": ill, "queues": well}
    async with client(Door("wallet", Auth(), checks)) as http:
        assert (await http.get("/health")).json()["data"] == {"status": "up", "service": "wallet"}
        ready = await http.get("/health/ready")
        assert ready.status_code == 200
        assert ready.json()["data"]["checks"]["redis"] == {"status": "down", "problem": "ConnectionError"}
        assert (await http.get("/health/database")).json()["data"] == {"status": "up", "lag": 0}
        await refusal(await http.get("/health/redis"), 503, "unhealthy")

        checks["queues"] = stuck
        started = asyncio.get_running_loop().time()
        error = await refusal(await http.get("/health/ready"), 503, "unhealthy")
        assert error["fields"] == {"queues": "TimeoutError"}
        assert asyncio.get_running_loop().time() - started < 2
        checks["database"] = ill
        response = await http.get("/health/database")
        await refusal(response, 503, "unhealthy")
        assert "hunter2" not in response.text
        assert (await http.get("/health")).status_code == 200
    assert (await client().get("/health/queues")).json()["data"]["status"] == "absent"


async def test_metrics_name_the_template_and_never_the_path():
    async with client() as http:
        await http.get("/orders/a-very-special-id", headers=USER)
        await http.get("/a-very-special-path")
        await http.request("ODD", "/a-very-special-path")
        text = (await http.get("/metrics")).text
        assert 'http_requests_total{method="GET",route="/orders/{id}",status="200"}' in text
        assert 'http_requests_total{method="GET",route="unmatched",status="404"}' in text
        assert "very-special" not in text
        assert "ODD" not in text
    off = client(Door("wallet", Auth(), metrics=False))
    await refusal(await off.get("/metrics"), 404, "route_not_found")


async def test_too_many_requests_at_once_are_told_to_wait_and_probes_are_not():
    gate = asyncio.Event()
    async with client(Door("wallet", Auth(), in_flight_max=3), held_by(gate)) as http:
        waiting = [asyncio.create_task(http.get("/held")) for _ in range(3)]
        await asyncio.sleep(0.05)
        response = await http.get("/anybody")
        await refusal(response, 503, "overloaded")
        assert response.headers["retry-after"] == "1"
        assert (await http.get("/health")).status_code == 200
        gate.set()
        assert [(await task).status_code for task in waiting] == [200] * 3
        assert (await http.get("/orders", headers=USER)).status_code == 200


def test_a_type_that_lets_unknown_fields_pass_is_a_bug():
    class Open(msgspec.Struct):
        x: int

    class Holds(Body):
        inner: dict[str, list[Open | None]]

    from common.http_server.bodies import _decoder

    for struct in (Open, Holds):
        with pytest.raises(TypeError, match="Open"):
            _decoder(struct)


def test_a_route_is_given_once():
    with pytest.raises(ValueError, match="twice"):
        app([route("GET", "/x", one), route("GET", "/x", one)], Door("wallet"))


async def test_the_server_serves_and_stops_gracefully():
    gate = asyncio.Event()
    server = await serve_http(app([held_by(gate)], Door("wallet")), 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        response = await http.get("/health")
        assert response.status_code == 200
        assert "server" not in response.headers
        held_request = asyncio.create_task(http.get("/held"))
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(server.stop(5))
        await asyncio.sleep(0.3)
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient() as other:
                await other.get(f"http://127.0.0.1:{server.port}/health")
        gate.set()
        assert (await held_request).json() == {"success": True, "data": "done"}
        await asyncio.wait_for(stopping, 5)


async def test_a_request_that_outlives_the_grace_period_is_told_so():
    server = await serve_http(app([held_by(asyncio.Event())], Door("wallet")), 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        stuck = asyncio.create_task(http.get("/held"))
        await asyncio.sleep(0.1)
        await asyncio.wait_for(server.stop(1), 4)
        await refusal(await stuck, 503, "stopping")


async def test_an_oversized_chunked_body_ends_the_connection():
    server = await serve_http(app([route("POST", "/hook", hook, public=True)], Door("wallet")), 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001 + b"\r\n")
    answer = await asyncio.wait_for(reader.read(), 2)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"body_too_large" in answer
    writer.close()
    await server.stop(1)


async def test_a_taken_port_is_an_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError):
            await serve_http(app([], Door("wallet")), taken.getsockname()[1])
