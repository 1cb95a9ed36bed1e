"""What comes in: bodies and queries, and what the use cases make of them."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from commdesk.identity.v1 import identity_pb2 as pb
from common import context, ids
from common.context import Context
from common.errors import RequestInvalid
from common.events import from_micros
from common.http_server import Body, Query
from common.permissions import TABLE
from common.tokens import Caller
from identity.domain.access import Act
from identity.domain.changes import AccessChange, LostFactor, PasswordForm, ProfileChange, ResetForm, StepUpForm
from identity.domain.errors import UserNotFound
from identity.domain.sessions import LogOut
from identity.domain.users import Profile, SignUpForm, Status, normalised_password

# What the audit log keeps of a reason.
REASON_LENGTH_MAX = 1_000


class SignUpBody(Body, frozen=True):
    email: str
    name: str
    password: str
    confirm_password: str
    mobile_number: str | None = None
    country_code: str = "+91"
    type: str = "USER"


class LogInBody(Body, frozen=True):
    """*code* is of the second factor, for accounts that have one."""

    email: str
    password: str
    code: str | None = None


class StepUpBody(Body, frozen=True):
    """*code* is of the second factor, for accounts that have one."""

    password: str
    code: str | None = None


class EnrolBody(Body, frozen=True):
    password: str


class ConfirmBody(Body, frozen=True):
    """*code* is the authenticator app's."""

    code: str


class RemoveFactorBody(Body, frozen=True):
    """*code* is the authenticator app's, or a recovery code."""

    password: str
    code: str


class EmailBody(Body, frozen=True):
    email: str


class VerifyBody(Body, frozen=True):
    """*token* is the one from the mail, *password* that of the sign-up."""

    token: str
    password: str


class ResetBody(Body, frozen=True):
    """*token* is the one from the mail."""

    token: str
    password: str
    confirm_password: str


class RefreshBody(Body, frozen=True):
    refresh_token: str


class ProfileBody(Body, frozen=True):
    """Fields that are absent stay as they are."""

    name: str | None = None
    mobile_number: str | None = None
    country_code: str | None = None


class PasswordBody(Body, frozen=True):
    current_password: str
    password: str
    confirm_password: str


class AccessBody(Body, frozen=True):
    """Fields that are absent stay as they are; *roles* replaces all the user's roles."""

    roles: list[str] | None = None
    status: Status | None = None


class LogOutQuery(Query, frozen=True):
    everywhere: bool = False


def sign_up_form(body: SignUpBody) -> SignUpForm:
    return SignUpForm(
        email=body.email,
        profile=Profile(name=body.name, mobile_number=body.mobile_number, country_code=body.country_code),
        password=normalised_password(body.password),
        confirmation=normalised_password(body.confirm_password),
        role=body.type,
    )


def reset_form(body: ResetBody) -> ResetForm:
    return ResetForm(body.token, normalised_password(body.password), normalised_password(body.confirm_password))


def log_out(caller: Caller, query: LogOutQuery, origin: Context) -> LogOut:
    """Raises UserNotFound for a caller of another issuer."""
    return _log_out(caller, session_id(caller), everywhere=query.everywhere, origin=origin)


def session_end(caller: Caller, text: str, origin: Context) -> LogOut:
    """Raises IdInvalid, or UserNotFound for a caller of another issuer."""
    return _log_out(caller, ids.decode("ses", text), everywhere=False, origin=origin)


def _log_out(caller: Caller, session: UUID | None, *, everywhere: bool, origin: Context) -> LogOut:
    return LogOut(user_id(caller), home(caller), session, everywhere, origin)


def profile_change(caller: Caller, body: ProfileBody, origin: Context) -> ProfileChange:
    return ProfileChange(
        user_id=user_id(caller),
        merchant_id=home(caller),
        name=body.name,
        mobile_number=body.mobile_number,
        country_code=body.country_code,
        origin=origin,
    )


