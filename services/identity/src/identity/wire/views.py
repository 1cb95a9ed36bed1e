"""What is answered: views in JSON, messages in protobuf, timelines."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from commdesk.identity.v1 import identity_pb2 as pb
from common import grpc_client, ids
from common.delivery import Timeline, TimelineEntry
from common.errors import DomainError
from common.events import micros
from common.pages import Page
from identity.domain.revocations import RevocationPage
from identity.domain.sessions import OpenedSession, Session
from identity.domain.users import SignUpForm, Status, User
from identity.wire import merchant_views
from identity.wire.merchant_views import SeatView


class UserView(Struct, frozen=True, rename="camel"):
    user_id: str
    merchant_id: str
    email: str
    name: str
    mobile_number: str | None
    country_code: str | None
    type: str
    roles: list[str]
    status: Status
    is_email_verified: bool
    is_mobile_number_verified: bool
    created_at: datetime
    updated_at: datetime


class SignedUpView(Struct, frozen=True):
    """What was entered, as it is stored. Whether the address was another user's already is told its owner alone."""

    email: str
    name: str
    type: str


class SessionUserView(Struct, frozen=True):
    """The user as log-in and refresh answer it; clients rely on these four names."""

    id: str = msgspec.field(name="_id")
    email: str
    name: str
    type: str


class SessionView(Struct, frozen=True, rename="camel"):
    """*token* is the access token, *expiresIn* its life in seconds, *merchantId* whom it is for. *memberships*: the
    environments of accounts that the user is a member of.
    """

    token: str
    refresh_token: str
    expires_in: int
    user: SessionUserView
    merchant_id: str
    memberships: list[SeatView]


class EnrolmentView(Struct, frozen=True):
    """What an authenticator app takes, shown once: *secret* in base32, *url* the same as an `otpauth:` link."""

    secret: str
    url: str


class RecoveryCodesView(Struct, frozen=True, rename="camel"):
    """Each is good for once, in place of a code; they are shown once."""

    recovery_codes: list[str]


class OpenSessionView(Struct, frozen=True, rename="camel"):
    """Where a user is logged in. *isCurrent*: the session of the request that asks."""

    session_id: str
    ip: str
    user_agent: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    is_current: bool


class LogOutView(Struct, frozen=True, rename="camel"):
    sessions_ended: int


class KeyView(Struct, frozen=True):
    """A public Ed25519 key as RFC 8037 writes it."""

    kty: str
    crv: str
    use: str
    alg: str
    kid: str
    x: str


class KeySetView(Struct, frozen=True):
    """RFC 7517: the keys that verify access tokens."""

    keys: list[KeyView]


class CachedSession(Struct, frozen=True, rename="camel"):
    """What Redis holds of a login: the token's id, not the token, which would be as good as the login itself."""

    token_id: str
    ip: str
    user_agent: str
    logged_in_at: datetime
    refreshed_at: datetime


def user_id(user: User) -> str:
    return ids.encode("usr", user.user_id)


def user(user: User) -> UserView:
    return UserView(
        user_id=user_id(user),
        merchant_id=user.merchant_id,
        email=user.email,
        name=user.profile.name,
        mobile_number=user.profile.mobile_number,
        country_code=user.profile.country_code,
        type=user.type,
        roles=sorted(user.access.roles),
        status=user.access.status,
        is_email_verified=user.is_email_verified,
        is_mobile_number_verified=user.is_mobile_number_verified,
        created_at=user.created_at,
        updated_at=user.updated_at,
    )


def cached_user(encoded: bytes) -> UserView | None:
    """The view as it was cached; None for what an older version of the service left there."""
    try:
        return msgspec.json.decode(encoded, type=UserView)
    except msgspec.DecodeError:
        return None


def session(opened: OpenedSession) -> SessionView:
    user = opened.user
    return SessionView(
        token=opened.access_token,
        refresh_token=opened.refresh_token,
        expires_in=int(opened.expires_in.total_seconds()),
        user=SessionUserView(id=user_id(user), email=user.email, name=user.profile.name, type=user.type),
        merchant_id=user.merchant_id if opened.seat is None else opened.seat.merchant_id,
        memberships=merchant_views.seats(opened.seats),
    )


def signed_up(form: SignUpForm) -> SignedUpView:
    return SignedUpView(email=form.email, name=form.profile.name, type=form.role)


def sessions_page(sessions: Iterable[Session], current: UUID | None) -> Page[OpenSessionView]:
    """All of them: their number is bounded."""
    items = [
        OpenSessionView(
            session_id=ids.encode("ses", session.session_id),
            ip=session.device.ip,
            user_agent=session.device.user_agent,
            created_at=session.created_at,
            refreshed_at=session.rotated_at,
            expires_at=session.expires_at,
            is_current=session.session_id == current,
        )
        for session in sessions
    ]
    return Page(items, None)


def cached_session(session: Session) -> CachedSession:
    return CachedSession(
        token_id=f"{ids.encode('ses', session.session_id)}.{session.generation}",
        ip=session.device.ip,
        user_agent=session.device.user_agent,
        logged_in_at=session.created_at,
        refreshed_at=session.rotated_at,
    )


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


def authorize_result(refusal: DomainError | None) -> pb.AuthorizeResult:
    return pb.AuthorizeResult(error=grpc_client.error_message(refusal) if refusal is not None else None)


def removal_result(refusal: DomainError | None) -> pb.RemoveSecondFactorResult:
    return pb.RemoveSecondFactorResult(error=grpc_client.error_message(refusal) if refusal is not None else None)


def revocations_page(page: RevocationPage) -> pb.ListRevocationsResponse:
    return pb.ListRevocationsResponse(
        revocations=[
            pb.Revocation(
                revocation_id=ids.encode("rvk", revocation.revocation_id),
                revoked_unix_micros=micros(revocation.revoked_at),
                session_id=ids.encode("ses", revocation.session_id) if revocation.session_id is not None else "",
                user_id=ids.encode("usr", revocation.user_id) if revocation.user_version is not None else "",
                user_version=revocation.user_version or 0,
            )
            for revocation in page.revocations
        ],
        now_unix_micros=micros(page.at),
        token_life_seconds=int(page.token_life.total_seconds()),
    )


def timeline(user: User, sessions: Iterable[Session]) -> Timeline:
    """When a user signed up, logged in and out. Names and addresses are left out."""
    fields = {"user": user_id(user), "roles": " ".join(sorted(user.access.roles)), "status": user.access.status.value}
    entries = [TimelineEntry(user.created_at, "transition", "signed up", fields)]
    for session in sessions:
        name = {"session": ids.encode("ses", session.session_id), "refreshes": str(session.generation - 1)}
        entries.append(TimelineEntry(session.created_at, "transition", "session opened", name))
        if session.revoked_at is not None:
            summary = f"session ended: {session.revoked_because}"
            entries.append(TimelineEntry(session.revoked_at, "transition", summary, name))
    return Timeline(sorted(entries, key=lambda entry: entry.time))
