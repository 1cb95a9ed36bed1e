"""People's access tokens, verified by the issuer's published keys."""

import asyncio
import base64
import re
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from loguru import logger

from common import ids
from common.permissions import TABLE
from common.texts import printable, storable
from common.tokens.callers import Caller
from common.tokens.jwts import LEEWAY_SECONDS, TokenInvalid, Verified, claims_of, header_of
from common.tokens.revocations import Revocations
from common.tokens.roles import MEMBER_ROLES

JWKS_REFRESH_SECONDS = 300.0
JWKS_RETRY_SECONDS = 2.0
JWKS_TIMEOUT_SECONDS = 2.0
JWKS_BYTES_MAX = 65_536
# An attacker who invents key ids must not turn every request into a fetch.
JWKS_UNKNOWN_KEY_PAUSE_SECONDS = 10.0
# The longest life that identity may give its tokens (TOKEN_EXPIRY).
ACCESS_TOKEN_SECONDS_MAX = 7 * 86_400
# Tokens of an existing issuer cannot be revoked.
HS256_TOKEN_SECONDS_MAX = 86_400
# Of roles or permissions in one token; far more than any user has.
NAMES_MAX = 200
CLAIM_CHARACTERS_MAX = 512
# Existing issuers know nothing of merchants: their users are the first merchant's.
FIRST_MERCHANT_ID = "mer_commdesk"

_TEXTS = ("sub", "merchant_id", "home_merchant_id", "account_id", "email", "name", "phone", "jti")

# Ids travel on in metadata and logs, so they are plain.
_is_plain = re.compile(r"[\x21-\x7e]{1,128}").fullmatch


class _UnknownKey(TokenInvalid):
    """The token names a key that we have not seen (yet)."""


_UnknownKey.code = TokenInvalid.code


