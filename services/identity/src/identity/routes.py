"""The HTTP endpoints."""

from functools import cache, partial
from importlib import resources

from common import reference_page
from common.authorization import REFUSALS
from common.clock import Clock
from common.database import Database
from common.http_server import Call, Empty, Encoded, Route, encode
from common.pages import Page
from identity.account_mail_routes import account_mail_routes
from identity.api_key_routes import api_key_routes
from identity.domain.errors import (
    AdministratorIsLast,
    CredentialsInvalid,
    LoginThrottled,
    RefreshTokenInvalid,
    RefreshTokenReused,
    RoleNotSelfService,
    RoleUnknown,
    SecondFactorInvalid,
    SecondFactorRequired,
    SessionNotFound,
    SignUpsThrottled,
    UserInactive,
    UserInvalid,
    UserNotFound,
)
from identity.domain.invitations import InvitationPolicy
from identity.domain.step_up import StepUpPolicy
from identity.member_routes import member_routes
from identity.merchant_routes import Desk, merchant_routes
from identity.passwords import HashingOverloaded
from identity.second_factor_routes import second_factor_routes
from identity.use_cases.access import change_user_access
from identity.use_cases.account_mails import AccountMails
from identity.use_cases.email_verifications import EmailVerifications
from identity.use_cases.logins import Logins
from identity.use_cases.password_changes import PasswordChanges
from identity.use_cases.password_checks import PASSWORD_ERRORS
from identity.use_cases.password_resets import PasswordResets
from identity.use_cases.profiles import Profiles
from identity.use_cases.second_factors import SecondFactors
from identity.use_cases.sessions import Sessions
from identity.use_cases.sign_ups import SignUps
from identity.use_cases.step_ups import StepUps
from identity.wire import requests, views
from identity.wire.requests import (
    AccessBody,
    LogInBody,
    LogOutQuery,
    PasswordBody,
    ProfileBody,
    RefreshBody,
    SignUpBody,
)
from identity.wire.views import (
    KeySetView,
    LogOutView,
    OpenSessionView,
    SessionView,
    SignedUpView,
    UserView,
)

# A verifier may keep the keys for as long as a rotation takes.
_KEY_SET_HEADERS = {"Cache-Control": "public, max-age=300"}


@cache
def _openapi() -> bytes:
    """The description of all services' endpoints; `make reference` writes it."""
    return resources.files("identity").joinpath("openapi.json").read_bytes()


def routes(
    db: Database,
    clock: Clock,
    *,
    sign_ups: SignUps,
    logins: Logins,
    sessions: Sessions,
    profiles: Profiles,
    email_verifications: EmailVerifications,
    password_changes: PasswordChanges,
    password_resets: PasswordResets,
    account_mails: AccountMails,
    second_factors: SecondFactors,
    step_ups: StepUps,
    step_up_policy: StepUpPolicy,
    invitation_policy: InvitationPolicy,
    key_set: KeySetView,
) -> list[Route]:
    desk = Desk(db, clock, step_up_policy)
    return [
        Route(
            "POST",
            "/api/v1/users/signup",
            partial(sign_up, sign_ups),
            public=True,
            rate_limit="sign_in",
            body=SignUpBody,
            answer=SignedUpView,
            status=202,
            errors=[UserInvalid, RoleNotSelfService, SignUpsThrottled, HashingOverloaded],
        ),
        *account_mail_routes(account_mails, email_verifications, password_resets),
        Route(
            "POST",
            "/api/v1/users/login",
            partial(log_in, logins),
            public=True,
            rate_limit="sign_in",
            body=LogInBody,
            answer=SessionView,
            errors=[
                UserInvalid,
                CredentialsInvalid,
                UserInactive,
                SecondFactorRequired,
                SecondFactorInvalid,
                LoginThrottled,
                HashingOverloaded,
            ],
        ),
        Route(
            "POST",
            "/api/v1/users/refresh",
            partial(refresh, sessions),
            public=True,
            rate_limit="sign_in",
            body=RefreshBody,
            answer=SessionView,
            errors=[RefreshTokenInvalid, RefreshTokenReused],
        ),
        Route(
            "POST",
            "/api/v1/users/logout",
            partial(log_out, sessions),
            permission="sessions.manage",
            query=LogOutQuery,
            answer=LogOutView,
            errors=[UserNotFound],
        ),
        Route(
            "GET",
            "/api/v1/users/sessions",
            partial(list_sessions, sessions),
            permission="sessions.manage",
            answer=Page[OpenSessionView],
            errors=[UserNotFound],
        ),
        Route(
            "DELETE",
            "/api/v1/users/sessions/{sessionId}",
            partial(end_session, sessions),
            permission="sessions.manage",
            answer=Empty,
            errors=[UserNotFound, SessionNotFound],
        ),
        Route(
            "GET",
            "/api/v1/users/profile",
            partial(read_profile, profiles),
            permission="profile.read",
            answer=UserView,
            errors=[UserNotFound],
        ),
        Route(
            "PUT",
            "/api/v1/users/update",
            partial(change_profile, profiles),
            permission="profile.change",
            body=ProfileBody,
            answer=UserView,
            errors=[UserInvalid, UserNotFound],
        ),
        Route(
            "PUT",
            "/api/v1/users/password",
            partial(change_password, password_changes),
            permission="profile.change",
            rate_limit="sign_in",
            body=PasswordBody,
            answer=Empty,
            errors=[UserInvalid, *PASSWORD_ERRORS],
        ),
        Route(
            "PUT",
            "/api/v1/users/{userId}/access",
            partial(change_access, db, clock, step_up_policy, profiles),
            permission="users.manage",
            body=AccessBody,
            answer=UserView,
            errors=[AdministratorIsLast, *REFUSALS, RoleUnknown, UserNotFound],
        ),
        *second_factor_routes(second_factors, step_ups),
        *api_key_routes(db, clock, step_up_policy),
        *merchant_routes(desk, sessions),
        *member_routes(desk, invitation_policy),
        Route(
            "GET",
            "/.well-known/jwks.json",
            partial(read_key_set, key_set),
            public=True,
            answer=KeySetView,
            envelope=False,
        ),
        *reference_page.routes(_openapi),
    ]


