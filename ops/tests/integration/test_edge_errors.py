"""One shape of error for whatever a client can meet at the edge; the exceptions are listed."""

import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from ops.tests.integration.conftest import Edge, running

SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}
CREATE, WEBHOOK, LOGIN = "/api/v1/payments", "/api/v1/webhooks/cashfree", "/api/v1/users/login"

GZIPPED = {"Content-Encoding": "gzip"}


def twice(name: str) -> list[tuple[str, str]]:
    return [(name, "a"), (name, "b")]


def ask(edge: Edge, method: str, path: str, **options: object) -> httpx.Response:
    """An answer that comes at once: long before any time limit is over, on a busy machine too."""
    started = time.monotonic()
    with httpx.Client(base_url=edge.url) as http:
        response = http.request(method, path, **options)  # type: ignore[arg-type]
    assert time.monotonic() - started < 10
    return response


def say(edge: Edge, request: bytes, seconds: float = 10) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to raw bytes."""
    with socket.create_connection(("127.0.0.1", urlsplit(edge.url).port or 0), seconds) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR) if b"Connection: close" in request else None
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
            head, found, body = answer.partition(b"\r\n\r\n")
            length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
            if found and length is not None and len(body) >= int(length.split(b":")[1]):
                break
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


def assert_error(status: int, headers: object, body: bytes, expected: tuple[int, str]) -> None:
    """An error in the one shape, with the headers that every answer of the edge has."""
    error = json.loads(body)["error"]
    assert (status, error["code"]) == expected
    lowered = {str(name).lower(): value for name, value in dict(headers).items()}  # type: ignore[call-overload]
    assert lowered["x-request-id"] == error["requestId"]
    assert lowered["content-type"] == "application/json"
    for name, value in SECURITY_HEADERS.items():
        assert lowered[name] == value


@pytest.mark.parametrize(
    "path",
    ["/", "/metrics", "/health/ready", "/health/database", "/health/queues", "/health/redis", "/edge/errors/502",
     "/edge/nowhere", "/ping", "/api/v1", "/api/v1/users", "/api/v1/payments/a/b/c", "/x?secret=1", "/%7e", "//health"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PROPFIND"])
def test_what_no_service_serves_is_not_found(plain: Edge, method: str, path: str) -> None:
    answer = ask(plain, method, path, headers={"x-request-id": "req-1"})
    assert_error(answer.status_code, answer.headers, answer.content, (404, "route_not_found"))
    assert answer.headers["x-request-id"] == "req-1"


def test_only_health_is_public_and_says_no_more_than_up(plain: Edge) -> None:
    assert ask(plain, "GET", "/health").json() == {"success": True, "data": {"status": "up"}}


@pytest.mark.parametrize(
    ("method", "path", "options", "expected"),
    [
        ("PATCH", CREATE, {}, (405, "method_not_allowed")),
        ("GET", WEBHOOK, {}, (405, "method_not_allowed")),
        ("OPTIONS", CREATE, {}, (405, "method_not_allowed")),
        ("POST", CREATE, {"content": b"{}", "headers": GZIPPED}, (415, "content_encoding_unsupported")),
        ("POST", CREATE, {"content": b"x" * 70_000}, (413, "body_too_large")),
        ("POST", CREATE, {"content": iter([b"x" * 35_000] * 2)}, (413, "body_too_large")),
        ("POST", WEBHOOK, {"content": b"x" * 262_145}, (413, "body_too_large")),
        ("POST", WEBHOOK, {"content": iter([b"x" * 65_536] * 5)}, (413, "body_too_large")),
        ("GET", f"{CREATE}/pay_1?x=1", {}, (400, "request_invalid")),
        ("POST", CREATE, {"headers": twice("Idempotency-Key")}, (400, "request_invalid")),
        ("POST", CREATE, {"headers": twice("Authorization")}, (400, "request_invalid")),
        ("POST", LOGIN, {"headers": twice("Content-Type")}, (400, "request_invalid")),
        ("GET", "/api/v1/reconciliation/cases", {}, (502, "service_unreachable")),
        ("POST", "/api/v1/reconciliation/runs", {}, (502, "service_unreachable")),
    ],
)  # fmt: skip
def test_every_error_has_one_shape(
    plain: Edge, method: str, path: str, options: dict[str, object], expected: tuple[int, str]
) -> None:
    answer = ask(plain, method, path, **options)
    assert_error(answer.status_code, answer.headers, answer.content, expected)


def test_bodies_of_the_largest_size_pass(plain: Edge) -> None:
    for path, size in ((CREATE, 65_536), (WEBHOOK, 262_144), (LOGIN, 65_536)):
        assert ask(plain, "POST", path, content=b"x" * size).json()["data"]["size"] == size


# What Traefik's parser answers, mostly before a request has a route, as text or with nothing. Beside it there are three
# exceptions to the one shape: test_a_limit_says_how_long_to_wait, and below a request that comes too slowly and a
# service without a healthy replica.
HEAD, HOST = b" HTTP/1.1\r\n", b"Host: x\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n" + HOST
OF_TRAEFIKS_PARSER = {
    "an encoded slash": (b"GET /api/v1/payments/a%2Fb" + HEAD + HOST, 400),
    "an encoded backslash": (b"GET /api/v1/payments/a%5Cb" + HEAD + HOST, 400),
    "an encoded NUL": (b"GET /api/v1/payments/a%00b" + HEAD + HOST, 400),
    "an encoded percent sign": (b"GET /api/v1/payments/a%25b" + HEAD + HOST, 400),
    "a fragment": (b"GET /health#a" + HEAD + HOST, 400),
    "no host": (b"GET /health" + HEAD + b"\r\n", 400),
    "no HTTP": (b"nonsense that is as long as a request line\r\n\r\n", 400),
    "an unknown version": (b"GET /health HTTP/9.9\r\n" + HOST, 505),
    "a header without a colon": (b"GET /health" + HEAD + b"Host x\r\n\r\n", 400),
    "a negative length": (b"POST /api/v1/payments" + HEAD + b"Content-Length: -1\r\n" + HOST, 400),
    "two lengths": (b"POST /api/v1/payments" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n" + HOST, 400),
    "an unknown transfer encoding": (b"POST /api/v1/payments" + HEAD + b"Transfer-Encoding: gzip\r\n" + HOST, 501),
    # 500 cannot be reworded: services answer it too, with the request id of their logs.
    "a malformed length of a chunk": (b"POST /api/v1/payments" + CHUNKED + b"zz\r\nabc\r\n", 500),
    "a chunk of another length": (b"POST /api/v1/payments" + CHUNKED + b"3\r\nabcdef\r\n", 500),
    "headers of more than a megabyte": (b"GET /health" + HEAD + b"X-Large: " + b"x" * 1_100_000 + b"\r\n" + HOST, 431),
}


@pytest.mark.parametrize("what", OF_TRAEFIKS_PARSER)
def test_the_exceptions_are_known(plain: Edge, what: str) -> None:
    request, expected = OF_TRAEFIKS_PARSER[what]
    status, headers, body = say(plain, request)
    assert (status, "x-request-id" in headers) == (expected, False)
    assert len(body) < 200


def test_a_request_that_comes_too_slowly_is_an_exception_too(plain: Edge) -> None:
    """The edge's own page cannot be asked for: with the time of the request ends the time of what it caused."""
    request = b"POST /api/v1/payments" + HEAD + b"Content-Length: 100\r\n" + HOST + b"x"
    status, headers, body = say(plain, request, seconds=40)
    assert (status, body) == (499, b"Client Closed Request")
    assert headers["x-frame-options"] == "DENY"


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Two replicas of each service, which the edge asks whether they are well."""
    with running(tmp_path_factory.mktemp("spread"), {}, replicas=2) as edge:
        yield edge


def test_a_service_without_a_healthy_replica_is_an_exception_too(spread: Edge) -> None:
    """The edge's own page for 503 would replace the services' answers of that status, and their Retry-After."""
    deadline = time.monotonic() + 20
    while (answer := ask(spread, "GET", "/api/v1/reconciliation/cases")).status_code == 502:
        # Until the edge has asked the replicas once it takes them for well.
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (answer.status_code, answer.text) == (503, "no available server\n")
    assert answer.headers["x-frame-options"] == "DENY"
    assert {ask(spread, "POST", CREATE, content=b"x").status_code for _ in range(4)} == {200}
