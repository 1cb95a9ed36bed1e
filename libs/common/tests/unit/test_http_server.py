import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from common import context, logs
from common.errors import KINDS, Conflict, DomainError, ResourceExhausted, Unavailable, Unresolved
from common.http_server import (
    HTTP_STATUS,
    Body,
    Call,
    Encoded,
    Query,
    Route,
    ServerConfig,
    app,
    serve_http,
    status_of,
)
from common.http_server.requests import json_reader
from common.pages import Page, PageQuery
from common.permissions import TABLE
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


class OrdersQuery(Query):
    limit: int = 10
    done: bool = False


class Made(msgspec.Struct):
    minor: int
    who: str


class Read(msgspec.Struct):
    id: str
    user: str
    ip: str


class PackGone(Conflict):
    fix = "Choose another pack."


class Auth:
    async def authenticate(self, token: str) -> Caller:
        if token == "old":
            raise TokenExpired("the token has expired")
        if token not in ("user", "admin"):
            raise TokenInvalid("no")
        roles = frozenset({token.upper()})
        return Caller(f"usr_{token}", "mer_1", roles, permissions=TABLE.of_platform_roles(roles))


async def create(call: Call[Order]) -> Made:
    return Made(call.body.amount.minor, call.caller.user_id)


async def listed(call: Call[None, OrdersQuery]) -> dict[str, object]:
    return {"limit": call.query.limit, "done": call.query.done}


async def one(call: Call) -> Read:
    return Read(call.path["id"], call.context.user_id, call.context.ip)


async def hook(call: Call[bytes]) -> dict[str, int]:
    return {"bytes": len(call.body)}


async def hook_of_a_gateway(call: Call[bytes]) -> str:
    return "taken"


async def fails(call: Call) -> str:
    raise RuntimeError("secret detail: password=hunter2")


async def refuses(call: Call) -> str:
    raise {
        "gone": PackGone("this pack is no longer sold", packId="is retired"),
        "busy": ResourceExhausted("slow down"),
        "away": Unavailable(),
        "unknown": Unresolved("not known yet"),
    }[call.path["why"]]


async def anybody(call: Call) -> str:
    return call.caller.user_id


async def erase(call: Call) -> str:
    return call.path["order"]


async def headers(call: Call) -> Encoded:
    """Answers in another format, with headers of its own."""
    return Encoded(b"<p>", 202, {"Cache-Control": "max-age=5", "X-Key": call.idempotency_key}, "text/html")


def held_by(gate: asyncio.Event) -> Route:
    """A route that answers once *gate* is open."""

    async def held(call: Call) -> str:
        await gate.wait()
        return "done"

    return Route("GET", "/held", held, answer=str, public=True)


ROUTES: list[Route] = [
    Route("POST", "/orders", create, body=Order, answer=Made, status=201, permission="payments.create"),
    Route("GET", "/orders", listed, query=OrdersQuery, answer=dict[str, object], permission="payments.read"),
    Route("GET", "/orders/{id}", one, answer=Read, permission="payments.read"),
    Route("DELETE", "/orders/{order}", erase, answer=str, permission="users.manage"),
    Route("POST", "/hook", hook, body=bytes, body_bytes_max=1_000, answer=dict[str, int], public=True),
    Route("GET", "/fails", fails, answer=str, public=True),
    Route("GET", "/refuses/{why}", refuses, answer=str, public=True),
    Route("GET", "/anybody", anybody, answer=str, public=True),
    Route("GET", "/headers", headers, answer=bytes, media_type="text/html", public=True),
]
USER = {"authorization": "Bearer user"}
JSON = {"content-type": "application/json", **USER}


def client(config: ServerConfig | None = None, *more: Route) -> httpx.AsyncClient:
    application = app([*ROUTES, *more], config or ServerConfig("wallet", Auth()))
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
        (b'{"amount": {"minor": 1}, "note": "\\ud800"}', "note"),
        (b'{"amount": {"minor": NaN}}', "amount.minor"),
        (b'{"amount": {"minor": 1}, "ratio": Infinity}', "ratio"),
        (b'{"amount": {"minor": 1}, "ratio": -Infinity}', "ratio"),
        (b'{"amount": {"minor": 9007199254740993}}', "amount.minor"),
        (b'{"amount": {"minor": ' + b"9" * 5000 + b"}}", "amount.minor"),
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
    error = await refusal(response, 400, "request_invalid")
    assert list(error.get("fields", {})) == ([field] if field else [])


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"amount": {"minor": 1}, "note": "a\0b"}, "note"),
        ({"amount": {"minor": 1}, "tags": ["a", "\0"]}, "tags[1]"),
        ({"amount": {"minor": 1, "currency": "\0"}}, "amount.currency"),
    ],
)
async def test_nul_is_nowhere_a_character(document: dict[str, object], field: str):
    error = await refusal(await client().post("/orders", json=document, headers=USER), 400, "request_invalid")
    assert list(error["fields"]) == [field]


