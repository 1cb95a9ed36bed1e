"""What reaches Sentry's host of an exception: its kind and its places in the code, and nothing of a customer."""

import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import brotli
import pytest
from loguru import logger

from common import context, error_reports, logs
from common.context import Context

EMAIL, PHONE, NAME = "asha.rao@example.com", "+919876543210", "Asha Rao"
PERSONAL = (EMAIL, PHONE, NAME, "203.0.113.9", "Agent/1.0", "tok_secret")


class Host:
    """Stands where the DSN points to, and keeps what comes."""

    def __init__(self) -> None:
        received = self.received = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                opened = {"gzip": gzip.decompress, "br": brotli.decompress}[self.headers["Content-Encoding"]](body)
                received.append((str(self.headers), opened))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.dsn = f"http://key@127.0.0.1:{self.server.server_port}/1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self) -> list[dict[str, Any]]:
        """Of each envelope the event: a header, then pairs of an item's header and the item."""
        return [json.loads(body.split(b"\n")[2]) for _, body in self.received]

    def text(self) -> str:
        return "".join(headers + body.decode() for headers, body in self.received)


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    logs.setup("payment", "test", stream=BytesIO())
    yield host
    error_reports.shutdown()
    logs.setup("test", "test")
    host.server.shutdown()
    host.server.server_close()


def charge(email: str) -> None:
    phone = PHONE
    try:
        raise ValueError(f"{email} of {NAME} at {phone}")
    except ValueError as error:
        error.add_note(f"asked by {NAME}")
        raise RuntimeError(f"cannot charge {email}") from error


def fail() -> None:
    try:
        charge(EMAIL)
    except RuntimeError:
        logger.bind(email=EMAIL, token="tok_secret").exception("the endpoint failed for {}", EMAIL)


def test_a_report_names_the_code_and_the_trace_and_holds_no_personal_data(host: Host):
    error_reports.setup(host.dsn, "payment", environment="test", release="1.2.3")
    now = Context(
        traceparent=context.new_traceparent(), user_id=NAME, ip="203.0.113.9", user_agent="Agent/1.0", request_id=EMAIL
    )
    with context.bind(now):
        logger.info("a visit of {}", EMAIL)
        fail()
    error_reports.shutdown()
    [event] = host.events()
    assert [each["type"] for each in event["exception"]["values"]] == ["ValueError", "RuntimeError"]
    frames = event["exception"]["values"][1]["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames] == ["fail", "charge"]
    assert all(frame["lineno"] > 0 and frame["module"] == __name__ for frame in frames)
    assert event["tags"] == {"service": "payment", "trace_id": now.trace_id}
    assert (event["release"], event["environment"]) == ("payment@1.2.3", "test")
    assert [each for each in PERSONAL if each in host.text()] == []
    assert event.keys() <= {*error_reports._KEPT, "exception", "tags"}


def test_reports_are_bounded_by_the_second(host: Host):
    error_reports.setup(host.dsn, "payment", environment="test")
    started = time.monotonic()
    for _ in range(100):
        fail()
    seconds = int(time.monotonic() - started) + 2
    error_reports.shutdown()
    assert 1 <= len(host.received) <= min(seconds * error_reports.PER_SECOND_MAX, 99)


def test_what_is_no_unexpected_exception_is_not_reported(host: Host):
    error_reports.setup(host.dsn, "payment", environment="test")
    logger.error("a payment of {} is lost", EMAIL)
    try:
        charge(EMAIL)
    except RuntimeError as error:
        logger.opt(exception=error).warning("waiting")
    error_reports.shutdown()
    assert host.received == []


def test_nothing_is_sent_without_a_dsn(host: Host, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SENTRY_DSN", host.dsn)
    error_reports.setup("", "payment", environment="test")
    fail()
    error_reports.shutdown()
    assert host.received == []
