"""HTTP and gRPC endpoints of the service's own value; no other service takes part."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import grpc
import httpx
import pytest
import pytest_asyncio

from commdesk.reconciler.v1 import reconciler_pb2 as pb
from commdesk.reconciler.v1.reconciler_pb2_grpc import ReconcilerServiceStub
from common import grpc_client
from common.runtime import Resources, Service
from common.settings import read
from common.testing import Served
from reconciler import consumers
from reconciler.__main__ import service
from reconciler.settings import Settings
from services.reconciler.tests.conftest import Successes

TIMEOUT = 15.0
PERIOD = {"from": "2026-01-01", "to": "2026-01-31"}

AccessToken = Callable[..., str]


@pytest_asyncio.fixture
async def reconciler(
    serve: Callable[[Service], AbstractAsyncContextManager[Served]],
    resources: Resources,
) -> AsyncIterator[Served]:
    async with service(read(Settings), resources) as value, serve(value) as served:
        yield served


class Reader:
    """A member of staff who reads."""

    def __init__(self, served: Served, token: str = "") -> None:
        self._http = served.http
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def get(self, path: str, **params: str) -> httpx.Response:
        return await self._http.get(path, params=params or None, headers=self._headers)

    async def post(self, path: str) -> httpx.Response:
        return await self._http.post(path, headers=self._headers)


@pytest.fixture
def finance(reconciler: Served, access_token: AccessToken) -> Reader:
    return Reader(reconciler, access_token("usr_1", roles=["FINANCE"]))


async def test_finance_runs_and_reads_runs_page_by_page(reconciler: Served, finance: Reader) -> None:
    stub = ReconcilerServiceStub(reconciler.channel())  # type: ignore[no-untyped-call]
    await stub.Run(pb.RunRequest(actor="operator:test"), timeout=TIMEOUT)
    for _ in range(2):
        report = (await finance.post("/api/v1/reconciliation/runs")).json()["data"]
        assert (report["run"]["actor"], report["run"]["scope"], report["run"]["status"]) == ("usr_1", "ALL", "PARTIAL")
        assert "payment" in report["run"]["unavailableServices"]
        assert report["cases"] == []
    first = (await finance.get("/api/v1/reconciliation/runs", limit="2")).json()["data"]
    assert [run["actor"] for run in first["items"]] == ["usr_1", "usr_1"]
    last = await finance.get("/api/v1/reconciliation/runs", limit="2", cursor=first["nextCursor"])
    assert [run["actor"] for run in last.json()["data"]["items"]] == ["operator:test"]
    assert last.json()["data"]["nextCursor"] is None
    cases = await finance.get("/api/v1/reconciliation/cases", status="ANY")
    assert cases.json()["data"] == {"items": [], "nextCursor": None}


async def test_a_merchant_reads_its_own_figures(
    reconciler: Served, finance: Reader, access_token: AccessToken, successes: Successes
) -> None:
    await reconciler.handle(consumers.QUEUE, [*successes(2), *successes(1, merchant_id="mer_other")])
    own = (await finance.get("/api/v1/analytics/summary", **PERIOD)).json()["data"]
    assert [(each["currency"], each["succeededAmount"]) for each in own["totals"]] == [("INR", 100_000)]
    assert [(day["day"], day["figures"]["paymentsSucceeded"]) for day in own["days"]] == [("2026-01-01", 2)]
    assert own["webhookFailures"] == 0
    other = Reader(reconciler, access_token("usr_2", merchant_id="mer_other", roles=["ADMIN"]))
    theirs = (await other.get("/api/v1/analytics/summary", **PERIOD)).json()["data"]
    assert [each["succeededAmount"] for each in theirs["totals"]] == [50_000]
    assert theirs["webhookFailures"] is None


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("reconciliation/cases?status=X", "case_status_unknown"),
        ("reconciliation/runs?cursor=x", "cursor_invalid"),
        ("reconciliation/runs?limit=201", "request_invalid"),
        ("analytics/summary?from=2026-02-01&to=2026-01-01", "period_invalid"),
        ("analytics/summary?from=yesterday", "request_invalid"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(finance: Reader, path: str, code: str) -> None:
    response = await finance.get(f"/api/v1/{path}")
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


async def test_runs_and_cases_are_the_platforms(reconciler: Served, access_token: AccessToken) -> None:
    stranger = Reader(reconciler, access_token("usr_2", merchant_id="mer_other", roles=["ADMIN", "FINANCE"]))
    for response in (
        await stranger.get("/api/v1/reconciliation/runs"),
        await stranger.get("/api/v1/reconciliation/cases"),
        await stranger.post("/api/v1/reconciliation/runs"),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (403, "merchant_not_platform")
    member = Reader(reconciler, access_token("usr_3", roles=["USER"]))
    nobody = Reader(reconciler)
    for path in ("reconciliation/runs", "reconciliation/cases", "analytics/summary"):
        assert (await member.get(f"/api/v1/{path}")).status_code == 403, path
        refused = await nobody.get(f"/api/v1/{path}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "token_missing"), path


async def test_a_list_of_cases_is_bounded(reconciler: Served) -> None:
    stub = ReconcilerServiceStub(reconciler.channel())  # type: ignore[no-untyped-call]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ListCases(pb.ListCasesRequest(limit=501), timeout=TIMEOUT)
    assert grpc_client.errors_from(refused.value).code == "limit_exceeded"


async def test_one_run_at_a_time(reconciler: Served) -> None:
    stub = ReconcilerServiceStub(reconciler.channel())  # type: ignore[no-untyped-call]

    async def run() -> pb.RunResponse:
        response: pb.RunResponse = await stub.Run(pb.RunRequest(actor="operator:test"), timeout=TIMEOUT)
        return response

    await run()
    results = await asyncio.gather(*(run() for _ in range(4)), return_exceptions=True)
    refused = [each for each in results if isinstance(each, grpc.aio.AioRpcError)]
    assert len(refused) < 4
    assert {grpc_client.errors_from(each).code for each in refused} <= {"run_in_progress"}


async def test_its_jobs_are_the_two_schedules_and_the_figures(reconciler: Served, finance: Reader) -> None:
    assert [job.name for job in reconciler.service.jobs] == ["reconcile:ALL", "reconcile:DELIVERIES", "figures"]
    for job in reconciler.service.jobs:
        await reconciler.run_job(job.name)
    runs = (await finance.get("/api/v1/reconciliation/runs")).json()["data"]["items"]
    assert [(run["actor"], run["scope"]) for run in runs] == [("service:reconciler", "ALL")]