async def test_nul_is_refused_in_paths_and_queries_and_spelt_out_it_is_fine():
    async with client() as http:
        await refusal(await http.get("/orders/a%00b", headers=USER), 404, "route_not_found")
        await refusal(await http.get("/orders?done=%00", headers=USER), 400, "request_invalid")
        response = await http.post("/orders", json={"amount": {"minor": 1}, "note": "\\u0000"}, headers=USER)
        assert response.status_code == 201


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


@pytest.mark.parametrize("pauses", [[5.0], [0.0, 5.0], [0.02] * 250])
async def test_a_slow_body_is_given_up_from_its_first_byte_on(monkeypatch: pytest.MonkeyPatch, pauses: list[float]):
    monkeypatch.setattr("common.http_server.requests.BODY_SECONDS_MAX", 0.1)

    async def slow() -> AsyncIterator[bytes]:
        for pause in pauses:
            await asyncio.sleep(pause)
            yield b"x"

    started = asyncio.get_running_loop().time()
    await refusal(await client().post("/hook", content=slow()), 408, "body_too_slow")
    assert asyncio.get_running_loop().time() - started < 1


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "nonsense", ""])
async def test_an_encoded_body_is_refused_by_name(encoding: str):
    for path, headers in (("/orders", JSON), ("/hook", {})):
        response = await client().post(path, content=b"{}", headers={**headers, "content-encoding": encoding})
        await refusal(response, 415, "content_encoding_unsupported")
        assert response.headers["accept-encoding"] == "identity"
    plain = {**JSON, "content-encoding": "identity"}
    assert (await client().post("/orders", json={"amount": {"minor": 1}}, headers=plain)).status_code == 201


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Content-Type", "Idempotency-Key", "X-Idempotency-Key", "X-Request-Id", "X-Correlation-Id",
     "Traceparent", "User-Agent", "X-Device-Id"],
)  # fmt: skip
@pytest.mark.parametrize("values", [("a", "b"), ("same", "same")])
async def test_a_header_with_one_meaning_is_given_once(name: str, values: tuple[str, str]):
    device = Route("GET", "/device", anybody, answer=str, public=True, headers=("X-Device-Id",))
    base = [("host", "x"), ("user-agent", "t")] if name != "User-Agent" else [("host", "x")]
    async with client(None, device) as http:
        http.headers.clear()
        for method, path in (("GET", "/headers"), ("POST", "/hook"), ("GET", "/orders"), ("GET", "/device")):
            lines = [*base, (name, values[0]), (name.lower(), values[1])]
            error = await refusal(await http.request(method, path, headers=lines), 400, "request_invalid")
            assert error["fields"] == {name: "is given more than once"}


async def test_a_header_that_is_a_list_or_is_not_read_may_come_twice():
    for name in ("Accept", "Cookie", "X-Forwarded-For", "Via", "X-Of-Somebody"):
        lines = [(name, "192.0.2.1"), (name, "192.0.2.2"), ("authorization", "Bearer user")]
        response = await client().get("/orders/7", headers=lines)
        assert response.status_code == 200, name
        assert response.json()["data"]["ip"] == ("192.0.2.2" if name == "X-Forwarded-For" else "192.0.2.9")


async def test_both_spellings_of_the_idempotency_key_are_one_header():
    async with client() as http:
        assert (await http.get("/headers", headers={"X-Idempotency-Key": "k-2"})).headers["x-key"] == "k-2"
        for other in ("k-1", "k-2"):
            both = {"X-Idempotency-Key": "k-2", "Idempotency-Key": other}
            await refusal(await http.get("/headers", headers=both), 400, "request_invalid")
        response = await http.get("/headers", headers={"X-Idempotency-Key": "a" * 256})
        await refusal(response, 400, "idempotency_key_invalid")


