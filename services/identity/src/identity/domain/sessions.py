"""Sessions: a family of refresh tokens of which only the newest is valid, and only once."""

import hmac
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from common.context import Context
from identity.domain.concealed import Concealed
from identity.domain.errors import RefreshTokenInvalid, RefreshTokenReused
from identity.domain.users import User

# A response may be lost on its way: repeating the last refresh this soon returns the same tokens and raises no alarm.
REFRESH_REPEAT_GRACE = timedelta(seconds=10)


class Device(Struct, frozen=True):
    """Where a session was opened from."""

    ip: str
    user_agent: str


class Session(Concealed, frozen=True):
    """One login and the refreshes after it. Of its current refresh token only the SHA-256 is kept."""

    session_id: UUID
    user_id: UUID
    generation: int
    token_hash: bytes
    device: Device
    created_at: datetime
    rotated_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_because: str | None = None


class OpenedSession(Concealed, frozen=True):
    """A session and the tokens that its user gets now."""

    user: User
    session: Session
    access_token: str
    refresh_token: str
    expires_in: timedelta


class LogOut(Struct, frozen=True):
    """End *session_id*, or every session of the user."""

    user_id: UUID
    session_id: UUID | None
    everywhere: bool
    origin: Context


class Rotation(Concealed, frozen=True):
    """A requested refresh: generation and hash of the token that was sent, and the hash of the next one.

    *is_genuine*: the token was issued by us, whatever its state is now.
    """

    session_id: UUID
    generation: int
    token_hash: bytes
    next_hash: bytes
    is_genuine: bool


def open_session(
    session_id: UUID, user: User, token_hash: bytes, device: Device, now: datetime, life: timedelta
) -> Session:
    return Session(session_id, user.user_id, 1, token_hash, device, now, now, now + life)


def rotate(
    session: Session, rotation: Rotation, now: datetime, life: timedelta
) -> tuple[Session, RefreshTokenInvalid | None]:
    """The session after the refresh, and the refusal if there is one. A token that is used again ends its session."""
    if session.revoked_at is not None or session.expires_at <= now:
        return session, RefreshTokenInvalid()
    if rotation.generation == session.generation and hmac.compare_digest(rotation.token_hash, session.token_hash):
        return replace(
            session,
            generation=session.generation + 1,
            token_hash=rotation.next_hash,
            rotated_at=now,
            expires_at=now + life,
        ), None
    if not rotation.is_genuine:
        return session, RefreshTokenInvalid()
    repeated = rotation.generation == session.generation - 1 and hmac.compare_digest(
        rotation.next_hash, session.token_hash
    )
    if repeated and now - session.rotated_at <= REFRESH_REPEAT_GRACE:
        return session, None
    return revoke(session, "reused", now), RefreshTokenReused()


def revoke(session: Session, because: str, now: datetime) -> Session:
    """End it; a session that has ended is unchanged."""
    return session if session.revoked_at is not None else replace(session, revoked_at=now, revoked_because=because)
