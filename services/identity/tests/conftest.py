"""Builders, and the service's endpoints as a client sees them; the engines come from common.testing."""

import base64
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from msgspec.structs import replace

from common import ids
from common.clock import FakeClock
from common.runtime import Resources, Service
from common.settings import read
from common.testing import Served
from common.tokens import read_jwks
from identity.__main__ import service
from identity.domain.account_mails import AccountMailPolicy
from identity.domain.users import Access, Profile, Status, User
from identity.issuer import Issuer
from identity.settings import Settings

# Each sign-up sends a mail; an hour allows five of a kind.
MAILS = AccountMailPolicy(
    "mer_commdesk",
    verification_life=timedelta(days=1),
    reset_life=timedelta(minutes=30),
    per_account=5,
    per_address=100,
    window=timedelta(hours=1),
)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
CLIENT_IP = "203.0.113.7"

Json = dict[str, Any]
BuildUser = Callable[..., User]
BuildForm = Callable[..., dict[str, str]]
Bearer = Callable[[Json], dict[str, str]]
Serve = Callable[[Service], AbstractAsyncContextManager[Served]]


def key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def user() -> BuildUser:
    """A user who is not in the database."""

    def build(**changes: object) -> User:
        built = User(
            user_id=ids.new(),
            merchant_id="mer_commdesk",
            email="asha@example.com",
            password_hash="$argon2id$x",
            profile=Profile("Asha Rao", "9876543210", "+91"),
            type="USER",
            access=Access(Status.ACTIVE, frozenset({"USER"})),
            is_email_verified=False,
            is_mobile_number_verified=False,
            version=1,
            created_at=NOW,
            updated_at=NOW,
        )
        return replace(built, **changes)

    return build


@pytest.fixture
def clock() -> FakeClock:
    """Tokens are verified against the machine's clock, so this one starts there."""
    return FakeClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def make_key() -> Callable[[], str]:
    return key


@pytest.fixture
def token_key() -> str:
    return key()


@pytest.fixture
def issuer(token_key: str) -> Issuer:
    return Issuer(token_key, (), timedelta(minutes=15), "commdesk-identity", "commdesk")


@pytest.fixture
def settings(service_env: dict[str, str], token_key: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With the least that Argon2 does: these tests are about who gets in, not about how long guessing takes. Most of
    them log in at once; test_account_mails.py verifies addresses.
    """
    own = {
        "TOKEN_PRIVATE_KEY": token_key,
        "HASHING_MEMORY_KIB": "8",
        "HASHING_PASSES": "1",
        "EMAIL_VERIFICATION": "optional",
        "STAFF_SECOND_FACTOR": "optional",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return read(Settings)


@pytest.fixture
async def identity(settings: Settings, resources: Resources, serve: Serve) -> AsyncIterator[Served]:
    """The service; it verifies access tokens as every other service does, with the keys that it publishes."""
    async with service(settings, resources) as value, serve(value) as served:
        key_set = await served.http.get("/.well-known/jwks.json")
        resources.user_tokens.accept(read_jwks(key_set.content))
        yield served


@pytest.fixture
def http(identity: Served) -> httpx.AsyncClient:
    """The HTTP endpoints as a client sees them; behind Traefik, which adds the client's address."""
    identity.http.headers["X-Forwarded-For"] = CLIENT_IP
    return identity.http


@pytest.fixture
def somebody_waits(superuser_url: str) -> Callable[[], Awaitable[bool]]:
    """Whether a session of the test's database waits for a lock."""

    async def somebody_waits() -> bool:
        connection = await asyncpg.connect(superuser_url)
        try:
            waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            return bool(await connection.fetchval(f"select exists ({waiting})"))
        finally:
            await connection.close()

    return somebody_waits


_numbers = itertools.count(1)


@pytest.fixture
def form() -> BuildForm:
    """What a sign-up sends; every call is another person."""

    def build(**changes: str) -> dict[str, str]:
        return {
            "email": f"member{next(_numbers)}@example.com",
            "name": "Asha Rao",
            "password": PASSWORD,
            "confirmPassword": changes.get("password", PASSWORD),
            "mobileNumber": "9876543210",
            "countryCode": "+91",
            "type": "USER",
        } | changes

    return build


@pytest.fixture
def bearer() -> Bearer:
    """The header of a user who is logged in."""
    return lambda session: {"Authorization": f"Bearer {session['token']}"}