async def test_a_parameter_that_nobody_reads_is_refused():
    async with client() as http:
        for query in ("debug=1", "a", "=", "%00", "a=1&a=2", "x" * 5_000):
            error = await refusal(await http.get(f"/orders/7?{query}", headers=USER), 400, "request_invalid")
            assert list(error["fields"].values()) == ["is not known"]
        assert (await http.get("/health?probe=1")).status_code == 200  # any query of a probe
        hook = Route("POST", "/gateway", hook_of_a_gateway, body=bytes, answer=str, public=True, rate_limit="webhook")
        async with client(None, hook) as gateway:  # whatever address an operator gave
            assert (await gateway.post("/gateway?account=1", content=b"x")).status_code == 200


async def test_the_query_is_read_and_refused_alike():
    async with client() as http:
        good = await http.get("/orders?limit=5&done=true", headers=USER)
        assert good.json()["data"] == {"limit": 5, "done": True}
        for text, field in (("limit=1&limit=2", "limit"), ("limit=x", "limit"), ("limit=1.5", "limit"), ("x=1", "x")):
            error = await refusal(await http.get(f"/orders?{text}", headers=USER), 400, "request_invalid")
            assert list(error["fields"]) == [field]
        await refusal(await http.get("/orders?limit=%ff", headers=USER), 400, "request_invalid")
        many = "&".join(f"a{n}=1" for n in range(100))
        await refusal(await http.get(f"/orders?{many}", headers=USER), 400, "request_invalid")


async def test_an_encoded_answer_goes_out_as_it_is():
    async with client() as http:
        response = await http.get("/headers", headers={"Idempotency-Key": "k-1"})
        assert (response.status_code, response.content) == (202, b"<p>")
        assert response.headers["content-type"] == "text/html"
        assert response.headers.get_list("cache-control") == ["max-age=5"]
        assert response.headers["x-key"] == "k-1"
        assert (await http.get("/headers")).headers["x-key"] == ""
        for bad in ("", "a" * 256, "a\tb"):
            response = await http.get("/headers", headers={"Idempotency-Key": bad})
            await refusal(response, 400, "idempotency_key_invalid")


async def wrong_answer(call: Call) -> Made: ...


async def answer_or_bytes(call: Call) -> Read | Encoded: ...


async def wrong_body(call: Call[Amount]) -> Read: ...


async def wrong_query(call: Call[None, PageQuery]) -> Read: ...


async def no_call(request: object) -> Read: ...


async def one_of_many(call: Call) -> Page[Read]: ...


def test_an_endpoint_takes_and_returns_what_its_row_says():
    Route("GET", "/x", answer_or_bytes, answer=Read, public=True)
    Route("GET", "/x", one_of_many, answer=Page[Read], public=True)
    for endpoint in (wrong_answer, wrong_body, wrong_query, no_call, one_of_many):
        with pytest.raises(TypeError, match=endpoint.__name__):
            Route("GET", "/x", endpoint, answer=Read, public=True)
    with pytest.raises(TypeError):
        Route("GET", "/x", one, answer=Read, body=Order, public=True)


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


async def test_permissions_are_checked():
    async with client() as http:
        await refusal(await http.delete("/orders/1", headers=USER), 403, "role_missing")
        assert (await http.delete("/orders/1", headers={"authorization": "Bearer admin"})).status_code == 200


@pytest.mark.parametrize(
    "columns", [{}, {"permission": "payments.fly"}, {"permission": "payments.read", "public": True}]
)
def test_a_route_is_public_or_names_a_permission_of_the_table(columns: dict[str, Any]):
    with pytest.raises(ValueError):
        Route("GET", "/x", one, answer=Read, **columns)


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
    for hops, seen in ((0, "192.0.2.9"), (1, "203.0.113.7"), (2, "6.6.6.6"), (5, "6.6.6.6")):
        async with client(ServerConfig("wallet", Auth(), trusted_proxy_hops=hops)) as http:
            assert (await http.get("/orders/7", headers=forwarded)).json()["data"]["ip"] == seen
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
    async with client(ServerConfig("wallet", Auth(), checks)) as http:
        assert (await http.get("/health")).json()["data"] == {"status": "up"}
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