def password_form(caller: Caller, body: PasswordBody) -> PasswordForm:
    return PasswordForm(
        user_id=user_id(caller),
        merchant_id=home(caller),
        session_id=session_id(caller),
        current_password=normalised_password(body.current_password),
        password=normalised_password(body.password),
        confirmation=normalised_password(body.confirm_password),
    )


def access_change(caller: Caller, target_id: str, body: AccessBody, origin: Context) -> AccessChange:
    """Raises IdInvalid, or UserNotFound for a caller of another issuer."""
    return AccessChange(
        user_id=ids.decode("usr", target_id),
        merchant_id=caller.merchant_id,
        # By their first names: OPERATOR is ADMIN.
        roles=None if body.roles is None else frozenset(TABLE.aliases.get(role, role) for role in body.roles),
        status=body.status,
        actor_id=user_id(caller),
        actor=caller.user_id,
        origin=origin,
    )


def act_of(caller: Caller, permission: str) -> Act:
    """What the caller is about to do within identity. Raises UserNotFound for a caller of another issuer."""
    return Act(
        user_id=user_id(caller),
        merchant_id=caller.merchant_id,
        session_id=session_id(caller),
        roles=frozenset(),
        authenticated_at_seconds=caller.authenticated_at_seconds,
        methods=caller.methods,
        permission=permission,
    )


def step_up_form(caller: Caller, body: StepUpBody) -> StepUpForm:
    """Raises UserNotFound for a caller of another issuer."""
    return StepUpForm(user_id(caller), home(caller), session_id(caller), body.password, body.code)


def home(caller: Caller) -> str:
    """The merchant whose user the caller is, whichever they act for."""
    return caller.home_merchant_id or caller.merchant_id


def session_id(caller: Caller) -> UUID | None:
    """The session that the caller's token names; None for tokens of other issuers."""
    return _decoded("ses", caller.session_id)


def user_id(caller: Caller) -> UUID:
    """Raises UserNotFound for a user of another issuer: there is no account here."""
    try:
        return ids.decode("usr", caller.user_id)
    except ids.IdInvalid:
        raise UserNotFound("there is no profile of this user here") from None


def act(message: pb.Act) -> Act:
    return Act(
        user_id=_decoded("usr", message.user_id),
        merchant_id=message.merchant_id,
        session_id=_decoded("ses", message.session_id),
        roles=frozenset(message.roles),
        authenticated_at_seconds=message.authenticated_unix_seconds,
        methods=frozenset(message.methods),
        api_key_id=_decoded("apk", message.api_key_id),
        permission=message.permission,
    )


def lost_factors(request: pb.RemoveSecondFactorsRequest) -> list[LostFactor]:
    """Raises RequestInvalid without actor or reason."""
    actor, reason = request.actor.strip(), request.reason.strip()[:REASON_LENGTH_MAX]
    missing = {name: "is required" for name, text in (("actor", actor), ("reason", reason)) if not text}
    if missing:
        raise RequestInvalid("a removal needs an actor and a reason", **missing)
    origin = context.current()
    return [LostFactor(_decoded("usr", text), actor, reason, origin) for text in request.user_ids]


def since(request: pb.ListRevocationsRequest) -> datetime:
    """Raises RequestInvalid."""
    try:
        return from_micros(request.since_unix_micros)
    except OverflowError:
        raise RequestInvalid("no such time", since_unix_micros="is out of range") from None


def after_id(request: pb.ListRevocationsRequest) -> UUID | None:
    """Raises IdInvalid."""
    return ids.decode("rvk", request.after_id) if request.after_id else None


def _decoded(prefix: str, text: str) -> UUID | None:
    """None for ids of other issuers, which have other shapes."""
    try:
        return ids.decode(prefix, text)
    except ids.IdInvalid:
        return None


def user_ids(texts: Iterable[str]) -> set[UUID]:
    """Users of other issuers have ids of other shapes; they are left out as unknown ones are."""
    return {user_id for text in texts if (user_id := _decoded("usr", text)) is not None}
