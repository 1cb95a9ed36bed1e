"""Who is calling: people by their access token, services by theirs. Both are verified here, offline.

The key is chosen by the algorithm and the key id that the token names, each from its own set, so that a public key
is never taken for an HS256 secret and "none" is never an algorithm. Verified tokens are remembered until they expire.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import aiohttp
import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from loguru import logger

from common.errors import Unauthenticated

LEEWAY_SECONDS = 10
TOKEN_LENGTH_MAX = 4096
CACHED_TOKENS_MAX = 10_000
SERVICE_TOKEN_LIFE_SECONDS = 300
SERVICE_TOKEN_REUSE_SECONDS = 240
JWKS_REFRESH_SECONDS = 300.0
JWKS_RETRY_SECONDS = 2.0
JWKS_TIMEOUT_SECONDS = 2.0
JWKS_BYTES_MAX = 65_536
# An attacker who invents key ids must not turn every request into a fetch.
JWKS_UNKNOWN_KEY_PAUSE_SECONDS = 10.0
# Existing issuers know nothing of merchants: their users are the first merchant's.
FIRST_MERCHANT_ID = "mer_commdesk"


class TokenMissing(Unauthenticated):
    fix = "Send the header `Authorization: Bearer <access token>`."


class TokenInvalid(Unauthenticated):
    fix = "Sign in again and use the new access token."


class TokenExpired(Unauthenticated):
    fix = "Refresh the access token, then send the request again."


class ServiceTokenInvalid(Unauthenticated):
    fix = "Check SERVICE_PRIVATE_KEY of the caller and SERVICE_PUBLIC_KEYS of the callee."


@dataclass(frozen=True, slots=True)
class Caller:
    """The person, as the token's issuer vouches for them. *roles* are upper case."""

    user_id: str
    merchant_id: str
    roles: frozenset[str] = frozenset()
    email: str = ""
    name: str = ""
    phone: str = ""
    token_id: str = ""


T = TypeVar("T")


class _Verified(Generic[T]):
    """What verified tokens said, the least recently used forgotten first; each until its token expires."""

    def __init__(self, items_max: int = CACHED_TOKENS_MAX) -> None:
        self._items: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._items_max = items_max

    def get(self, token: str) -> T | None:
        """Raises TokenExpired when the token was good once."""
        found = self._items.get(token)
        if found is None:
            return None
        if found[0] <= time.time():
            del self._items[token]
            raise TokenExpired("the token has expired")
        self._items.move_to_end(token)
        return found[1]

    def put(self, token: str, expires_at: float, value: T) -> None:
        self._items[token] = (expires_at, value)
        if len(self._items) > self._items_max:
            self._items.popitem(last=False)

    def clear(self) -> None:
        self._items.clear()

    def __len__(self) -> int:
        return len(self._items)


class _UnknownKey(TokenInvalid):
    """The token names a key that we have not seen (yet)."""


_UnknownKey.code = TokenInvalid.code


class UserTokens:
    """Verifies access tokens: EdDSA by the issuer's published keys, HS256 only when a secret is set.

    As a context manager it fetches the keys and keeps them fresh; when the issuer is away, the last known ones stay.
    """

    def __init__(
        self,
        jwks_url: str,
        hs_secret: str | None = None,
        *,
        issuer: str = "commdesk-identity",
        audience: str = "commdesk",
    ) -> None:
        self._jwks_url = jwks_url
        self._hs_secret = hs_secret or None
        self._issuer = issuer
        self._audience = audience
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._verified: _Verified[Caller] = _Verified()
        self._refreshing = asyncio.Lock()
        self._asked_for_unknown_at = float("-inf")
        self._background: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._jwks_url:
            await self.refresh()
            self._background = asyncio.create_task(self._keep_fresh(), name="jwks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._background is not None:
            self._background.cancel()
            with suppress(asyncio.CancelledError):
                await self._background

    def verify(self, token: str) -> Caller:
        """The caller. Raises TokenInvalid or TokenExpired."""
        return self._verified.get(token) or self._verify(token)

    async def authenticate(self, token: str) -> Caller:
        """As `verify`; a key id not seen before is asked for once, at most every ten seconds."""
        try:
            return self.verify(token)
        except _UnknownKey:
            now = time.monotonic()
            if self._jwks_url and now - self._asked_for_unknown_at >= JWKS_UNKNOWN_KEY_PAUSE_SECONDS:
                self._asked_for_unknown_at = now
                await self.refresh()
            elif self._refreshing.locked():
                async with self._refreshing:  # somebody else is fetching: what they find serves this token too
                    pass
            return self.verify(token)

    async def refresh(self) -> bool:
        """Fetch the issuer's keys; on failure the known ones stay. Whether it worked."""
        async with self._refreshing:
            try:
                keys = read_jwks(await _fetch(self._jwks_url))
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                logger.warning("the issuer's keys could not be fetched: {}", type(error).__name__)
                return False
            if self._keys.keys() - keys.keys():
                self._verified.clear()  # a key was withdrawn, and with it what it signed
            self._keys = keys
            return True

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(JWKS_REFRESH_SECONDS if self._keys else JWKS_RETRY_SECONDS)
            await self.refresh()

    def _verify(self, token: str) -> Caller:
        algorithm, key_id = _header(token)
        if algorithm == "EdDSA":
            key = self._keys.get(key_id)
            if key is None:
                raise _UnknownKey("the token is signed with an unknown key")
            claims = _claims(token, key, "EdDSA", audience=self._audience, issuer=self._issuer)
            caller = _caller(claims, merchant_id="")
        elif algorithm == "HS256" and self._hs_secret is not None:
            claims = _claims(token, self._hs_secret, "HS256")
            # Existing issuers leave these out; where they are present they must be right.
            if claims.get("iss", self._issuer) != self._issuer or claims.get("aud", self._audience) != self._audience:
                raise TokenInvalid("the token is for somebody else")
            caller = _caller(claims, merchant_id=FIRST_MERCHANT_ID)
        else:
            raise TokenInvalid("the token's algorithm is not accepted")
        self._verified.put(token, int(claims["exp"]) + LEEWAY_SECONDS, caller)
        return caller


class ServiceTokens:
    """Tokens by which services know one another: `iss` is the caller, `aud` the callee, life five minutes."""

    def __init__(self, service: str, private_key: str, public_keys: Mapping[str, str]) -> None:
        """Keys are base64 of the 32 raw bytes. Raises ValueError when one is not."""
        self.service = service
        self._private_key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private_key, validate=True))
        self._public_keys = {
            name: Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
            for name, key in public_keys.items()
        }
        self._issued: dict[str, tuple[float, str]] = {}
        self._verified: _Verified[tuple[str, str]] = _Verified(1_000)

    def issue(self, audience: str) -> str:
        """A token for *audience*, good for a minute at least; the same one for four."""
        now = time.time()
        found = self._issued.get(audience)
        if found is not None and now < found[0]:
            return found[1]
        claims = {
            "iss": self.service,
            "aud": audience,
            "iat": int(now),
            "exp": int(now) + SERVICE_TOKEN_LIFE_SECONDS,
        }
        token = jwt.encode(claims, self._private_key, algorithm="EdDSA", headers={"kid": self.service})
        self._issued[audience] = (now + SERVICE_TOKEN_REUSE_SECONDS, token)
        return token

    def verify(self, token: str, audience: str) -> str:
        """The name of the service that calls *audience*. Raises ServiceTokenInvalid."""
        try:
            found = self._verified.get(token)
            if found is None:
                found = self._verify(token, audience)
        except (TokenInvalid, TokenExpired) as error:
            raise ServiceTokenInvalid(error.message) from None
        if found[1] != audience:
            raise ServiceTokenInvalid("the token is for another service")
        return found[0]

    def _verify(self, token: str, audience: str) -> tuple[str, str]:
        algorithm, service = _header(token)
        key = self._public_keys.get(service)
        if algorithm != "EdDSA" or key is None:
            raise TokenInvalid("the caller is not known")
        claims = _claims(token, key, "EdDSA", audience=audience, issuer=service)
        self._verified.put(token, int(claims["exp"]) + LEEWAY_SECONDS, (service, audience))
        return service, audience