async def test_a_process_that_is_about_to_stop_says_so_and_answers_on():
    stopping = asyncio.Event()
    config = ServerConfig("wallet", Auth(), {}, is_stopping=stopping.is_set)
    async with client(config) as http:
        assert (await http.get("/health")).status_code == (await http.get("/health/ready")).status_code == 200
        stopping.set()
        for page in ("/health", "/health/ready"):
            await refusal(await http.get(page), 503, "stopping")
        assert (await http.get("/orders/7", headers=USER)).status_code == 200


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
    off = client(ServerConfig("wallet", Auth(), metrics=False))
    await refusal(await off.get("/metrics"), 404, "route_not_found")


async def test_too_many_requests_at_once_are_told_to_wait_and_probes_are_not():
    gate = asyncio.Event()
    async with client(ServerConfig("wallet", Auth(), in_flight_max=3), held_by(gate)) as http:
        waiting = [asyncio.create_task(http.get("/held")) for _ in range(3)]
        await asyncio.sleep(0.05)
        response = await http.get("/anybody")
        await refusal(response, 503, "overloaded")
        assert response.headers["retry-after"] == "1"
        assert (await http.get("/health")).status_code == 200
        gate.set()
        assert [(await task).status_code for task in waiting] == [200] * 3
        assert (await http.get("/orders", headers=USER)).status_code == 200


async def test_a_request_whose_body_has_not_come_takes_no_place():
    gate, sent = asyncio.Event(), asyncio.Event()

    async def late() -> AsyncIterator[bytes]:
        sent.set()
        await gate.wait()
        yield b"x"

    async with client(ServerConfig("wallet", Auth(), in_flight_max=1)) as http:
        waiting = [asyncio.create_task(http.post("/hook", content=late())) for _ in range(20)]
        await sent.wait()
        assert (await http.post("/hook", content=b"abc")).json()["data"] == {"bytes": 3}
        gate.set()
        assert {(await task).status_code for task in waiting} == {200}


async def test_a_body_that_comes_during_overload_is_refused_after_it_came():
    gate, body_gate = asyncio.Event(), asyncio.Event()

    async def late() -> AsyncIterator[bytes]:
        await body_gate.wait()
        yield b"x"

    async with client(ServerConfig("wallet", Auth(), in_flight_max=1), held_by(gate)) as http:
        posting = asyncio.create_task(http.post("/hook", content=late()))
        await asyncio.sleep(0.02)
        holding = asyncio.create_task(http.get("/held"))
        await asyncio.sleep(0.02)
        body_gate.set()
        await refusal(await posting, 503, "overloaded")
        gate.set()
        assert (await holding).status_code == 200


async def test_the_edge_finds_the_words_for_its_own_errors():
    async with client() as http:
        for status, code in (
            (413, "body_too_large"),
            (502, "service_unreachable"),
            (504, "service_timed_out"),
        ):
            response = await http.get(f"/edge/errors/{status}", headers={"x-request-id": "req-9"})
            assert (await refusal(response, status, code))["requestId"] == "req-9"
        await refusal(await http.get("/edge/errors/500"), 404, "route_not_found")
        await refusal(await http.get("/edge/nowhere"), 404, "route_not_found")


def test_a_type_that_lets_unknown_fields_pass_is_a_bug():
    class Open(msgspec.Struct):
        x: int

    class Holds(Body):
        inner: dict[str, list[Open | None]]

    for struct in (Open, Holds):
        with pytest.raises(TypeError, match="Open"):
            json_reader(struct)


def test_a_route_is_given_once():
    with pytest.raises(ValueError, match="twice"):
        app([Route("GET", "/x", one, answer=Read, public=True)] * 2, ServerConfig("wallet"))


async def test_the_server_serves_and_stops_gracefully():
    gate = asyncio.Event()
    server = await serve_http(app([held_by(gate)], ServerConfig("wallet")), 0)
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
    server = await serve_http(app([held_by(asyncio.Event())], ServerConfig("wallet")), 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        stuck = asyncio.create_task(http.get("/held"))
        await asyncio.sleep(0.1)
        await asyncio.wait_for(server.stop(1), 4)
        await refusal(await stuck, 503, "stopping")


async def test_an_oversized_chunked_body_ends_the_connection():
    server = await serve_http(app(ROUTES, ServerConfig("wallet")), 0)
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
            await serve_http(app([], ServerConfig("wallet")), taken.getsockname()[1])
