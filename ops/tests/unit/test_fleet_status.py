"""`commdesk status` of a fleet that no supervisor of this machine runs."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ops import fleet_status
from ops.ports import Layout


class Healthy(BaseHTTPRequestHandler):
    """Answers like a service and like the edge."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path in ("/health", "/health/ready") else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_services_and_edge_are_asked_where_only_their_addresses_are_known(tmp_path: Path, url: str) -> None:
    layout = Layout(tmp_path, 0)
    away = "http://127.0.0.1:1"
    services = {"payment": {"http": url}, "wallet": {"http": away}}
    layout.description.write_text(json.dumps({"services": services, "edge_url": url}))
    rows = {row.name: row for row in fleet_status.rows(layout)}
    assert {name: (row.state, row.ready) for name, row in rows.items()} == {
        "payment": ("ANSWERS", True),
        "wallet": ("AWAY", False),
        "edge": ("ANSWERS", True),
    }
    assert rows["wallet"].url == f"{away}/health/ready"


def test_nothing_runs_where_no_fleet_is_described(tmp_path: Path) -> None:
    assert fleet_status.rows(Layout(tmp_path, 0)) == []
