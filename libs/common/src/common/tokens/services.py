"""Services' tokens: who calls whom, signed with the caller's own key."""

import base64
import time
from collections.abc import Mapping

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common.tokens.jwts import (
    LEEWAY_SECONDS,
    ServiceTokenInvalid,
    TokenExpired,
    TokenInvalid,
    Verified,
    claims_of,
    header_of,
)

SERVICE_TOKEN_LIFE_SECONDS = 300
SERVICE_TOKEN_REUSE_SECONDS = 240


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
        self._verified: Verified[tuple[str, str]] = Verified(1_000)

    def issue(self, audience: str) -> str:
        """A token for *audience*, good for a minute at least; the same one for four."""
        now = time.time()
        issued = self._issued.get(audience)
        if issued is not None and now < issued[0]:
            return issued[1]
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
            service, callee = self._verified.get(token) or self._verify(token, audience)
        except (TokenInvalid, TokenExpired) as error:
            raise ServiceTokenInvalid(error.message) from None
        if callee != audience:
            raise ServiceTokenInvalid("the token is for another service")
        return service

    def _verify(self, token: str, audience: str) -> tuple[str, str]:
        algorithm, service = header_of(token)
        key = self._public_keys.get(service)
        if algorithm != "EdDSA" or key is None:
            raise TokenInvalid("the caller is not known")
        claims = claims_of(
            token, key, "EdDSA", audience=audience, issuer=service, life_seconds_max=SERVICE_TOKEN_LIFE_SECONDS
        )
        self._verified.put(token, int(claims["exp"]) + LEEWAY_SECONDS, (service, audience))
        return service, audience
