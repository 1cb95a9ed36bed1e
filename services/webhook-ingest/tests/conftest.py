"""Builders: Cashfree's webhooks as its documentation shows them, signed as Cashfree signs."""

import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from common import ids
from common.clock import FakeClock
from common.database import Database, connect
from common.runtime import Resources, Service
from common.settings import read
from common.testing import Served
from gateways import GatewayAccount
from gateways.registry import adapter
from webhook_ingest.__main__ import service
from webhook_ingest.domain import Webhook, kept_headers
from webhook_ingest.settings import Settings

_SECRET = "cfsk_ma_test_0123456789abcdef0123456789abcdef_deadbeef"

Body = Callable[..., bytes]
Headers = Callable[..., dict[str, str]]


@pytest.fixture
def secret() -> str:
    return _SECRET


@pytest.fixture
def account() -> GatewayAccount:
    return GatewayAccount(id="gwa_cashfree", gateway="cashfree", webhook_secrets=(_SECRET,))


@pytest.fixture
def payment_body() -> Body:
    """A payment webhook's body."""

    def build(
        payment_id: object = "1453002795",
        type_: str = "PAYMENT_SUCCESS_WEBHOOK",
        status: str = "SUCCESS",
        order_id: str = "ord_1",
        event_time: str = "2025-01-15T12:20:31+05:30",
    ) -> bytes:
        document = {
            "data": {
                "order": {"order_id": order_id, "order_amount": 170.0, "order_currency": "INR", "order_tags": None},
                "payment": {"cf_payment_id": payment_id, "payment_status": status, "payment_amount": 170.0},
            },
            "event_time": event_time,
            "type": type_,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    return build


@pytest.fixture
def signed(clock: FakeClock) -> Headers:
    """The headers that Cashfree sends beside a body."""

    def build(body: bytes, at: datetime | None = None, secret: str = _SECRET, **more: str) -> dict[str, str]:
        timestamp = str(((at or clock.now()) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
        mac = hmac.digest(secret.encode(), timestamp.encode() + body, "sha256")
        return {
            "content-type": "application/json",
            "x-webhook-timestamp": timestamp,
            "x-webhook-signature": base64.b64encode(mac).decode(),
            "x-webhook-version": "2025-01-01",
            "x-webhook-attempt": "1",
        } | {name.replace("_", "-"): value for name, value in more.items()}

    return build


@pytest.fixture
def webhook(signed: Headers, clock: FakeClock) -> Callable[..., Webhook]:
    """A verified webhook with this body."""

    def build(body: bytes, account_id: str = "gwa_cashfree") -> Webhook:
        headers = signed(body)
        return Webhook(
            webhook_id=ids.new(),
            gateway="cashfree",
            account_id=account_id,
            summary=adapter("cashfree").summarise_webhook(body),
            version="2025-01-01",
            attempt=1,
            body=body,
            headers=kept_headers(headers),
            signature=headers["x-webhook-signature"],
            received_at=clock.now(),
        )

    return build


@pytest_asyncio.fixture
async def owner_db(owner_url: str, service_name: str) -> AsyncIterator[Database]:
    """The test's database with the rights of the migrations."""
    async with connect(owner_url, service=service_name) as database:
        yield database


@pytest.fixture
def settings(service_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With the platform's own account at Cashfree."""
    monkeypatch.setenv("CASHFREE_WEBHOOK_SECRET", _SECRET)
    return read(Settings)


@pytest_asyncio.fixture
async def ingest(
    settings: Settings, resources: Resources, serve: Callable[[Service], AbstractAsyncContextManager[Served]]
) -> AsyncIterator[Served]:
    """The service in this process."""
    async with service(settings, resources) as value, serve(value) as served:
        yield served
