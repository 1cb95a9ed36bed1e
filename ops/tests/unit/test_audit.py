"""`make audit`: pip-audit with a feed on this machine that speaks as osv.dev does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ops import audit
from ops.compile_lock import CHECKS_LOCK, DEVELOPMENT_LOCK, RUNTIME_LOCK

SOUND = f"idna==3.20 \\\n    --hash=sha256:{'0' * 64}\n"
WEAK = f"urllib3==2.0.7 \\\n    --hash=sha256:{'1' * 64}\n"
WEAKNESS = {
    "id": "PYSEC-2024-1",
    "modified": "2024-06-18T00:00:00Z",
    "published": "2024-06-17T00:00:00Z",
    "summary": "Proxy-Authorization is kept across redirects",
    "affected": [
        {
            "package": {"name": "urllib3", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.2.2"}]}],
        }
    ],
}


class Feed(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(405, {})

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(200, {"vulns": [WEAKNESS]} if query["package"]["name"] == "urllib3" else {})

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def feed_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Feed) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with its locks, and no proxy between it and the feed."""
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for lock in (RUNTIME_LOCK, DEVELOPMENT_LOCK):
        (tmp_path / lock).write_text(SOUND)
    (tmp_path / CHECKS_LOCK).write_text(SOUND + WEAK)
    return tmp_path


def test_a_known_weakness_of_any_lock_is_named(
    feed_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSV_URL", feed_url)
    with pytest.raises(SystemExit) as ended:
        audit.main()
    assert ended.value.code == 1
    assert "PYSEC-2024-1" in capfd.readouterr().out


def test_locks_of_which_nothing_is_known_pass(feed_url: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSV_URL", feed_url)
    (root / CHECKS_LOCK).write_text(SOUND)
    with pytest.raises(SystemExit) as ended:
        audit.main()
    assert ended.value.code == 0


def test_a_feed_that_cannot_be_reached_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSV_URL", "http://127.0.0.1:1/v1/query")
    audit.main()
    assert "NOT AUDITED" in capsys.readouterr().err
