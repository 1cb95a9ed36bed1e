"""The sandbox as a process of its own, the official SDK pointed at it, and a shop that takes webhooks."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cashfree_pg.api_client as sdk
import cashfree_pg.configuration
import pytest

APP_ID, SECRET_KEY = "TESTcontract", "cfsk_ma_test_contract"
_START_SECONDS = 15


class Sandbox:
    """A running sandbox: its URL, and its control door."""

    def __init__(self, url: str) -> None:
        self.url = url

    def control(self, path: str, command: dict[str, Any] | None = None) -> dict[str, Any]:
        """POST a command, or GET without one."""
        data = None if command is None else json.dumps(command).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data=data), timeout=10) as answer:
            return dict(json.load(answer))


class Inbox:
    """A webhook endpoint that keeps headers and raw bodies."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                inbox.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def wait_for(self, count: int, seconds: float = 5) -> list[tuple[dict[str, str], str]]:
        """What came, once there are *count*."""
        deadline = time.monotonic() + seconds
        while len(self.got) < count:
            assert time.monotonic() < deadline, f"{len(self.got)} of {count} webhooks came"
            time.sleep(0.01)
        return self.got


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox process in TEST_MODE, stopped by SIGTERM at the end."""
    port = _free_port()
    environment = os.environ | {
        "SANDBOX_PORT": str(port),
        "CASHFREE_APP_ID": APP_ID,
        "CASHFREE_SECRET_KEY": SECRET_KEY,
        "SANDBOX_WEBHOOK_SECRET": "",
        "TEST_MODE": "true",
        "TEST_PROCESSING_DELAY": "50",
    }
    process = subprocess.Popen([sys.executable, "-m", "sandbox"], env=environment)
    running = Sandbox(f"http://127.0.0.1:{port}")
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(running.url + "/health", timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, f"the sandbox stopped with {process.returncode}"
            assert time.monotonic() < deadline, "the sandbox does not answer"
            time.sleep(0.05)
    yield running
    process.terminate()
    assert process.wait(10) == 0, "the sandbox stops cleanly when told"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A webhook endpoint of this test's own."""
    it = Inbox()
    yield it
    it.server.shutdown()
    it.server.server_close()


@pytest.fixture
def cashfree(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The official client. Its hosts are built in, so its configuration is bent to the sandbox's."""
    sandbox.control("/control/reset", {})
    original = cashfree_pg.configuration.Configuration

    class Bent(original):  # type: ignore[misc, valid-type]
        def __init__(self, host: str | None = None, **options: Any) -> None:
            super().__init__(host=host and host.replace("https://sandbox.cashfree.com", sandbox.url), **options)

    monkeypatch.setattr(sdk, "Configuration", Bent)
    return sdk.Cashfree(XEnvironment=sdk.Cashfree.SANDBOX, XClientId=APP_ID, XClientSecret=SECRET_KEY)
