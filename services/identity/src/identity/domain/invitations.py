"""Invitations to become a member of an account: mailed with a token that is good for once, until it expires."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from common.context import Context
from identity.domain.concealed import Concealed

# Of an invitation's id.
PREFIX = "ivt"
# Of one account at a time.
INVITATIONS_PENDING_MAX = 100


class InvitationStatus(StrEnum):
    """EXPIRED is never stored: it is PENDING after its time."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


class Invitation(Concealed, frozen=True):
    """*token_hash* is the SHA-256 of the newest token that was mailed; *invited_by* a user id or operator:<name>."""

    invitation_id: UUID
    account_id: str
    email: str
    token_hash: bytes
    roles: frozenset[str]
    status: InvitationStatus
    invited_by: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime

    def status_at(self, now: datetime) -> InvitationStatus:
        is_over = self.status is InvitationStatus.PENDING and now >= self.expires_at
        return InvitationStatus.EXPIRED if is_over else self.status

    def is_open(self, now: datetime) -> bool:
        return self.status_at(now) is InvitationStatus.PENDING


class InvitationPolicy(Struct, frozen=True):
    """How long an invitation is open, how many mails *window* allows to one address, from whichever account, and of one
    account; users of *merchant_id* are invited.
    """

    merchant_id: str
    life: timedelta
    per_address: int
    per_account: int
    window: timedelta


class Invite(Struct, frozen=True):
    """Somebody at *email* is to get *roles* in the account."""

    account_id: str
    email: str
    roles: frozenset[str]
    actor_id: UUID
    actor: str
    origin: Context
