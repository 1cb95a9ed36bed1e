"""Who is calling: people by their access token, services by theirs. Both are verified here, offline.

The key is chosen by the algorithm and the key id that the token names, each from its own set, so that a public key
is never taken for an HS256 secret and "none" is never an algorithm. Verified tokens are remembered until they expire.
"""

from common.tokens.callers import Caller
from common.tokens.jwts import ServiceTokenInvalid, TokenExpired, TokenInvalid, TokenMissing
from common.tokens.revocations import Revocation, Revocations, RevocationsUnknown, TokenRevoked
from common.tokens.services import ServiceTokens
from common.tokens.users import UserTokens, read_jwks

__all__ = [
    "Caller",
    "Revocation",
    "Revocations",
    "RevocationsUnknown",
    "ServiceTokenInvalid",
    "ServiceTokens",
    "TokenExpired",
    "TokenInvalid",
    "TokenMissing",
    "TokenRevoked",
    "UserTokens",
    "read_jwks",
]
