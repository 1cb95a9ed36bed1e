"""Builders; the database, Redis and the rest come from common.testing."""

from __future__ import annotations

import base64
import itertools
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from argon2 import Parameters
from argon2.low_level import ARGON2_VERSION, Type

from common import ids
from common.clock import FakeClock
from common.http_server import Door, app
from common.tokens import Caller, UserTokens, read_jwks
from identity import routes
from identity.accounts import Accounts
from identity.domain import Access, Profile, Status, User
from identity.issuer import Issuer
from identity.passwords import Passwords
from identity.settings import Settings

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
# The least that Argon2 does: these tests are about who gets in, not about how long guessing takes.
QUICK = Parameters(Type.ID, ARGON2_VERSION, salt_len=16, hash_len=32, time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery"


def key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def user() -> Callable[..., User]:
    """A user who is not in the database."""

    def build(**changes: object) -> User:
        profile = Profile("Asha Rao", "9876543210", "+91")
        access = Access(Status.ACTIVE, frozenset({"USER"}))
        built = User(
            ids.new(),
            "mer_commdesk",
            "asha@example.com",
            "$argon2id$x",
            profile,
            "USER",
            access,
            False,
            False,
            1,
            NOW,
            NOW,
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
def quick() -> Parameters:
    return QUICK


@pytest.fixture
def token_key() -> str:
    return key()


@pytest.fixture
def issuer(token_key: str) -> Issuer:
    return Issuer(token_key, (), timedelta(minutes=15), "commdesk-identity", "commdesk")


@pytest.fixture
def settings(settings_env, token_key: str) -> Settings:
    return Settings(token_private_key=token_key)


class OwnKeys:
    """Verifies as every other service does, with the keys that this one publishes."""

    def __init__(self) -> None:
        self.tokens = UserTokens("")

    def learn(self, document: bytes) -> None:
        self.tokens._keys = read_jwks(document)

    async def authenticate(self, token: str) -> Caller:
        return await self.tokens.authenticate(token)


@pytest.fixture
async def accounts(settings, db, redis, clock, issuer) -> AsyncIterator[Accounts]:
    async with Passwords(2, 64, QUICK) as passwords:
        yield Accounts(settings, db, redis, clock, passwords, issuer)


@pytest.fixture
async def http(accounts: Accounts) -> AsyncIterator[httpx.AsyncClient]:
    """The HTTP door as a client meets it; behind Traefik, which says whose request it is."""
    keys = OwnKeys()
    application = app(routes.routes(accounts), Door("identity", keys))
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://identity", headers={"X-Forwarded-For": "203.0.113.7"}
    ) as client:
        keys.learn((await client.get("/.well-known/jwks.json")).content)
        yield client


_numbers = itertools.count(1)


@pytest.fixture
def form() -> Callable[..., dict[str, str]]:
    """What a sign-up sends; every call is somebody else."""

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
def bearer() -> Callable[[dict[str, str]], dict[str, str]]:
    """The header of somebody who is logged in."""
    return lambda session: {"Authorization": f"Bearer {session['token']}"}
