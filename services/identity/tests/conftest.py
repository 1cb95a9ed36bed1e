"""Builders, and the service's endpoints as a client sees them; the engines come from common.testing."""

import base64
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace
from redis.asyncio import Redis

from common import ids
from common.clock import FakeClock
from common.database import Database
from common.http_server import ServerConfig, app, encode
from common.settings import read
from common.tokens import UserTokens
from identity.__main__ import parts
from identity.domain.users import Access, Profile, Status, User
from identity.issuer import Issuer
from identity.settings import Settings

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
CLIENT_IP = "203.0.113.7"

Json = dict[str, Any]
BuildUser = Callable[..., User]
BuildForm = Callable[..., dict[str, str]]
Bearer = Callable[[Json], dict[str, str]]
Verifier = Callable[[Issuer], AbstractAsyncContextManager[UserTokens]]
Serve = Callable[[Redis], AbstractAsyncContextManager[httpx.AsyncClient]]


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
def verifier() -> Verifier:
    """Verifies as every other service does: with the keys that an issuer publishes."""

    @asynccontextmanager
    async def verifying(issuer: Issuer) -> AsyncIterator[UserTokens]:
        async def key_set(request: web.Request) -> web.Response:
            return web.Response(body=encode(issuer.key_set))

        application = web.Application()
        application.router.add_get("/jwks.json", key_set)
        async with (
            TestServer(application) as server,
            UserTokens(str(server.make_url("/jwks.json"))) as tokens,
        ):
            yield tokens

    return verifying


@pytest.fixture
def settings(settings_env: dict[str, str], token_key: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With the least that Argon2 does: these tests are about who gets in, not about how long guessing takes."""
    own = {"TOKEN_PRIVATE_KEY": token_key, "HASHING_MEMORY_KIB": "8", "HASHING_PASSES": "1"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return read(Settings)


@pytest.fixture
def serve(settings: Settings, db: Database, clock: FakeClock, issuer: Issuer, verifier: Verifier) -> Serve:
    """The HTTP endpoints as a client sees them; behind Traefik, which says whose request it is."""

    @asynccontextmanager
    async def serving(redis: Redis) -> AsyncIterator[httpx.AsyncClient]:
        async with parts(settings, db, redis, clock) as service, verifier(issuer) as tokens:
            transport = httpx.ASGITransport(app=app(service.http, ServerConfig("identity", tokens)))
            headers = {"X-Forwarded-For": CLIENT_IP}
            async with httpx.AsyncClient(transport=transport, base_url="http://identity", headers=headers) as client:
                yield client

    return serving


@pytest.fixture
async def http(serve: Serve, redis: Redis) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(redis) as client:
        yield client


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
