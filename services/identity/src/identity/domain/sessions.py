"""Sessions: a family of refresh tokens of which only the newest is valid, and only once.

A token is recognised by its hash, which the session keeps of the newest and of those before it, not by the key that
made it: the key may have been rotated since.
"""

import hmac
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from common.context import Context
from identity.domain.concealed import Concealed
from identity.domain.errors import RefreshTokenInvalid, RefreshTokenReused
from identity.domain.memberships import Seat
from identity.domain.users import User

# A response may be lost on its way: repeating the last refresh this soon returns the same tokens and raises no alarm.
REFRESH_REPEAT_GRACE = timedelta(seconds=10)
# Of how many tokens before the newest a session knows that they were its own: 16 hours of a client that refreshes
# every quarter of an hour. The signature identifies older ones, for as long as its key is in use.
RETIRED_MAX = 64
# As RFC 8176 names a one-time password.
SECOND_FACTOR = "otp"


class Device(Struct, frozen=True):
    """Where a session was opened from."""

    ip: str
    user_agent: str


class Session(Concealed, frozen=True):
    """One login and the refreshes after it. Of its current refresh token only the SHA-256 is kept.

    Its user last proved who they are at *authenticated_at*, by password, with *has_second_factor* by both.
    """

    session_id: UUID
    user_id: UUID
    generation: int
    token_hash: bytes
    device: Device
    created_at: datetime
    rotated_at: datetime
    expires_at: datetime
    authenticated_at: datetime
    revoked_at: datetime | None = None
    revoked_because: str | None = None
    # Of the tokens before the newest, oldest first.
    retired_hashes: tuple[bytes, ...] = ()
    has_second_factor: bool = False
    # The environment that its tokens are for, of an account whose member the user is; None: the user's own merchant.
    merchant_id: str | None = None

    @property
    def methods(self) -> list[str]:
        """As RFC 8176 names them."""
        return [SECOND_FACTOR, "pwd"] if self.has_second_factor else ["pwd"]

    def is_open(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at


class SessionPolicy(Struct, frozen=True):
    """A session ends when it was not refreshed for *life*, *life_max* after it was opened in any case, and when its
    user opens more than *open_max*.
    """

    life: timedelta
    life_max: timedelta
    open_max: int

    def expiry(self, opened_at: datetime, now: datetime) -> datetime:
        return min(now + self.life, opened_at + self.life_max)


class OpenedSession(Concealed, frozen=True):
    """A session and the tokens that its user gets now. *seats* are what the user is in accounts; the tokens are for
    *seat*, or with None for the user's own merchant.
    """

    user: User
    session: Session
    seats: tuple[Seat, ...]
    seat: Seat | None
    access_token: str
    refresh_token: str
    expires_in: timedelta


class LogOut(Struct, frozen=True):
    """End *session_id*, or every session of the user."""

    user_id: UUID
    merchant_id: str
    session_id: UUID | None
    everywhere: bool
    origin: Context


class Rotation(Concealed, frozen=True):
    """A requested refresh: generation and hash of the token that was sent, and the hash of the next one.

    *is_genuine*: the token was signed with the key that is in use now, whatever its state is.
    """

    session_id: UUID
    generation: int
    token_hash: bytes
    next_hash: bytes
    is_genuine: bool


def open_session(
    session_id: UUID, user: User, token_hash: bytes, device: Device, now: datetime, policy: SessionPolicy
) -> Session:
    return Session(session_id, user.user_id, 1, token_hash, device, now, now, policy.expiry(now, now), now)


def rotate(
    session: Session, rotation: Rotation, now: datetime, policy: SessionPolicy
) -> tuple[Session, RefreshTokenInvalid | None]:
    """The session after the refresh, and the refusal if there is one. A token that is used again ends its session."""
    if session.revoked_at is not None or session.expires_at <= now:
        return session, RefreshTokenInvalid()
    if rotation.generation == session.generation and hmac.compare_digest(rotation.token_hash, session.token_hash):
        return replace(
            session,
            generation=session.generation + 1,
            token_hash=rotation.next_hash,
            retired_hashes=(*session.retired_hashes, session.token_hash)[-RETIRED_MAX:],
            rotated_at=now,
            expires_at=policy.expiry(session.created_at, now),
        ), None
    # Every one is compared, so that the time does not show which.
    matches = [hmac.compare_digest(rotation.token_hash, retired) for retired in session.retired_hashes]
    if not any(matches) and not rotation.is_genuine:
        return session, RefreshTokenInvalid()
    repeats_last = matches[-1:] == [True] or hmac.compare_digest(rotation.next_hash, session.token_hash)
    was_last = rotation.generation == session.generation - 1 and repeats_last
    if was_last and now - session.rotated_at <= REFRESH_REPEAT_GRACE:
        # The same token again; if the key was rotated in between, another one takes its place.
        return replace(session, token_hash=rotation.next_hash), None
    return revoke(session, "reused", now), RefreshTokenReused()


def next_of_renewal(session: Session) -> int:
    """The generation of the refresh token that a session gets when its tokens say something else from then on: its user
    has proved anew who they are, or acts for another merchant.

    It leaves one out: the token from before is not the last one then, so that its holder cannot repeat its refresh
    and get a token that says it too.
    """
    return session.generation + 2


def step_up(
    session: Session, token_hash: bytes, *, has_second_factor: bool, now: datetime, policy: SessionPolicy
) -> Session:
    """The session after its user has proved anew who they are; *token_hash* is of the `next_of_renewal`."""
    renewed = _renewed(session, token_hash, now, policy)
    return replace(renewed, authenticated_at=now, has_second_factor=has_second_factor)


def switch(
    session: Session, token_hash: bytes, merchant_id: str | None, now: datetime, policy: SessionPolicy
) -> Session:
    """The session whose tokens are for *merchant_id* from now on; *token_hash* is of the `next_of_renewal`."""
    return replace(_renewed(session, token_hash, now, policy), merchant_id=merchant_id)


def _renewed(session: Session, token_hash: bytes, now: datetime, policy: SessionPolicy) -> Session:
    return replace(
        session,
        generation=next_of_renewal(session),
        token_hash=token_hash,
        retired_hashes=(*session.retired_hashes, session.token_hash)[-RETIRED_MAX:],
        rotated_at=now,
        expires_at=policy.expiry(session.created_at, now),
    )


def supernumerary(open_sessions: Collection[Session], open_max: int) -> list[Session]:
    """The oldest of a user's sessions that have to end for *open_max* to stay."""
    newest_first = sorted(open_sessions, key=lambda session: (session.created_at, session.session_id), reverse=True)
    return newest_first[open_max:]


def revoke(session: Session, because: str, now: datetime) -> Session:
    """End it; a session that has ended is unchanged."""
    return session if session.revoked_at is not None else replace(session, revoked_at=now, revoked_because=because)
