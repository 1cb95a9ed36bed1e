"""Builders: payments about to be made, and what became of payments."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import grpc
import pytest
import pytest_asyncio

from commdesk.common.v1.common_pb2 import Error
from commdesk.identity.v1 import identity_pb2, identity_pb2_grpc
from common import ids, seals
from common.clock import FakeClock
from common.database import Database, connect
from common.money import Money
from common.runtime import Resources, Service
from common.settings import read
from common.testing import Served
from fraud.__main__ import service
from fraud.domain.rules import Action, Mode, Rule
from fraud.domain.subjects import Dimension, Subject
from fraud.domain.velocity import Metric, PaymentActivity
from fraud.in_flight import InFlightRequests
from fraud.settings import Settings

Serve = Callable[[Service], AbstractAsyncContextManager[Served]]


@pytest.fixture
def subject() -> Callable[..., Subject]:
    def build(
        user_id: str = "usr_1",
        ip: str = "1.2.3.4",
        device_id: str = "",
        paise: int = 50_000,
        merchant_id: str = "mer_1",
        request_key: str = "",
    ) -> Subject:
        return Subject(ids.new(), merchant_id, user_id, ip, device_id, Money(paise), request_key)

    return build


@pytest.fixture
def activity(clock: FakeClock) -> Callable[..., PaymentActivity]:
    def build(metric: Metric, subject: Subject, seconds_ago: float = 0) -> PaymentActivity:
        return PaymentActivity(
            metric,
            subject.payment_id,
            subject.merchant_id,
            subject.user_id,
            subject.ip,
            subject.device_id,
            subject.amount,
            clock.now() - timedelta(seconds=seconds_ago),
        )

    return build


@pytest.fixture
def rule() -> Callable[..., Rule]:
    def build(
        name: str = "rule",
        dimension: Dimension = Dimension.USER,
        metric: Metric = Metric.CREATED,
        window_seconds: int = 60,
        threshold: int = 1,
        score: int = 500,
        action: Action = Action.REVIEW,
        mode: Mode = Mode.ACTIVE,
    ) -> Rule:
        return Rule(name, dimension, metric, window_seconds, threshold, score, action, mode)

    return build


@pytest.fixture
def in_flight() -> InFlightRequests:
    return InFlightRequests(timedelta(seconds=10))


@pytest_asyncio.fixture
async def owner_db(owner_url: str, service_name: str) -> AsyncIterator[Database]:
    """The test's database with the rights of the migrations."""
    async with connect(owner_url, service=service_name, sealer=seals.generated()) as database:
        yield database


class Identity(identity_pb2_grpc.IdentityServiceServicer):
    """Says that everybody is still who their token says, but those a test dismissed."""

    def __init__(self) -> None:
        self.dismissed: set[str] = set()
        self.refusal = "rights_outdated"
        self.away = False

    async def Authorize(self, request: identity_pb2.AuthorizeRequest, context: Any) -> identity_pb2.AuthorizeResponse:
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        refused = Error(code=self.refusal, kind="PermissionDenied", message="no more")
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


@pytest_asyncio.fixture
async def fraud(identity: Identity, resources: Resources, serve: Serve) -> AsyncIterator[Served]:
    """The service in this process."""
    async with service(read(Settings), resources) as value, serve(value) as served:
        yield served
