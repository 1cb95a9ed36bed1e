"""The HTTP endpoints of API keys: of the caller's merchant, which is one environment of it."""

from functools import partial

from common.authorization import REFUSALS
from common.clock import Clock
from common.database import Database
from common.http_server import Call, Route
from common.ids import IdInvalid
from common.pages import CursorInvalid, Page, PageQuery
from identity.domain.errors import (
    ApiKeyEnded,
    ApiKeyLimitReached,
    ApiKeyNotFound,
    ApiKeyRightsExceeded,
    MerchantNotFound,
)
from identity.domain.step_up import StepUpPolicy
from identity.use_cases import api_keys
from identity.use_cases.batches import only
from identity.wire import api_keys as wire
from identity.wire.api_keys import ApiKeyView, IssuedKeyView, KeyChangeBody, NewKeyBody, RotationBody

_KEY = "/api/v1/api-keys/{apiKeyId}"


def api_key_routes(db: Database, clock: Clock, policy: StepUpPolicy) -> list[Route]:
    return [
        Route(
            "POST",
            "/api/v1/api-keys",
            partial(create_api_key, db, clock, policy),
            permission="api_keys.manage",
            body=NewKeyBody,
            answer=IssuedKeyView,
            status=201,
            errors=[*REFUSALS, ApiKeyRightsExceeded, ApiKeyLimitReached, MerchantNotFound],
        ),
        Route(
            "GET",
            "/api/v1/api-keys",
            partial(list_api_keys, db, clock),
            permission="api_keys.read",
            query=PageQuery,
            answer=Page[ApiKeyView],
            errors=[CursorInvalid],
        ),
        Route(
            "GET",
            _KEY,
            partial(read_api_key, db, clock),
            permission="api_keys.read",
            answer=ApiKeyView,
            errors=[IdInvalid, ApiKeyNotFound],
        ),
        Route(
            "PATCH",
            _KEY,
            partial(change_api_key, db, clock, policy),
            permission="api_keys.manage",
            body=KeyChangeBody,
            answer=ApiKeyView,
            errors=[*REFUSALS, IdInvalid, ApiKeyRightsExceeded, ApiKeyNotFound, ApiKeyEnded],
        ),
        Route(
            "POST",
            f"{_KEY}/rotate",
            partial(rotate_api_key, db, clock, policy),
            permission="api_keys.manage",
            body=RotationBody,
            answer=IssuedKeyView,
            status=201,
            errors=[*REFUSALS, IdInvalid, ApiKeyRightsExceeded, ApiKeyNotFound, ApiKeyEnded, ApiKeyLimitReached],
        ),
        Route(
            "DELETE",
            _KEY,
            partial(revoke_api_key, db, clock, policy),
            permission="api_keys.manage",
            answer=ApiKeyView,
            errors=[*REFUSALS, IdInvalid, ApiKeyNotFound],
        ),
    ]


async def create_api_key(db: Database, clock: Clock, policy: StepUpPolicy, call: Call[NewKeyBody]) -> IssuedKeyView:
    """Make a key. Its text is in this answer and nowhere else: who loses it rotates the key."""
    new = wire.new_key(call.caller, call.body, call.context)
    return wire.issued(only(await api_keys.issue_keys(db, clock, policy, [new])), clock.now())


async def list_api_keys(db: Database, clock: Clock, call: Call[None, PageQuery]) -> Page[ApiKeyView]:
    """The merchant's keys, the newest first, those that have ended included; none with its text."""
    limit = call.query.limit
    keys = await api_keys.list_keys(db, call.caller.merchant_id, wire.before(call.query), limit + 1)
    return wire.page(keys, limit, clock.now())


async def read_api_key(db: Database, clock: Clock, call: Call) -> ApiKeyView:
    """A key of the merchant, without its text."""
    key = await api_keys.read_key(db, call.caller.merchant_id, wire.key_id(call.path["apiKeyId"]))
    return wire.view(key, clock.now())


async def change_api_key(db: Database, clock: Clock, policy: StepUpPolicy, call: Call[KeyChangeBody]) -> ApiKeyView:
    """Restrict a key, or widen it, or name it anew; every service knows within five seconds."""
    change = wire.key_change(call.caller, call.path["apiKeyId"], call.body, call.context)
    return wire.view(only(await api_keys.change_keys(db, clock, policy, [change])), clock.now())


async def rotate_api_key(db: Database, clock: Clock, policy: StepUpPolicy, call: Call[RotationBody]) -> IssuedKeyView:
    """Make a key with the same rights in place of this one, which goes on for `overlapHours` and then ends."""
    rotation = wire.rotation(call.caller, call.path["apiKeyId"], call.body, call.context)
    return wire.issued(only(await api_keys.rotate_keys(db, clock, policy, [rotation])), clock.now())


async def revoke_api_key(db: Database, clock: Clock, policy: StepUpPolicy, call: Call) -> ApiKeyView:
    """End a key at once: every service refuses it within five seconds. One that has ended already stays as it is."""
    revocation = wire.revocation(call.caller, call.path["apiKeyId"], call.context)
    return wire.view(only(await api_keys.revoke_keys(db, clock, policy, [revocation])), clock.now())
