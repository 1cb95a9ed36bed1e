"""Mails about accounts, and the single-use tokens in them."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from identity.domain.concealed import Concealed
from identity.domain.users import User


class AccountMail(StrEnum):
    """What a mail is for. EXISTS tells the owner of an address that somebody signed up with it again."""

    VERIFY = "verify"
    RESET = "reset"
    EXISTS = "exists"


class AccountToken(Concealed, frozen=True):
    """A token that was mailed to a user's address, by its SHA-256; it is deleted when it is used."""

    token_hash: bytes
    user_id: UUID
    purpose: AccountMail
    created_at: datetime
    expires_at: datetime


class MailedToken(Concealed, frozen=True):
    """*token* and what is stored of it."""

    token: str
    stored: AccountToken


class AccountMailPolicy(Struct, frozen=True):
    """How long tokens are valid, and how many mails *window* allows: to one address of each purpose, and to one client
    (network address).
    """

    merchant_id: str
    verification_life: timedelta
    reset_life: timedelta
    per_account: int
    per_address: int
    window: timedelta

    def expiry(self, purpose: AccountMail, now: datetime) -> datetime:
        return now + (self.verification_life if purpose is AccountMail.VERIFY else self.reset_life)


def is_due(purpose: AccountMail, user: User | None) -> bool:
    """Whether a request for a mail leads to one. Nobody who asks learns the answer.

    Mails go to the address of an account and nowhere else. A new password proves possession of the address, so it may
    be requested for an address that is not verified: its owner takes back what a stranger has signed up with it.
    """
    if user is None or not user.is_active:
        return False
    return purpose is not AccountMail.VERIFY or not user.is_email_verified


def is_valid(token: AccountToken | None, purpose: AccountMail, user: User | None, now: datetime) -> bool:
    """Whether *token* of *user* may be used for *purpose* now."""
    return (
        token is not None
        and user is not None
        and user.is_active
        and token.user_id == user.user_id
        and token.purpose is purpose
        and now < token.expires_at
    )
