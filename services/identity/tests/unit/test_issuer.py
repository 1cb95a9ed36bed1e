import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import jwt
import msgspec
import pytest

from common import ids
from common.http_server import encode
from common.testing import public_key
from common.tokens import TokenInvalid, UserTokens, read_jwks
from identity.domain.errors import RefreshTokenInvalid
from identity.domain.sessions import Device, Session, SessionPolicy, open_session
from identity.domain.users import User
from identity.issuer import Issuer
from identity.wire import requests, views

Opened = tuple[User, Session]


def verifier(issuer: Issuer) -> UserTokens:
    """Verifies as every other service does: with the keys that an issuer publishes."""
    tokens = UserTokens("")
    tokens.accept(read_jwks(encode(issuer.key_set)))
    return tokens


@pytest.fixture
def opened(user: Callable[..., User]) -> Opened:
    now = datetime.now(UTC)
    owner = user()
    return owner, open_session(
        ids.new(), owner, b"1" * 32, Device("", ""), now, SessionPolicy(timedelta(days=30), timedelta(days=30), 10)
    )


def test_every_service_verifies_what_is_issued_here(issuer: Issuer, opened: Opened) -> None:
    user, session = opened
    caller = verifier(issuer).verify(issuer.access_token(user, session, None, datetime.now(UTC)))
    assert caller.user_id == ids.encode("usr", user.user_id)
    assert (caller.merchant_id, caller.roles) == ("mer_commdesk", frozenset({"USER"}))
    assert (caller.email, caller.name, caller.phone) == ("asha@example.com", "Asha Rao", "+919876543210")
    assert requests.session_id(caller) == session.session_id
    assert views.cached_session(session).token_id == caller.token_id


def test_a_token_lives_as_long_as_the_settings_say(issuer: Issuer, opened: Opened) -> None:
    now = datetime.now(UTC)
    claims = jwt.decode(issuer.access_token(*opened, None, now), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 900


def test_another_key_is_not_ours(issuer: Issuer, opened: Opened, make_key: Callable[[], str]) -> None:
    stranger = Issuer(make_key(), (), timedelta(minutes=15), "commdesk-identity", "commdesk")
    with pytest.raises(TokenInvalid):
        verifier(issuer).verify(stranger.access_token(*opened, None, datetime.now(UTC)))


def test_a_retired_key_still_verifies(opened: Opened, make_key: Callable[[], str]) -> None:
    retired = make_key()
    before = Issuer(retired, (), timedelta(minutes=15), "commdesk-identity", "commdesk")
    after = Issuer(make_key(), (public_key(retired),), timedelta(minutes=15), "commdesk-identity", "commdesk")
    assert len(after.key_set.keys) == 2
    verifier(after).verify(before.access_token(*opened, None, datetime.now(UTC)))


def test_the_key_set_holds_no_private_part(issuer: Issuer, token_key: str) -> None:
    raw = base64.b64decode(token_key)
    assert base64.urlsafe_b64encode(raw).rstrip(b"=").decode() not in str(issuer.key_set)
    assert set(msgspec.to_builtins(issuer.key_set)["keys"][0]) == {"kty", "crv", "use", "alg", "kid", "x"}


def test_a_refresh_token_says_its_session_and_generation(issuer: Issuer) -> None:
    session_id = ids.new()
    rotation = issuer.rotation(issuer.refresh_token(session_id, 3))
    assert (rotation.session_id, rotation.generation, rotation.is_genuine) == (session_id, 3, True)
    assert rotation.token_hash == issuer.refresh_hash(session_id, 3)
    assert rotation.next_hash == issuer.refresh_hash(session_id, 4)
    secret = issuer.refresh_token(session_id, 3).rpartition(".")[2]
    assert hashlib.sha256(secret.encode()).digest() == rotation.token_hash


def test_a_refresh_token_cannot_be_made_from_another(issuer: Issuer) -> None:
    token = issuer.refresh_token(ids.new(), 3)
    name, _, secret = token.split(".")
    assert not issuer.rotation(f"{name}.4.{secret}").is_genuine
    other = issuer.refresh_token(ids.new(), 3).split(".")[0]
    assert not issuer.rotation(f"{other}.3.{secret}").is_genuine


@pytest.mark.parametrize("text", ["", "x", "rft_x.1.y", "a.b.c.d", "rft_01ARZ3NDEKTSV4RRFFQ69G5FAV.-1.x", "usr.1.x"])
def test_what_is_no_refresh_token_is_refused(issuer: Issuer, text: str) -> None:
    with pytest.raises(RefreshTokenInvalid):
        issuer.rotation(text)


@pytest.mark.parametrize("generation", ["0x1", "١", "1" * 10, "", "+1", "1e3"])
def test_a_generation_is_a_plain_number(issuer: Issuer, generation: str) -> None:
    name, _, secret = issuer.refresh_token(ids.new(), 1).split(".")
    with pytest.raises(RefreshTokenInvalid):
        issuer.rotation(f"{name}.{generation}.{secret}")
