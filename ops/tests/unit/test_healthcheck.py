"""The health check of an image: what it asks, and what its exit code says."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ops.ports import ROOT


@contextmanager
def answering(status: int, paths: list[str]) -> Iterator[int]:
    """A server that answers with *status*, at the port that it yields; *paths* is what was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def exit_code(**environment: str) -> int:
    command = [sys.executable, "-I", ROOT / "ops/image/healthcheck.py"]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_a_container_is_healthy_when_its_service_is_ready(status: int, code: int) -> None:
    paths: list[str] = []
    with answering(status, paths) as port:
        assert exit_code(HTTP_PORT=str(port)) == code
    assert paths == ["/health/ready"]


def test_another_address_can_be_asked() -> None:
    paths: list[str] = []
    with answering(200, paths) as port:
        assert exit_code(HEALTH_URL=f"http://127.0.0.1:{port}/count") == 0
    assert paths == ["/count"]


def test_a_container_that_does_not_listen_is_not_healthy() -> None:
    with answering(200, []) as port:
        pass
    assert exit_code(HTTP_PORT=str(port)) == 1
    assert exit_code(HEALTH_URL="nonsense") == 1
