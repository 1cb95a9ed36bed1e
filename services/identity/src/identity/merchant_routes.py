"""HTTP endpoints of merchants: make one, choose the one to act for, its profile."""

from functools import partial
from typing import Any

from msgspec import Struct

from common.authorization import REFUSALS
from common.clock import Clock
from common.database import Database
from common.http_server import Call, Route
from common.pages import Page
from identity.domain.errors import (
    AccountsTooMany,
    MerchantInvalid,
    MerchantNotFound,
    MerchantSuspended,
    SessionNotFound,
    UserNotFound,
)
from identity.domain.step_up import StepUpPolicy
from identity.use_cases import accounts
from identity.use_cases.authorizations import require_act
from identity.use_cases.batches import only
from identity.use_cases.sessions import Sessions
from identity.wire import merchant_requests, merchant_views, requests, views
from identity.wire.merchant_requests import MerchantBody, MerchantProfileBody, SwitchBody
from identity.wire.merchant_views import AccountView, MerchantView, SeatView
from identity.wire.views import SessionView

PREFIX = "/api/v1/merchants"


class Desk(Struct, frozen=True):
    """What the endpoints of merchants and members work with."""

    db: Database
    clock: Clock
    step_up: StepUpPolicy

    async def require(self, call: Call[Any, Any], permission: str) -> None:
        """Raises what acts that change rights are refused with: RightsOutdated, StepUpRequired, SecondFactorMissing."""
        await require_act(self.db, self.clock, self.step_up, requests.act_of(call.caller, permission))


def merchant_routes(desk: Desk, sessions: Sessions) -> list[Route]:
    return [
        Route(
            "POST",
            PREFIX,
            partial(create_merchant, desk),
            permission="merchants.create",
            body=MerchantBody,
            answer=AccountView,
            status=201,
            errors=[MerchantInvalid, AccountsTooMany, UserNotFound],
        ),
        Route(
            "GET",
            PREFIX,
            partial(list_merchants, sessions),
            permission="profile.read",
            answer=Page[SeatView],
            errors=[UserNotFound],
        ),
        Route(
            "POST",
            "/api/v1/users/switch",
            partial(switch_merchant, sessions),
            permission="sessions.manage",
            rate_limit="sign_in",
            body=SwitchBody,
            answer=SessionView,
            errors=[MerchantNotFound, MerchantSuspended, SessionNotFound, UserNotFound],
        ),
        Route(
            "GET",
            f"{PREFIX}/current",
            partial(read_merchant, desk),
            permission="merchants.read",
            answer=MerchantView,
            errors=[MerchantNotFound],
        ),
        Route(
            "PUT",
            f"{PREFIX}/current",
            partial(change_merchant, desk),
            permission=accounts.MANAGE,
            body=MerchantProfileBody,
            answer=MerchantView,
            errors=[MerchantInvalid, MerchantNotFound, UserNotFound, *REFUSALS],
        ),
    ]


async def create_merchant(desk: Desk, call: Call[MerchantBody]) -> AccountView:
    """Make an account with a live and a test environment. The caller becomes its owner."""
    order = merchant_requests.account_order(call.caller, call.body, call.context)
    return merchant_views.account(only(await accounts.create_accounts(desk.db, desk.clock, [order])))


async def list_merchants(sessions: Sessions, call: Call) -> Page[SeatView]:
    """The environments of all accounts that the caller is a member of."""
    return Page(merchant_views.seats(await sessions.list_seats(requests.user_id(call.caller))), None)


async def switch_merchant(sessions: Sessions, call: Call[SwitchBody]) -> SessionView:
    """Tokens of the same session for another merchant: an environment of an account that the caller is a member of, or
    the caller's own. The refresh token from before is not valid any more.
    """
    return views.session(await sessions.switch(merchant_requests.switch(call.caller, call.body, call.context)))


async def read_merchant(desk: Desk, call: Call) -> MerchantView:
    """The merchant that the caller acts for."""
    return merchant_views.merchant(await accounts.find_merchant(desk.db, call.caller.merchant_id))


async def change_merchant(desk: Desk, call: Call[MerchantProfileBody]) -> MerchantView:
    """Change what the merchant that the caller acts for says of itself: of this environment."""
    await desk.require(call, accounts.MANAGE)
    change = merchant_requests.merchant_change(call.caller, call.body, call.context)
    return merchant_views.merchant(only(await accounts.change_merchants(desk.db, desk.clock, [change])))
