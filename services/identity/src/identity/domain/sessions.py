"""Sessions: a family of refresh tokens of which only the youngest is good, and only once."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from identity.domain.errors import RefreshTokenInvalid, RefreshTokenReused
from identity.domain.users import User

# An answer may be lost on its way. Who repeats the last refresh this soon gets the same answer and no alarm.
REFRESH_REPEAT_GRACE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Device:
    """Where a session was opened from."""

    ip: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Session:
    """One login and the refreshes after it. Of its current refresh token only the SHA-256 is kept."""

    session_id: UUID
    user_id: UUID
    generation: int
    token_hash: bytes = field(repr=False)
    device: Device
    created_at: datetime
    rotated_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_because: str | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """A refresh as it was asked for: the generation and hash of the token that was shown, and of the next one.

    *is_genuine* says that the token was issued by us, whatever has become of it since.
    """

    session_id: UUID
    generation: int
    token_hash: bytes = field(repr=False)
    next_hash: bytes = field(repr=False)
    is_genuine: bool


def open_session(
    session_id: UUID, user: User, token_hash: bytes, device: Device, now: datetime, life: timedelta
) -> Session:
    return Session(session_id, user.user_id, 1, token_hash, device, now, now, now + life)


def rotate(
    session: Session | None, rotation: Rotation, now: datetime, life: timedelta
) -> tuple[Session | None, RefreshTokenInvalid | None]:
    """The session after the refresh, and why it is refused if it is. A token that is shown again ends its session."""
    if session is None or session.revoked_at is not None or session.expires_at <= now:
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
    """End it; one that has ended stays as it is."""
    return session if session.revoked_at is not None else replace(session, revoked_at=now, revoked_because=because)
