"""Cashfree's webhooks, by the clock of the test."""

from collections.abc import Callable
from datetime import datetime

import pytest

from common.clock import FakeClock
from gateways import GatewayAccount
from gateways.cashfree import testing

Body = Callable[..., bytes]
Headers = Callable[..., dict[str, str]]


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
