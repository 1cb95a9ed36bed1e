"""JSON web tokens: reading what one claims to be, verifying it with one key, remembering what was verified."""

import time
from collections import OrderedDict
from typing import Any, Generic, TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.errors import Unauthenticated

LEEWAY_SECONDS = 10
TOKEN_LENGTH_MAX = 4096
CACHED_TOKENS_MAX = 10_000

# What reading a foreign token may raise: base64, JSON of any depth, claims of any type.
UNREADABLE = (jwt.PyJWTError, OverflowError, ValueError, TypeError, RecursionError, AttributeError)

T = TypeVar("T")


class TokenMissing(Unauthenticated):
    fix = "Send the header `Authorization: Bearer <access token>`."


class TokenInvalid(Unauthenticated):
    fix = "Sign in again and use the new access token."


class TokenExpired(Unauthenticated):
    fix = "Refresh the access token, then send the request again."


class ServiceTokenInvalid(Unauthenticated):
    fix = "Check SERVICE_PRIVATE_KEY of the caller and SERVICE_PUBLIC_KEYS of the callee."


class Verified(Generic[T]):
    """What verified tokens said, the least recently used forgotten first; each until its token expires."""

    def __init__(self, items_max: int = CACHED_TOKENS_MAX) -> None:
        self._items: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._items_max = items_max

    def get(self, token: str) -> T | None:
        """Raises TokenExpired when the token was good once."""
        item = self._items.get(token)
        if item is None:
            return None
        expires_at, value = item
        if expires_at <= time.time():
            del self._items[token]
            raise TokenExpired("the token has expired")
        self._items.move_to_end(token)
        return value

    def put(self, token: str, expires_at: float, value: T) -> None:
        self._items[token] = (expires_at, value)
        if len(self._items) > self._items_max:
            self._items.popitem(last=False)

    def clear(self) -> None:
        self._items.clear()

    def __len__(self) -> int:
        return len(self._items)


def header_of(token: str) -> tuple[str, str]:
    """The (algorithm, key id) that the token claims; both are only ever used to look up one of our own."""
    if len(token) > TOKEN_LENGTH_MAX:
        raise TokenInvalid("the token is too long")
    try:
        header = jwt.get_unverified_header(token)
    except UNREADABLE:
        raise TokenInvalid("the token is malformed") from None
    algorithm, key_id = header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str) or not isinstance(key_id, str):
        raise TokenInvalid("the token is malformed")
    return algorithm, key_id


def claims_of(
    token: str, key: Ed25519PublicKey | str, algorithm: str, *, audience: str, issuer: str, life_seconds_max: int
) -> dict[str, Any]:
    """The claims of a token that *issuer* signed for *audience*. Raises TokenInvalid or TokenExpired.

    A token whose life (`exp` minus `iat`) is longer than *life_seconds_max* is refused: whoever comes by a key for a
    moment must not be able to sign tokens for years.
    """
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "aud", "iat", "exp"]},
        )
        life_seconds = int(claims["exp"]) - int(claims["iat"])
    except jwt.ExpiredSignatureError:
        raise TokenExpired("the token has expired") from None
    except UNREADABLE:
        raise TokenInvalid("the token is not valid") from None
    if life_seconds > life_seconds_max:
        raise TokenInvalid("the token lives too long")
    return claims
