"""Fixtures of the ledger's tests; engines and databases come from common.testing, events from `builders`."""

import base64
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

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


@pytest.fixture
async def ledger(service_env: dict[str, str], resources: Resources, serve: Serve) -> AsyncIterator[Served]:
    """The service; tests book through its queues or the use cases."""
    async with service(read(Settings), resources) as value, serve(value) as served:
        yield served
