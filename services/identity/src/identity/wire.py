"""Users in, users out; no decisions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from commdesk.common.v1.events_pb2 import AuditRecorded
from commdesk.identity.v1 import identity_pb2 as pb
from common import ids
from common.context import Context
from common.delivery import Story, StoryEntry
from common.http_server import Body
from identity.domain import Session, User

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SignUpBody(Body, frozen=True):
    email: str
    name: str
    password: str
    confirm_password: str
    mobile_number: str | None = None
    country_code: str = "+91"
    type: str = "USER"


class LogInBody(Body, frozen=True):
    email: str
    password: str


class RefreshBody(Body, frozen=True):
    refresh_token: str


class UpdateBody(Body, frozen=True):
    """Fields that are absent stay as they are."""

    name: str | None = None
    mobile_number: str | None = None
    country_code: str | None = None


class PasswordBody(Body, frozen=True):
    current_password: str
    password: str
    confirm_password: str


class AccessBody(Body, frozen=True):
    """Fields that are absent stay as they are; *roles* are all the user's roles from now on."""

    roles: list[str] | None = None
    status: str | None = None


class LogOutQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    everywhere: bool = False


class ProfileAnswer(msgspec.Struct, frozen=True, rename="camel"):
    id: str = msgspec.field(name="_id")
    merchant_id: str
    email: str
    name: str
    mobile_number: str | None
    country_code: str | None
    type: str
    roles: list[str]
    status: str
    is_email_verified: bool
    is_mobile_number_verified: bool
    created_at: datetime
    updated_at: datetime


class SessionUser(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="_id")
    email: str
    name: str
    type: str


class SessionAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """*expires_in* is the access token's life in seconds."""

    token: str
    refresh_token: str
    expires_in: int
    user: SessionUser


class SessionHint(msgspec.Struct, frozen=True, rename="camel"):
    """What Redis holds of a login: which token, not the token, which would be as good as the login itself."""

    token_id: str
    ip: str
    user_agent: str
    logged_in_at: datetime
    refreshed_at: datetime


def user_id(user: User) -> str:
    return ids.encode("usr", user.user_id)


def profile_answer(user: User) -> ProfileAnswer:
    return ProfileAnswer(
        user_id(user),
        user.merchant_id,
        user.email,
        user.profile.name,
        user.profile.mobile_number,
        user.profile.country_code,
        user.type,
        sorted(user.access.roles),
        user.access.status.value,
        user.is_email_verified,
        user.is_mobile_number_verified,
        user.created_at,
        user.updated_at,
    )


def session_user(user: User) -> SessionUser:
    return SessionUser(user_id(user), user.email, user.profile.name, user.type)


def session_hint(session: Session) -> SessionHint:
    token_id = f"{ids.encode('ses', session.session_id)}.{session.generation}"
    device = session.device
    return SessionHint(token_id, device.ip, device.user_agent, session.created_at, session.rotated_at)


def user_message(user: User) -> pb.User:
    return pb.User(
        user_id=user_id(user),
        merchant_id=user.merchant_id,
        name=user.profile.name,
        email=user.email,
        phone=user.profile.phone,
        roles=sorted(user.access.roles),
        status=user.access.status.value,
    )


def audit(
    action: str,
    merchant_id: str,
    resource: tuple[str, str],
    origin: Context,
    now: datetime,
    *,
    actor: str = "",
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> AuditRecorded:
    """Who did what to which (resource type, id). *before* and *after* hold no personal data."""
    return AuditRecorded(
        event_id=ids.encode("evt", ids.new()),
        time_unix_micros=(now - _EPOCH) // timedelta(microseconds=1),
        merchant_id=merchant_id,
        actor_id=actor or origin.user_id,
        action=action,
        resource_type=resource[0],
        resource_id=resource[1],
        before_json=_compact(before),
        after_json=_compact(after),
        ip=origin.ip,
        user_agent=origin.user_agent,
        trace_id=origin.traceparent[3:35],
        request_id=origin.request_id,
        service="identity",
    )


def user_audit(
    action: str,
    user: User,
    origin: Context,
    now: datetime,
    *,
    actor: str = "",
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> AuditRecorded:
    """As `audit`, of something done to a user; by the user, unless *actor* says otherwise."""
    subject = user_id(user)
    return audit(
        action, user.merchant_id, ("user", subject), origin, now, actor=actor or subject, before=before, after=after
    )


def access_state(user: User) -> dict[str, object]:
    return {"roles": sorted(user.access.roles), "status": user.access.status.value}


def story(user: User, sessions: Iterable[Session]) -> Story:
    """When somebody signed up, logged in and out. Names and addresses are left out."""
    subject = user_id(user)
    state = {"user": subject, "roles": " ".join(sorted(user.access.roles)), "status": user.access.status.value}
    entries = [StoryEntry(user.created_at, "transition", "signed up", state)]
    for session in sessions:
        name = {"session": ids.encode("ses", session.session_id), "refreshes": str(session.generation - 1)}
        entries.append(StoryEntry(session.created_at, "transition", "session opened", name))
        if session.revoked_at is not None:
            why = f"session ended: {session.revoked_because}"
            entries.append(StoryEntry(session.revoked_at, "transition", why, name))
    return Story(sorted(entries, key=lambda entry: entry.time))


def _compact(state: dict[str, object] | None) -> str:
    return msgspec.json.encode(state, order="deterministic").decode() if state else ""
