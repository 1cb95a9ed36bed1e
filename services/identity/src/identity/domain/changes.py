"""Requested changes of a user."""

from uuid import UUID

from msgspec import Struct

from common.context import Context
from identity.domain.concealed import Concealed
from identity.domain.users import Status


class ProfileChange(Struct, frozen=True):
    """What is None stays."""

    user_id: UUID
    merchant_id: str
    name: str | None
    mobile_number: str | None
    country_code: str | None
    origin: Context


class AccessChange(Struct, frozen=True):
    """What an administrator decides: what is None stays. *add_roles* come on top of *roles*.

    *actor_id* is the administrator, None for an operator at the command line, whose right is the database's password;
    *actor* is what the audit log calls either.
    """

    user_id: UUID
    merchant_id: str
    roles: frozenset[str] | None
    status: Status | None
    actor_id: UUID | None
    actor: str
    origin: Context
    add_roles: frozenset[str] = frozenset()


class LostFactor(Struct, frozen=True):
    """A second factor that *actor* (operator:<name>) removes. *user_id* is None when no id of ours was sent; *reason*
    stays in the audit log.
    """

    user_id: UUID | None
    actor: str
    reason: str
    origin: Context


class ResetForm(Concealed, frozen=True):
    """What a user enters who has the token of a mail. Passwords are normalised."""

    token: str
    password: str
    confirmation: str


class StepUpForm(Concealed, frozen=True):
    """*code* of the second factor; None when the user has none."""

    user_id: UUID
    merchant_id: str
    session_id: UUID | None
    password: str
    code: str | None


class PasswordForm(Concealed, frozen=True):
    """What a user enters; *session_id* is the session that goes on. Passwords are normalised."""

    user_id: UUID
    merchant_id: str
    session_id: UUID | None
    current_password: str
    password: str
    confirmation: str
