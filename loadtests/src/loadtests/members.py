"""Members who pay, without sign-ups: tokens minted with the stack's own HS256 secret, as an existing issuer would.

Signing up costs a password hash each, on purpose, and is no part of a payment's lifecycle. The services verify these
tokens like any others.
"""

import time

import jwt

from common import ids
from common.settings import ServiceSettings

TOKEN_SECONDS = 6 * 3600


def tokens(secret: str, count: int) -> list[str]:
    """Access tokens of *count* members who have never paid before."""
    now = int(time.time())
    return [_token(secret, number, now) for number in range(count)]


def _token(secret: str, number: int, now: int) -> str:
    claims = {
        "iss": ServiceSettings.model_fields["token_issuer"].default,
        "aud": ServiceSettings.model_fields["token_audience"].default,
        # No id of identity's: its accounts are named by its own tokens only.
        "sub": ids.encode("member", ids.new()),
        "roles": ["USER"],
        "email": f"member{number}@bench.commdesk.test",
        "name": f"Member {number}",
        "phone": "9876543210",
        "iat": now,
        "exp": now + TOKEN_SECONDS,
    }
    return jwt.encode(claims, secret, algorithm="HS256")
