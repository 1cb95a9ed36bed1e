"""Work on cases, reports, closes and statements, through the service's own endpoints."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import date, timedelta

import grpc
import httpx
import pytest
import pytest_asyncio

from commdesk.common.v1.common_pb2 import Error
from commdesk.identity.v1 import identity_pb2, identity_pb2_grpc
from commdesk.reconciler.v1 import reconciler_pb2 as pb
from commdesk.reconciler.v1.reconciler_pb2_grpc import ReconcilerServiceStub
from common import ids
from common.authorization import Authorizer
from common.clock import FakeClock
from common.database import Database
from common.runtime import Resources, Service
from common.settings import read
from common.testing import Served
from reconciler.__main__ import service
from reconciler.domain.differences import Kind
from reconciler.domain.records import day_in_india
from reconciler.settings import Settings
from reconciler.store import closes
from reconciler.use_cases.cases import CaseWork
from services.reconciler.tests import worlds
from services.reconciler.tests.integration.test_matching_runs import fleet_of

AccessToken = Callable[..., str]
CASES = "/api/v1/reconciliation/cases"
STATEMENT = b"date,amount,reference\n2026-02-02,1234.50,CITIN10000000\n2026-02-03,-2,ATM\n"


class Identity(identity_pb2_grpc.IdentityServiceServicer):
    """Says that everybody may act but those whom a test dismissed."""

    def __init__(self) -> None:
        self.dismissed: set[str] = set()

    async def Authorize(
        self, request: identity_pb2.AuthorizeRequest, context: object
    ) -> identity_pb2.AuthorizeResponse:
        refused = Error(code="step_up_required", kind="PermissionDenied", message="prove who you are")
        return identity_pb2.AuthorizeResponse(
            results=[
                identity_pb2.AuthorizeResult(error=refused if act.user_id in self.dismissed else None)
                for act in request.acts
            ]
        )


@pytest_asyncio.fixture
async def identity(service_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Identity]:
    """Identity, on a port of its own."""
    servicer, server = Identity(), grpc.aio.server()
    identity_pb2_grpc.add_IdentityServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    monkeypatch.setenv("IDENTITY_ADDRESS", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    await server.start()
    yield servicer
    await server.stop(0)


@pytest.fixture
def authorizer(resources: Resources) -> Authorizer:
    """For work that asks nobody: what an operator does."""
    return resources.authorizer("127.0.0.1:1")


@pytest_asyncio.fixture
async def reconciler(
    identity: Identity, serve: Callable[[Service], AbstractAsyncContextManager[Served]], resources: Resources
) -> AsyncIterator[Served]:
    async with service(read(Settings), resources) as value, serve(value) as served:
        yield served


@pytest.fixture
def headers(access_token: AccessToken) -> dict[str, str]:
    return {"Authorization": f"Bearer {access_token('usr_1', roles=['FINANCE'])}"}


async def test_a_case_is_taken_noted_and_resolved_with_a_reason(
    reconciler: Served, identity: Identity, headers: dict[str, str], db: Database, clock: FakeClock
) -> None:
    world = worlds.world(3, 5)
    payment_id = sorted(world.records)[0]
    world.change(payment_id, webhook_at=None)
    async with fleet_of(db, clock, world.finish()) as fleet:
        await fleet.run()
    http = reconciler.http

    async def post(path: str, body: object) -> httpx.Response:
        return await http.post(path, json=body, headers=headers)

    listed = (await http.get(CASES, headers=headers)).json()["data"]["items"]
    [case] = listed
    assert case["caseId"].startswith("cas_")
    assert (case["kind"], case["paymentId"]) == (Kind.WEBHOOK_MISSING, payment_id)
    assert case["amount"] == world.records[payment_id].amount_minor
    assert [each["source"] for each in case["evidence"]] == ["payment", "webhooks"], "both sides"
    path = f"{CASES}/{case['caseId']}"
    assert (await post(f"{path}/assign", {"owner": "usr_7"})).json()["data"]["owner"] == "usr_7"
    noted = await post(f"{path}/notes", {"note": "asked the gateway"})
    assert noted.status_code == 201
    assert [each["note"] for each in noted.json()["data"]["notes"]] == ["asked the gateway"]
    refused = await post(f"{path}/rerun", {})
    assert refused.status_code in (400, 409, 412, 422), "no addresses here: nothing to judge it by"
    identity.dismissed.add("usr_1")
    unproved = await post(f"{path}/resolve", {"reason": "the endpoint was down"})
    assert (unproved.status_code, unproved.json()["error"]["code"]) == (403, "step_up_required")
    assert (await http.get(path, headers=headers)).json()["data"]["case"]["status"] == "OPEN"
    identity.dismissed.clear()
    resolved = (await post(f"{path}/resolve", {"reason": "the endpoint was down"})).json()["data"]
    assert (resolved["status"], resolved["resolvedBy"]) == ("RESOLVED", "usr_1")
    again = await post(f"{path}/resolve", {"reason": "once more"})
    assert again.json()["error"]["code"] == "case_closed"
    report = f"/api/v1/reconciliation/runs/{case['runId']}/report"
    assert [each["caseId"] for each in (await http.get(report, headers=headers)).json()["data"]["cases"]] == [
        case["caseId"]
    ]
    csv = await http.get(report, params={"format": "csv"}, headers=headers)
    assert csv.headers["content-type"].startswith("text/csv")
    assert case["caseId"] in csv.text
    async with db.begin() as tx:
        audited = list(await tx.execute("select routing_key from outbox where routing_key = 'audit.recorded'"))
    assert len(audited) == 3


async def test_strangers_and_wrong_ids_are_refused(
    reconciler: Served, headers: dict[str, str], access_token: AccessToken
) -> None:
    http = reconciler.http
    missing = await http.get(f"{CASES}/{ids.encode('cas', ids.new())}", headers=headers)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "case_not_found")
    assert (await http.get(f"{CASES}/cas_x", headers=headers)).status_code == 400
    report = f"/api/v1/reconciliation/runs/{ids.encode('run', ids.new())}/report"
    assert (await http.get(report, headers=headers)).json()["error"]["code"] == "run_not_found"
    stranger = {"Authorization": f"Bearer {access_token('usr_2', merchant_id='mer_other', roles=['ADMIN'])}"}
    for response in (
        await http.get(f"{CASES}/{ids.encode('cas', ids.new())}", headers=stranger),
        await http.post("/api/v1/reconciliation/closes", json={}, headers=stranger),
        await http.post(
            "/api/v1/reconciliation/statements", params={"account": "1"}, content=STATEMENT, headers=stranger
        ),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (403, "merchant_not_platform")


async def test_a_statement_is_stored_once_and_each_line_once(reconciler: Served, headers: dict[str, str]) -> None:
    async def upload(body: bytes) -> httpx.Response:
        return await reconciler.http.post(
            "/api/v1/reconciliation/statements", params={"account": "000123"}, content=body, headers=headers
        )

    stored = await upload(STATEMENT)
    assert stored.status_code == 201
    assert (stored.json()["data"]["lines"], stored.json()["data"]["linesAdded"]) == (2, 2)
    assert (await upload(STATEMENT)).json()["error"]["code"] == "bank_statement_stored"
    longer = await upload(STATEMENT + b"2026-02-04,3,X\n")
    assert longer.json()["data"]["linesAdded"] == 1
    assert (await upload(b"nothing")).json()["error"]["code"] == "bank_statement_invalid"
    stub = ReconcilerServiceStub(reconciler.channel())  # type: ignore[no-untyped-call]
    answer = await stub.StoreStatement(
        pb.StoreStatementRequest(file=STATEMENT, account="000999", actor="operator:test"), timeout=15
    )
    assert (answer.format, answer.first_on, answer.lines_added) == ("CSV", "2026-02-02", 2)


async def test_a_day_is_closed_to_the_paisa(db: Database, clock: FakeClock, authorizer: Authorizer) -> None:
    """Each payment of the day is in one of three parts; one that a person decided about is explained."""
    world = worlds.planted(7, 400)
    async with fleet_of(db, clock, world) as fleet:
        await fleet.run()
        work = CaseWork(db, clock, "mer_commdesk", fleet.matching, authorizer)
        days = {day_in_india(each.paid_since) for each in world.records.values() if each.is_paid}
        wrong = {each.payment_id for each in world.expected}
        for day in sorted(days):
            close = await work.close("mer_commdesk", "usr_1", day)
            [figures] = [each for each in close.currencies if each.currency == "INR"]
            paid = [each for each in world.records.values() if each.is_paid and day_in_india(each.paid_since) == day]
            assert figures.total_minor == sum(each.amount_minor for each in paid)
            assert figures.open_minor == sum(each.amount_minor for each in paid if each.payment_id in wrong)
            assert figures.matched_minor == figures.total_minor - figures.open_minor
            assert figures.explained_minor == 0
        [case] = [each for each in await fleet.cases() if each.kind == Kind.WEBHOOK_MISSING]
        before = await _figures(db, clock, world, case.payment_id)
        resolved = await work.resolve("mer_commdesk", "usr_1", case.case_id, "the endpoint was down")
        assert resolved.resolution
        after = await _figures(db, clock, world, case.payment_id)
        assert after.open_minor == before.open_minor - case.amount_minor
        assert after.explained_minor == case.amount_minor
        assert len(await work.list_closes("mer_commdesk", None)) == len(days)


async def _figures(db: Database, clock: FakeClock, world: worlds.World, payment_id: str) -> closes.CloseFigures:
    day = day_in_india(world.records[payment_id].paid_since)
    async with db.begin() as tx:
        [figures] = [each for each in await closes.figures(tx, day, clock.now()) if each.currency == "INR"]
    return figures


async def test_a_day_that_is_not_over_is_not_closed(reconciler: Served, headers: dict[str, str]) -> None:
    tomorrow = (date.today() + timedelta(days=2)).isoformat()  # noqa: DTZ011, far enough in every zone
    refused = await reconciler.http.post("/api/v1/reconciliation/closes", json={"day": tomorrow}, headers=headers)
    assert refused.json()["error"]["code"] == "day_not_over"
    closed = await reconciler.http.post("/api/v1/reconciliation/closes", json={}, headers=headers)
    assert closed.status_code == 201
    listed = (await reconciler.http.get("/api/v1/reconciliation/closes", headers=headers)).json()["data"]["items"]
    assert [each["closeId"] for each in listed] == [closed.json()["data"]["closeId"]]
    stub = ReconcilerServiceStub(reconciler.channel())  # type: ignore[no-untyped-call]
    answer = await stub.CloseDay(pb.CloseDayRequest(actor="operator:test"), timeout=15)
    assert answer.day == closed.json()["data"]["day"]


async def test_a_case_is_judged_again_alone(db: Database, clock: FakeClock, authorizer: Authorizer) -> None:
    world = worlds.world(3, 5)
    payment_id = sorted(world.records)[0]
    world.change(payment_id, webhook_at=None)
    async with fleet_of(db, clock, world.finish()) as fleet:
        await fleet.run()
        [case] = await fleet.cases()
        work = CaseWork(db, clock, "mer_commdesk", fleet.matching, authorizer)
        assert (await work.rerun("mer_commdesk", "usr_1", case.case_id)).status == "OPEN"
        world.change(payment_id, webhook_at=worlds.NOW)
        assert (await work.rerun("mer_commdesk", "usr_1", case.case_id)).status == "RESOLVED"
