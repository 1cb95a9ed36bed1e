"""Builders: Cashfree's webhooks as its documentation shows them, signed as Cashfree signs."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import datetime
from typing import Protocol

import pytest
import pytest_asyncio

from common import ids, seals
from common.clock import FakeClock
from common.database import Database, connect
from common.runtime import Resources, Service
from common.settings import read
from common.testing import Served
from gateways import GatewayAccount
from gateways.cashfree import testing
from gateways.registry import adapter
from webhook_ingest.__main__ import service
from webhook_ingest.domain import Webhook, kept_headers
from webhook_ingest.settings import Settings

Body = Callable[..., bytes]
Headers = Callable[..., dict[str, str]]
Serve = Callable[[Service], AbstractAsyncContextManager[Served]]


@pytest.fixture
def secret() -> str:
    return testing.SECRET


@pytest.fixture
def account() -> GatewayAccount:
    return GatewayAccount(id="gwa_cashfree", gateway="cashfree", webhook_secrets=(testing.SECRET,))


@pytest.fixture
def payment_body() -> Body:
    return testing.payment_body


@pytest.fixture
def signed(clock: FakeClock) -> Headers:
    """The headers that Cashfree sends beside a body, now unless *at* says when."""

    def build(body: bytes, at: datetime | None = None, secret: str = testing.SECRET, **more: str) -> dict[str, str]:
        return testing.signed_headers(body, at or clock.now(), secret, **more)

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
    async with connect(owner_url, service=service_name, sealer=seals.generated()) as database:
        yield database


@pytest.fixture
def settings(service_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With the platform's own account at Cashfree."""
    monkeypatch.setenv("CASHFREE_WEBHOOK_SECRET", testing.SECRET)
    return read(Settings)


@pytest_asyncio.fixture
async def ingest(
    settings: Settings, resources: Resources, serve: Callable[[Service], AbstractAsyncContextManager[Served]]
) -> AsyncIterator[Served]:
    """The service in this process."""
    async with service(settings, resources) as value, serve(value) as served:
        yield served


class Replica(Protocol):
    """A replica of the service that has these accounts."""

    async def __call__(self, *accounts: GatewayAccount) -> Served: ...


@pytest_asyncio.fixture
async def replica(settings: Settings, resources: Resources, serve: Serve) -> AsyncIterator[Replica]:
    async with AsyncExitStack() as stack:

        async def start(*accounts: GatewayAccount) -> Served:
            class OwnAccounts(Settings):
                @property
                def gateway_accounts(self) -> tuple[GatewayAccount, ...]:
                    return accounts

            value = await stack.enter_async_context(service(read(OwnAccounts), resources))
            return await stack.enter_async_context(serve(value))

        yield start