def read_jwks(document: bytes) -> dict[str, Ed25519PublicKey]:
    """The Ed25519 signing keys of a JSON Web Key Set by key id; other kinds are passed over. Raises ValueError."""
    keys = {}
    for entry in msgspec.json.decode(document, type=_KeySet).keys:
        if entry.kty == "OKP" and entry.crv == "Ed25519" and entry.use in ("", "sig") and entry.kid:
            with suppress(UnsupportedAlgorithm):
                raw = base64.urlsafe_b64decode(entry.x + "=" * (-len(entry.x) % 4))
                keys[entry.kid] = Ed25519PublicKey.from_public_bytes(raw)
    if not keys:
        raise ValueError("the key set holds no Ed25519 key")
    return keys


class _Key(msgspec.Struct):
    kty: str
    kid: str = ""
    crv: str = ""
    x: str = ""
    use: str = ""


class _KeySet(msgspec.Struct):
    keys: list[_Key]


async def _fetch(url: str) -> bytes:
    timeout = aiohttp.ClientTimeout(total=JWKS_TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        document = bytearray()
        async for chunk in response.content.iter_chunked(16_384):
            document += chunk
            if len(document) > JWKS_BYTES_MAX:
                raise ValueError("the key set is too large")
        return bytes(document)


def _header(token: str) -> tuple[str, str]:
    """The (algorithm, key id) that the token claims; both are only ever used to look up one of our own."""
    if len(token) > TOKEN_LENGTH_MAX:
        raise TokenInvalid("the token is too long")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise TokenInvalid("the token is malformed") from None
    algorithm, key_id = header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str) or not isinstance(key_id, str):
        raise TokenInvalid("the token is malformed")
    return algorithm, key_id


def _claims(
    token: str, key: Ed25519PublicKey | str, algorithm: str, *, audience: str | None = None, issuer: str | None = None
) -> dict[str, Any]:
    required = ["exp"] + ["aud"] * (audience is not None) + ["iss"] * (issuer is not None)
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": required, "verify_aud": audience is not None, "verify_iss": issuer is not None},
        )
    except jwt.ExpiredSignatureError:
        raise TokenExpired("the token has expired") from None
    except (jwt.PyJWTError, OverflowError, ValueError, TypeError):
        raise TokenInvalid("the token is not valid") from None


def _caller(claims: Mapping[str, Any], *, merchant_id: str) -> Caller:
    """Raises TokenInvalid when a claim is missing or not of its type; *merchant_id* stands in for a missing one."""
    texts = {name: claims.get(name) or "" for name in ("sub", "merchant_id", "email", "name", "phone", "jti")}
    roles = claims.get("roles") or []
    if isinstance(roles, str):
        roles = [roles]
    if not all(isinstance(value, str) for value in texts.values()) or not isinstance(roles, list):
        raise TokenInvalid("a claim of the token has the wrong type")
    if not texts["sub"] or not (texts["merchant_id"] or merchant_id):
        raise TokenInvalid("the token does not say who or whose")
    return Caller(
        user_id=texts["sub"],
        merchant_id=texts["merchant_id"] or merchant_id,
        roles=frozenset(str(role).upper() for role in roles),
        email=texts["email"],
        name=texts["name"],
        phone=texts["phone"],
        token_id=texts["jti"],
    )
