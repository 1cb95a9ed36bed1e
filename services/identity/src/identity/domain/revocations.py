"""Revocations: accesses that end before their tokens do."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from common import ids
from identity.domain.sessions import Session
from identity.domain.users import User


class Revocation(Struct, frozen=True):
    """The end of the session *session_id*, or of all tokens that the user got before *user_version*; one of the two."""

    revocation_id: UUID
    merchant_id: str
    user_id: UUID
    session_id: UUID | None
    user_version: int | None
    reason: str
    revoked_at: datetime


class RevocationPage(Struct, frozen=True):
    """Revocations as they were at *at*; those of before *token_life* concern no valid token."""

    revocations: Sequence[Revocation]
    at: datetime
    token_life: timedelta


def of_session(session: Session, merchant_id: str, now: datetime) -> Revocation:
    """What follows from the end of *session*."""
    return Revocation(
        ids.new(), merchant_id, session.user_id, session.session_id, None, session.revoked_because or "", now
    )


def of_user(user: User, reason: str, now: datetime) -> Revocation:
    """Of what *user* was before this version."""
    return Revocation(ids.new(), user.merchant_id, user.user_id, None, user.version, reason, now)
