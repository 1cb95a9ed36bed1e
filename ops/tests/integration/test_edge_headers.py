"""What the edge adds to answers and keeps of requests: limits, origins, compression, the log."""

import json
import time

import httpx

from common.http_server import headers as request_headers
from common.route_tables import route_tables
from ops.tests.integration.conftest import Edge

ORIGIN = "https://app.example.com"


def test_pages_of_an_allowed_origin_may_send_what_the_api_reads_and_no_more(plain: Edge) -> None:
    rows = [row for table in route_tables().values() for row in table]
    read = {*request_headers.REQUEST_HEADERS, *(name for row in rows for name in row.headers)}
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{plain.url}/api/v1/payments", headers=asked)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert {name.strip() for name in answer.headers["access-control-allow-headers"].split(",")} == read
    got = httpx.get(f"{plain.url}/api/v1/packs", headers={"Origin": ORIGIN})
    assert got.headers["access-control-allow-origin"] == ORIGIN
    exposed = {name.strip() for name in got.headers["access-control-expose-headers"].split(",")}
    assert exposed == set(request_headers.RESPONSE_HEADERS)
    stranger = httpx.get(f"{plain.url}/api/v1/packs", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers


def test_long_answers_are_compressed_for_who_can_read_them(plain: Edge) -> None:
    with httpx.Client(base_url=plain.url) as http:
        answer = http.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.num_bytes_downloaded < len(answer.content) / 10
        assert "content-encoding" not in http.get("/openapi.json", headers={"Accept-Encoding": "identity"}).headers
        assert "content-encoding" not in http.get("/health", headers={"Accept-Encoding": "gzip"}).headers


def test_the_log_has_refusals_without_secrets(plain: Edge) -> None:
    secret = "s3cr3t-in-a-query"
    sent = {"Authorization": f"Bearer {secret}", "X-Request-Id": "req-of-the-log", "Cookie": secret, "Referer": secret}
    httpx.get(f"{plain.url}/api/v1/nothing?token={secret}", headers=sent)
    deadline = time.monotonic() + 5
    while "req-of-the-log" not in (log := plain.log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert secret not in log
    line = next(json.loads(line) for line in log.splitlines() if "req-of-the-log" in line)
    assert (line["RequestPath"], line["DownstreamStatus"], line["ClientHost"]) == ("/api/v1/nothing", 404, "127.0.0.1")
