"""The log of requests by API key, as a merchant reads it: collected from the services that keep it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import pytest_asyncio

from common import ids, request_log
from common.request_log import LoggedRequest
from common.runtime import Resources, Service
from common.settings import read
from common.testing import Served, free_port
from reconciler.__main__ import service
from reconciler.settings import Settings
from services.reconciler.tests.conftest import Peer

Json = dict[str, Any]


@pytest_asyncio.fixture
async def reconciler(
    serve: Callable[[Service], AbstractAsyncContextManager[Served]],
    resources: Resources,
    peer: Peer,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Served]:
    """Beside payment."""
    monkeypatch.setenv("PAYMENT_ADDRESS", peer.address)
    async with service(read(Settings), resources) as value, serve(value) as served:
        yield served


@pytest.fixture
def read_log(reconciler: Served, access_token: Callable[..., str]) -> Callable[..., Any]:
    async def read_log(answered: int = 200, /, *, merchant_id: str = "mer_commdesk", **params: str) -> Json:
        headers = {"Authorization": f"Bearer {access_token('usr_1', roles=['ADMIN'], merchant_id=merchant_id)}"}
        response = await reconciler.http.get("/api/v1/logs/requests", params=params, headers=headers)
        assert response.status_code == answered, response.text
        document: Json = response.json()
        return document["data"] if answered < 400 else document["error"]  # type: ignore[no-any-return]

    return read_log


async def log(peer: Peer, *statuses: int, merchant_id: str = "mer_commdesk") -> list[LoggedRequest]:
    """Requests that payment answered so, the oldest first."""
    entries = [
        LoggedRequest(
            ids.new(), merchant_id, "apk_1", "POST", "/api/v1/payments", status, 12_345, f"r-{status}",
            "" if status < 400 else "order_closed", bytes(32) if status < 400 else None,
        )
        for status in statuses
    ]  # fmt: skip
    async with peer.db.begin() as tx:
        await request_log.insert(tx, entries)
    return entries


async def test_a_merchant_reads_its_own_requests_the_newest_first(peer: Peer, read_log: Callable[..., Any]) -> None:
    first, _ = await log(peer, 201, 409)
    await log(peer, 200, merchant_id="mer_other")
    newest, oldest = (await read_log())["items"]
    assert (newest["status"], newest["errorCode"], newest["bodyHash"]) == (409, "order_closed", None)
    assert oldest == {
        "time": ids.timestamp(first.request_log_id).isoformat().replace("+00:00", "Z"),
        "apiKeyId": "apk_1",
        "method": "POST",
        "path": "/api/v1/payments",
        "status": 201,
        "durationMs": 12.35,
        "requestId": "r-201",
        "errorCode": None,
        "bodyHash": "00" * 32,
    }
    assert len((await read_log(merchant_id="mer_other"))["items"]) == 1


async def test_pages_and_filters(peer: Peer, read_log: Callable[..., Any]) -> None:
    entries = await log(peer, 201, 404, 409, 500, 200)
    page = await read_log(limit="2")
    assert [each["status"] for each in page["items"]] == [200, 500]
    page = await read_log(limit="3", cursor=page["nextCursor"])
    assert ([each["status"] for each in page["items"]], page["nextCursor"]) == ([409, 404, 201], None)
    for params, statuses in (
        ({"status": "404"}, [404]),
        ({"status": "4xx"}, [409, 404]),
        ({"requestId": "r-500"}, [500]),
        ({"method": "get"}, []),
        ({"apiKeyId": "apk_2"}, []),
        ({"path": "/api/v1/payments"}, [200, 500, 409, 404, 201]),
        ({"to": ids.timestamp(entries[0].request_log_id).isoformat()}, []),
        ({"from": ids.timestamp(entries[0].request_log_id).isoformat()}, [200, 500, 409, 404, 201]),
    ):
        assert [each["status"] for each in (await read_log(**params))["items"]] == statuses
    for wrong in ({"status": "6xx"}, {"limit": "201"}, {"path": "x" * 201}, {"from": "yesterday"}, {"what": "x"}):
        assert (await read_log(400, **wrong))["code"] == "request_invalid"
    assert (await read_log(400, cursor="x"))["code"] == "cursor_invalid"


async def test_a_service_that_does_not_answer_leaves_no_hole(
    serve: Callable[[Service], AbstractAsyncContextManager[Served]],
    resources: Resources,
    peer: Peer,
    access_token: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await log(peer, 201)
    monkeypatch.setenv("PAYMENT_ADDRESS", peer.address)
    monkeypatch.setenv("WALLET_ADDRESS", f"127.0.0.1:{free_port()}")
    headers = {"Authorization": f"Bearer {access_token('usr_1', roles=['ADMIN'])}"}
    async with service(read(Settings), resources) as value, serve(value) as served:
        response = await served.http.get("/api/v1/logs/requests", headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "callee_unavailable")
