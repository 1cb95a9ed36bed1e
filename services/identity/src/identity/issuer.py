"""Issues access tokens (EdDSA) and refresh tokens, and publishes the keys by which others verify the former."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common import ids
from common.errors import DomainError
from common.permissions import TABLE
from identity.domain.errors import RefreshTokenInvalid
from identity.domain.memberships import Seat
from identity.domain.sessions import Rotation, Session
from identity.domain.users import User
from identity.wire.views import KeySetView, KeyView

_REFRESH = "rft"


class Issuer:
    """A refresh token is its session's id, its generation and a MAC over both. No randomness has to be stored, so a
    refresh whose response was lost returns the same token again; the database keeps its hash only."""

    def __init__(
        self, private_key: str, published_keys: Sequence[str], life: timedelta, issuer: str, audience: str
    ) -> None:
        """Keys are base64 of the raw 32 bytes."""
        raw = base64.b64decode(private_key, validate=True)
        self._key = Ed25519PrivateKey.from_private_bytes(raw)
        self._refresh_key = HKDF(SHA256(), 32, None, b"commdesk refresh tokens").derive(raw)
        public = self._key.public_key().public_bytes_raw()
        others = [base64.b64decode(key, validate=True) for key in published_keys]
        self.life = life
        self._issuer, self._audience = issuer, audience
        self._key_id = _key_id(public)
        self.key_set = KeySetView([_key_view(key) for key in dict.fromkeys([public, *others])])

    def access_token(self, user: User, session: Session, seat: Seat | None, now: datetime) -> str:
        """Names user, merchant and roles until *life* is over, or until its session or the user's rights end.

        With *seat* merchant and roles are those of the membership, and the platform's roles are left out.
        """
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": ids.encode("usr", user.user_id),
            "merchant_id": user.merchant_id if seat is None else seat.merchant_id,
            "roles": sorted(user.access.roles) if seat is None else [],
            "email": user.email,
            "email_verified": user.is_email_verified,
            "name": user.profile.name,
            "phone": user.profile.phone,
            # Revocations name it: tokens of an older version than the one in which rights were lost are refused.
            "user_version": user.version,
            "jti": f"{ids.encode('ses', session.session_id)}.{session.generation}",
            "auth_time": int(session.authenticated_at.timestamp()),
            "amr": session.methods,
            "iat": int(now.timestamp()),
            "exp": int((now + self.life).timestamp()),
        }
        if seat is not None:
            claims |= {
                "account_id": seat.account_id,
                "member_roles": sorted(seat.roles & TABLE.merchant_roles.keys()),
                "home_merchant_id": user.merchant_id,
            }
            if own := seat.permissions - TABLE.of_member(seat.roles):
                # Of roles that the account has made, which nobody else knows.
                claims["permissions"] = sorted(own)
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self._key_id})

    def refresh_token(self, session_id: UUID, generation: int) -> str:
        return f"{ids.encode(_REFRESH, session_id)}.{generation}.{_text(self._mac(session_id, generation))}"

    def refresh_hash(self, session_id: UUID, generation: int) -> bytes:
        """What the database keeps of a refresh token."""
        return hashlib.sha256(_text(self._mac(session_id, generation)).encode()).digest()

    def rotation(self, refresh_token: str) -> Rotation:
        """The refresh that a token requests. Raises RefreshTokenInvalid when it is not one at all."""
        try:
            name, number, secret = refresh_token.split(".")
            session_id = ids.decode(_REFRESH, name)
            if not (number.isascii() and number.isdigit() and 0 < len(number) <= 9 and secret.isascii()):
                raise ValueError
        except (ValueError, DomainError):
            raise RefreshTokenInvalid from None
        generation = int(number)
        return Rotation(
            session_id,
            generation,
            hashlib.sha256(secret.encode()).digest(),
            self.refresh_hash(session_id, generation + 1),
            hmac.compare_digest(secret, _text(self._mac(session_id, generation))),
        )

    def _mac(self, session_id: UUID, generation: int) -> bytes:
        return hmac.digest(self._refresh_key, session_id.bytes + generation.to_bytes(8, "big"), "sha256")


def _key_view(public: bytes) -> KeyView:
    return KeyView(kty="OKP", crv="Ed25519", use="sig", alg="EdDSA", kid=_key_id(public), x=_text(public))


def _key_id(public: bytes) -> str:
    return _text(hashlib.sha256(public).digest()[:12])


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