async def sign_up(sign_ups: SignUps, call: Call[SignUpBody]) -> SignedUpView:
    """Sign up: a mail brings the token that verifies the address. The answer is the same when there is such a user."""
    return views.signed_up(await sign_ups.sign_up(requests.sign_up_form(call.body)))


async def log_in(logins: Logins, call: Call[LogInBody]) -> SessionView:
    """Open a session. Without the code of an account's second factor the answer is second_factor_required."""
    return views.session(await logins.log_in(call.body.email, call.body.password, call.body.code))


async def refresh(sessions: Sessions, call: Call[RefreshBody]) -> SessionView:
    """Exchange a refresh token for the next access and refresh token. Each refresh token is valid once."""
    return views.session(await sessions.refresh(call.body.refresh_token))


async def log_out(sessions: Sessions, call: Call[None, LogOutQuery]) -> LogOutView:
    """End the session of the access token, or all of the user's with `everywhere=true`."""
    return LogOutView(await sessions.log_out(requests.log_out(call.caller, call.query, call.context)))


async def list_sessions(sessions: Sessions, call: Call) -> Page[OpenSessionView]:
    """The caller's open sessions, the newest first: where they are logged in."""
    open_sessions = await sessions.list_open(requests.user_id(call.caller), requests.home(call.caller))
    return views.sessions_page(open_sessions, requests.session_id(call.caller))


async def end_session(sessions: Sessions, call: Call) -> Empty:
    """End one of the caller's own sessions."""
    await sessions.end(requests.session_end(call.caller, call.path["sessionId"], call.context))
    return Empty()


async def read_profile(profiles: Profiles, call: Call) -> UserView:
    """The caller's own profile."""
    return await profiles.read(requests.user_id(call.caller), requests.home(call.caller))


async def change_profile(profiles: Profiles, call: Call[ProfileBody]) -> UserView:
    """Change the caller's own profile; another phone number has to be verified again."""
    return views.user(await profiles.change(requests.profile_change(call.caller, call.body, call.context)))


async def change_password(password_changes: PasswordChanges, call: Call[PasswordBody]) -> Empty:
    """Change the caller's own password, and end the caller's other sessions."""
    await password_changes.change(requests.password_form(call.caller, call.body))
    return Empty()


async def change_access(
    db: Database, clock: Clock, policy: StepUpPolicy, profiles: Profiles, call: Call[AccessBody]
) -> UserView:
    """Grant and take roles of a user of the caller's merchant, switch the account on or off."""
    change = requests.access_change(call.caller, call.path["userId"], call.body, call.context)
    return views.user(
        await change_user_access(db, clock, policy, profiles, requests.act_of(call.caller, "users.manage"), change)
    )


async def read_key_set(key_set: KeySetView, call: Call) -> KeySetView | Encoded:
    """The keys that verify access tokens."""
    return Encoded(encode(key_set), headers=_KEY_SET_HEADERS)
