"""Fixtures of the ledger's tests; engines and databases come from common.testing, events from `builders`."""

import base64
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest

from commdesk.common.v1.common_pb2 import Error
from commdesk.identity.v1 import identity_pb2, identity_pb2_grpc
from common.service import Resources, Service
from common.settings import read
from common.testing import Served
from ledger.__main__ import service
from ledger.settings import Settings

from .builders import Events

Serve = Callable[[Service], AbstractAsyncContextManager[Served]]


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def signing_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def anchor_folder(tmp_path: Path) -> Path:
    return tmp_path / "anchor"


@pytest.fixture
def service_env(
    monkeypatch: pytest.MonkeyPatch, service_env: dict[str, str], signing_key: str, anchor_folder: Path
) -> dict[str, str]:
    own = {"LEDGER_SIGNING_KEY": signing_key, "LEDGER_ANCHOR_URL": f"file://{anchor_folder}"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return service_env | own


class Identity(identity_pb2_grpc.IdentityServiceServicer):
    """Says that everybody is still who their token says, but those a test dismissed."""

    def __init__(self) -> None:
        self.dismissed: set[str] = set()

    async def Authorize(self, request: identity_pb2.AuthorizeRequest, context: Any) -> identity_pb2.AuthorizeResponse:
        refused = Error(code="rights_outdated", kind="PermissionDenied", message="no more")
        return identity_pb2.AuthorizeResponse(
            results=[
                identity_pb2.AuthorizeResult(error=refused if act.user_id in self.dismissed else None)
                for act in request.acts
            ]
        )


@pytest.fixture
async def identity(service_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Identity]:
    """Identity, on a port of its own."""
    servicer, server = Identity(), grpc.aio.server()
    identity_pb2_grpc.add_IdentityServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    monkeypatch.setenv("IDENTITY_ADDRESS", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    await server.start()
    yield servicer
    await server.stop(0)


@pytest.fixture
async def ledger(identity: Identity, resources: Resources, serve: Serve) -> AsyncIterator[Served]:
    """The service; tests book through its queues or the use cases."""
    async with service(read(Settings), resources) as value, serve(value) as served:
        yield served