class UserTokens:
    """Verifies access tokens: EdDSA by the issuer's published keys, HS256 only when a secret is given.

    Every service holds that secret, so a reader of one service's environment can sign with it: HS256 tokens name
    members only (other roles are dropped), no account of identity's (TokenInvalid), and live a day at most.

    As a context manager it fetches the keys and keeps them fresh; while the issuer is away, the last known ones stay.
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
        self.revocations = Revocations()
        self._keys: Mapping[str, Ed25519PublicKey] = {}
        self._verified: Verified[Caller] = Verified()
        self._refreshing = asyncio.Lock()
        self._unknown_key_fetched_at = float("-inf")
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
        """The caller. Raises TokenInvalid, TokenExpired, TokenRevoked or RevocationsUnknown."""
        caller = self._verified.get(token) or self._verify(token)
        self.revocations.check(caller)
        return caller

    async def authenticate(self, token: str) -> Caller:
        """As `verify`; an unknown key id makes it fetch the keys, at most every ten seconds."""
        try:
            return self.verify(token)
        except _UnknownKey:
            now = time.monotonic()
            if self._jwks_url and now - self._unknown_key_fetched_at >= JWKS_UNKNOWN_KEY_PAUSE_SECONDS:
                self._unknown_key_fetched_at = now
                await self.refresh()
            elif self._refreshing.locked():
                async with self._refreshing:  # a fetch is under way, and its result serves this token too
                    pass
            return self.verify(token)

    async def refresh(self) -> bool:
        """Fetch the issuer's keys; on failure the last ones stay. Whether it worked."""
        async with self._refreshing:
            try:
                keys = read_jwks(await _fetch(self._jwks_url))
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                logger.warning("the issuer's keys could not be fetched: {}", type(error).__name__)
                return False
            self.accept(keys)
            return True

    def accept(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        """Accept what these keys sign from now on, by key id, and nothing that was signed by others."""
        if self._keys.keys() - keys.keys():
            self._verified.clear()  # a key was withdrawn, and with it what it signed
        self._keys = keys

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(JWKS_REFRESH_SECONDS if self._keys else JWKS_RETRY_SECONDS)
            await self.refresh()

    def _verify(self, token: str) -> Caller:
        algorithm, key_id = header_of(token)
        if algorithm == "EdDSA":
            key = self._keys.get(key_id)
            if key is None:
                raise _UnknownKey("the token is signed with an unknown key")
            claims = self._claims(token, key, algorithm, ACCESS_TOKEN_SECONDS_MAX)
            caller = _resolved(_caller(claims, merchant_id=""), _names(claims, "permissions"))
        elif algorithm == "HS256" and self._hs_secret is not None:
            claims = self._claims(token, self._hs_secret, algorithm, HS256_TOKEN_SECONDS_MAX)
            caller = _caller(claims, merchant_id=FIRST_MERCHANT_ID)
            if _is_account(caller.user_id) or caller.user_id.startswith(("mer_", "acc_", "apk_")):
                raise TokenInvalid("only identity's own tokens name its accounts")
            # Nor is anybody another merchant's user, or a member of its account, by another issuer's word.
            caller = msgspec.structs.replace(
                caller,
                merchant_id=FIRST_MERCHANT_ID,
                roles=caller.roles & MEMBER_ROLES,
                account_id="",
                member_roles=frozenset(),
                home_merchant_id="",
            )
            caller = _resolved(caller, ())
        else:
            raise TokenInvalid("the token's algorithm is not accepted")
        self._verified.put(token, int(claims["exp"]) + LEEWAY_SECONDS, caller)
        return caller

    def _claims(self, token: str, key: Ed25519PublicKey | str, algorithm: str, life_seconds_max: int) -> dict[str, Any]:
        return claims_of(
            token,
            key,
            algorithm,
            audience=self._audience,
            issuer=self._issuer,
            life_seconds_max=life_seconds_max,
        )


def read_jwks(document: bytes) -> dict[str, Ed25519PublicKey]:
    """The Ed25519 signing keys of a JSON Web Key Set by key id; other kinds are passed over. Raises ValueError."""
    try:
        entries = msgspec.json.decode(document, type=_KeySet).keys
    except (msgspec.MsgspecError, RecursionError):
        raise ValueError("not a key set") from None
    keys = {}
    for entry in entries:
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


def _caller(claims: Mapping[str, Any], *, merchant_id: str) -> Caller:
    """Raises TokenInvalid when a claim is missing or not of its type; *merchant_id* stands in for a missing one."""
    texts = {name: claims.get(name) or "" for name in _TEXTS}
    methods = claims.get("amr")
    if not all(isinstance(value, str) for value in texts.values()):
        raise TokenInvalid("a claim of the token has the wrong type")
    roles, member_roles = _names(claims, "roles"), _names(claims, "member_roles")
    account_id = texts["account_id"]
    merchant_id = texts["merchant_id"] or merchant_id
    if not _is_plain(texts["sub"]) or not _is_plain(merchant_id):
        raise TokenInvalid("the token does not say who or whose")
    return Caller(
        user_id=texts["sub"],
        merchant_id=merchant_id,
        # In an account the roles of the platform count for nothing.
        roles=frozenset() if account_id else frozenset(role.upper() for role in roles),
        # A foreign issuer's claim about a person: a text that no column takes is left out.
        email=_carried(texts["email"]),
        name=_carried(texts["name"]),
        phone=_carried(texts["phone"]),
        token_id=_carried(texts["jti"]),
        # Identity's token ids begin with the session's; other issuers' may look like anything.
        session_id=texts["jti"].partition(".")[0] if texts["jti"].startswith("ses_") else "",
        user_version=_count(claims, "user_version"),
        issued_at_seconds=int(claims["iat"]),
        authenticated_at_seconds=_count(claims, "auth_time"),
        methods=frozenset(method for method in methods if isinstance(method, str))
        if isinstance(methods, list)
        else frozenset(),
        is_email_verified=claims.get("email_verified") is True,
        account_id=account_id,
        member_roles=frozenset(member_roles) if account_id else frozenset(),
        home_merchant_id=texts["home_merchant_id"],
    )


def _resolved(caller: Caller, own: Collection[str]) -> Caller:
    """*caller* with their permissions: once per token, which is remembered with them. *own* are those of roles that a
    merchant has made itself.
    """
    of_member = TABLE.of_member(caller.member_roles, own) if caller.account_id else None
    granted = TABLE.of_platform_roles(caller.roles) if of_member is None else of_member
    return msgspec.structs.replace(caller, permissions=granted)


def _names(claims: Mapping[str, Any], claim: str) -> list[str]:
    """The names that *claim* lists, or the one that it is. Raises TokenInvalid."""
    names = claims.get(claim) or []
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, list):
        raise TokenInvalid("a claim of the token has the wrong type")
    if not all(isinstance(name, str) and printable(name, 128) for name in names) or len(names) > NAMES_MAX:
        raise TokenInvalid("a role of the token is none")
    return names


def _is_account(user_id: str) -> bool:
    """Whether *user_id* is an id as identity gives them."""
    try:
        ids.decode("usr", user_id)
    except ids.IdInvalid:
        return False
    return True


def _count(claims: Mapping[str, Any], name: str) -> int:
    """A claim that is a whole number; what is none, or absent, is as good as the oldest."""
    value = claims.get(name)
    return value if type(value) is int and 0 <= value < 2**53 else 0


def _carried(text: str) -> str:
    return text if len(text) <= CLAIM_CHARACTERS_MAX and storable(text, CLAIM_CHARACTERS_MAX) == text else ""
