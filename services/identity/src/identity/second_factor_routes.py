"""The HTTP endpoints of second factors and of stepping up."""

from functools import partial

from common.http_server import Call, Empty, Route
from identity.domain.errors import (
    LoginThrottled,
    SecondFactorExists,
    SecondFactorInvalid,
    SecondFactorNotFound,
    SecondFactorRequired,
    SessionNotFound,
    UserNotFound,
)
from identity.use_cases.password_checks import PASSWORD_ERRORS
from identity.use_cases.second_factors import SecondFactors
from identity.use_cases.step_ups import StepUps
from identity.wire import requests, views
from identity.wire.requests import ConfirmBody, EnrolBody, RemoveFactorBody, StepUpBody
from identity.wire.views import EnrolmentView, RecoveryCodesView, SessionView


def second_factor_routes(second_factors: SecondFactors, step_ups: StepUps) -> list[Route]:
    return [
        Route(
            "POST",
            "/api/v1/users/second-factor",
            partial(enrol_second_factor, second_factors),
            permission="profile.change",
            rate_limit="sign_in",
            body=EnrolBody,
            answer=EnrolmentView,
            status=201,
            errors=[*PASSWORD_ERRORS, SecondFactorExists],
        ),
        Route(
            "POST",
            "/api/v1/users/second-factor/confirm",
            partial(confirm_second_factor, second_factors),
            permission="profile.change",
            rate_limit="sign_in",
            body=ConfirmBody,
            answer=RecoveryCodesView,
            errors=[LoginThrottled, UserNotFound, SecondFactorExists, SecondFactorInvalid, SecondFactorNotFound],
        ),
        Route(
            "POST",
            "/api/v1/users/second-factor/remove",
            partial(remove_second_factor, second_factors),
            permission="profile.change",
            rate_limit="sign_in",
            body=RemoveFactorBody,
            answer=Empty,
            errors=[*PASSWORD_ERRORS, SecondFactorInvalid, SecondFactorNotFound],
        ),
        Route(
            "POST",
            "/api/v1/users/step-up",
            partial(step_up, step_ups),
            permission="profile.change",
            rate_limit="sign_in",
            body=StepUpBody,
            answer=SessionView,
            errors=[*PASSWORD_ERRORS, SecondFactorRequired, SecondFactorInvalid, SessionNotFound],
        ),
    ]


async def enrol_second_factor(second_factors: SecondFactors, call: Call[EnrolBody]) -> EnrolmentView:
    """A secret for an authenticator app. It counts after one of its codes was confirmed, within ten minutes."""
    caller = call.caller
    enrolment = await second_factors.enrol(requests.user_id(caller), requests.home(caller), call.body.password)
    return EnrolmentView(enrolment.secret, enrolment.url)


async def confirm_second_factor(second_factors: SecondFactors, call: Call[ConfirmBody]) -> RecoveryCodesView:
    """Confirm the secret by a code of the app. From then on logins need a code; the answer holds recovery codes."""
    caller = call.caller
    codes = await second_factors.confirm(requests.user_id(caller), requests.home(caller), call.body.code)
    return RecoveryCodesView(codes)


async def remove_second_factor(second_factors: SecondFactors, call: Call[RemoveFactorBody]) -> Empty:
    """Remove the second factor, with the password and a code."""
    caller, body = call.caller, call.body
    await second_factors.remove(requests.user_id(caller), requests.home(caller), body.password, body.code)
    return Empty()


async def step_up(step_ups: StepUps, call: Call[StepUpBody]) -> SessionView:
    """Prove anew who one is, before acts that move money or rights, which need the new access token. The session stays
    the same one; its refresh token from before is not valid any more.
    """
    return views.session(await step_ups.step_up(requests.step_up_form(call.caller, call.body)))
