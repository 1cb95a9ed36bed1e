"""Peers are those of the list of services."""

import base64
import os

import pytest

from common.services import SERVICES
from common.settings import read
from reconciler.settings import Settings


def test_every_listed_service_may_have_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ENVIRONMENT": "test",
        "DATABASE_URL": "postgresql://reconciler:a-long-and-odd-one@localhost/x",
        "RABBITMQ_URL": "amqp://localhost",
        "SERVICE_PRIVATE_KEY": base64.b64encode(os.urandom(32)).decode(),
        "SERVICE_PUBLIC_KEYS": "{}",
        "ENCRYPTION_KEYS": base64.b64encode(os.urandom(32)).decode(),
        "BLIND_INDEX_KEY": base64.b64encode(os.urandom(32)).decode(),
        "WEBHOOK_INGEST_ADDRESS": "127.0.0.1:9",
        "SETTLE_SECONDS": "7",
    }.items():
        monkeypatch.setenv(name, value)
    for row in SERVICES.values():
        if row.name != "webhook-ingest":
            monkeypatch.delenv(row.address_variable, raising=False)
    settings = read(Settings)
    assert settings.addresses == {name: "127.0.0.1:9" if name == "webhook-ingest" else "" for name in SERVICES}
    assert settings.tolerance_seconds == 7
