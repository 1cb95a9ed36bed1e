"""Access tokens that nobody may get in with, each with one thing wrong: the rest is as identity signs it."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key
from msgspec import Struct

from common.settings import ServiceSettings
from common.tokens import ServiceTokens
from ops.credentials import Credentials
from ops.fleet_client import FleetClient

# All that the routes name, and so the worst that a forged token may claim.
ROLES = ("USER", "ADMIN", "FINANCE", "SUPPORT", "OPERATOR")
TEN_YEARS_SECONDS = 10 * 365 * 86_400


class Signer(Struct, frozen=True):
    """Identity's own key, under the id that its services know it by."""

    key: Ed25519PrivateKey
    key_id: str

    def token(self, *, without: str = "", **changes: object) -> str:
        """A genuine token, but for *changes* to its claims and the one that it is *without*."""
        content = {name: value for name, value in claims(**changes).items() if name != without}
        return jwt.encode(content, self.key, algorithm="EdDSA", headers={"kid": self.key_id})


def claims(**changes: object) -> dict[str, Any]:
    now = int(time.time())
    issuer, audience = (ServiceSettings.model_fields[name].default for name in ("token_issuer", "token_audience"))
    return {
        "iss": issuer,
        "aud": audience,
        "iat": now,
        "exp": now + 600,
        "sub": "usr_01J0000000000000000000000A",
        "merchant_id": "mer_commdesk",
        "roles": list(ROLES),
        "jti": f"tests.{now}",
    } | changes


async def signer_of(fleet: FleetClient, credentials: Credentials) -> Signer:
    """Raises KeyError when identity does not publish the key of the stack's credentials."""
    private = base64.b64decode(credentials.keys["identity-tokens"]["private"])
    key = Ed25519PrivateKey.from_private_bytes(private) if len(private) == 32 else load_der_private_key(private, None)
    assert isinstance(key, Ed25519PrivateKey)
    public = _text(key.public_key().public_bytes_raw())
    keys = (await fleet.edge("GET", "/.well-known/jwks.json")).body["keys"]
    return Signer(key, {each["x"]: each["kid"] for each in keys}[public])


def forged(signer: Signer, credentials: Credentials, service: str) -> Mapping[str, str]:
    """By what is wrong with it, the Authorization header of a request to *service*."""
    now = int(time.time())
    secret = credentials.words["jwt_secret"].encode()
    public = signer.key.public_key()
    spki = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    genuine = signer.token()
    head, content, signature = genuine.split(".")
    operator = ServiceTokens("operator", credentials.keys["operator"]["private"], credentials.public_keys())
    tokens = {
        "garbage": "x.y.z",
        "longer than any": "." * 5_000,
        "not ASCII": "é.é.é",
        "alg none": _signed({"alg": "none"}),
        "alg none with a key id": _signed({"alg": "None", "kid": signer.key_id}),
        "alg none, signed": f"{_signed({'alg': 'none'})}{signature}",
        "HS256 with the public key as PEM": _signed({"alg": "HS256", "kid": signer.key_id}, spki),
        "HS256 with the public key": _signed({"alg": "HS256", "kid": signer.key_id}, public.public_bytes_raw()),
        "HS256 with an empty secret": _signed({"alg": "HS256"}, b"", sub="member_1"),
        "HS256 with another secret": _signed({"alg": "HS256"}, secret[::-1], sub="member_1"),
        "HS512 with the secret": _signed({"alg": "HS512"}, secret, "sha512"),
        "HS256 for ten years": _signed({"alg": "HS256"}, secret, sub="member_1", exp=now + TEN_YEARS_SECONDS),
        "HS256 of another issuer": _signed({"alg": "HS256"}, secret, sub="member_1", iss="somebody"),
        "HS256 for another audience": _signed({"alg": "HS256"}, secret, sub="member_1", aud="somebody"),
        "HS256, expired": _signed({"alg": "HS256"}, secret, sub="member_1", iat=now - 900, exp=now - 60),
        "HS256 that names an account": _signed({"alg": "HS256"}, secret, roles=["USER"]),
        "another algorithm": _signed({"alg": "RS256", "kid": signer.key_id}, secret),
        "a list of algorithms": _signed({"alg": ["EdDSA"], "kid": signer.key_id}, secret),
        "another's key under identity's id": Signer(Ed25519PrivateKey.generate(), signer.key_id).token(),
        "another's key under its own id": Signer(Ed25519PrivateKey.generate(), "k-other").token(),
        "a key id that is a path": Signer(signer.key, "../../dev/null").token(),
        "without its signature": f"{head}.{content}.",
        "signature changed": f"{head}.{content}.{signature[:-6]}AAAAAA",
        "content changed": f"{head}.{_text(json.dumps(claims(sub='usr_other')).encode())}.{signature}",
        "expired": signer.token(iat=now - 900, exp=now - 60),
        "not valid yet": signer.token(nbf=now + 600),
        "issued in the future": signer.token(iat=now + 600, exp=now + 900),
        "for ten years": signer.token(exp=now + TEN_YEARS_SECONDS),
        "of another issuer": signer.token(iss="somebody"),
        "for another audience": signer.token(aud="somebody"),
        **{f"without {name}": signer.token(without=name) for name in ("iss", "aud", "iat", "exp", "sub")},
        "without merchant_id": signer.token(without="merchant_id"),
        "sub with a line break": signer.token(sub="usr_1\nusr_2"),
        "roles that are an object": signer.token(roles={"ADMIN": True}),
        "a service's token": operator.issue(service),
    }
    return {
        "absent": "",
        "empty": "Bearer ",
        "of another scheme": f"Basic {genuine}",
        "without a scheme": genuine,
        **{name: f"Bearer {token}" for name, token in tokens.items()},
    }


def hs256(credentials: Credentials, **changes: Any) -> str:
    """A token as the existing issuer signs it for one of its own users, which the stack accepts."""
    secret = credentials.words["jwt_secret"].encode()
    return _signed({"alg": "HS256"}, secret, **({"sub": "member_1"} | changes))


def _signed(header: Mapping[str, object], secret: bytes | None = None, digest: str = "sha256", **changes: Any) -> str:
    text = f"{_text(json.dumps(header).encode())}.{_text(json.dumps(claims(**changes)).encode())}"
    return f"{text}.{_text(hmac.digest(secret, text.encode(), getattr(hashlib, digest))) if secret is not None else ''}"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
