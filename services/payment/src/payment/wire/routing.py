"""Routing rules and decisions in JSON and over gRPC."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from commdesk.payment.v1 import routing_pb2 as pb
from common import ids
from common.errors import RequestInvalid
from common.http_server import Body
from common.money import Money
from common.texts import Reason
from common.tokens import Caller
from payment.domain.routing import RULES_MAX, RouteDecision, RouteRequest, RoutingRule, RoutingRules
from payment.use_cases.routing import RulesRequest
from payment.wire.gateway_accounts import Minor
from payment.wire.review_messages import Actor

# In whose audit log it stands what operators do to the rules of all merchants.
PLATFORM = "mer_commdesk"
Percent = Annotated[int, Meta(ge=1, le=100)]


class RoutingRuleBody(Body, frozen=True):
    """A rule; what is left out matches everything. Without an account the success rate decides."""

    priority: Annotated[int, Meta(ge=0, le=100_000, description="Rules are tried from the lowest on.")]
    merchant_id: Annotated[str, Meta(pattern=r"^(mer_[0-9A-Za-z_]{1,60})?\Z")] = ""
    method: Annotated[str, Meta(pattern=r"^[a-z_]{0,32}\Z")] = ""
    currency: Annotated[str, Meta(pattern=r"^([A-Z]{3})?\Z")] = ""
    amount_min: Minor = 0
    amount_max: Minor | None = None
    share_percent: Percent = 100
    gateway_account_id: Annotated[str, Meta(pattern=r"^(gwa_[0-9A-Za-z_]{1,60})?\Z")] = ""
    exploration_percent: Annotated[int, Meta(ge=0, le=50)] = 5


class RoutingRulesBody(Body, frozen=True):
    """All rules of the next version; *version* is the one that they replace, 0 where there are none yet."""

    version: Annotated[int, Meta(ge=0, le=2**31 - 2)]
    rules: Annotated[tuple[RoutingRuleBody, ...], Meta(max_length=RULES_MAX)]
    reason: Reason


class RoutingRuleView(msgspec.Struct, frozen=True, rename="camel"):
    priority: int
    merchant_id: str
    method: str
    currency: str
    amount_min: int
    amount_max: int | None
    share_percent: int
    gateway_account_id: str
    exploration_percent: int


class RoutingRulesView(msgspec.Struct, frozen=True):
    """The rules in force, in the order in which they are tried."""

    version: int
    rules: list[RoutingRuleView]


class _OperatorsRules(msgspec.Struct, frozen=True):
    """The same rules as of a body."""

    version: Annotated[int, Meta(ge=0, le=2**31 - 2)]
    rules: Annotated[tuple[RoutingRuleBody, ...], Meta(max_length=RULES_MAX)]
    reason: Reason
    actor: Actor


def rules_request(body: RoutingRulesBody, caller: Caller) -> RulesRequest:
    return RulesRequest(body.version, tuple(map(_rule, body.rules)), caller.actor_id, caller.merchant_id, body.reason)


def view(rules: RoutingRules) -> RoutingRulesView:
    return RoutingRulesView(
        rules.version,
        [
            RoutingRuleView(
                rule.priority,
                rule.merchant_id,
                rule.method,
                rule.currency,
                rule.amount_min_minor,
                rule.amount_max_minor,
                rule.share_percent,
                rule.gateway_account_id,
                rule.exploration_percent,
            )
            for rule in rules.rules
        ],
    )


def _rule(body: RoutingRuleBody) -> RoutingRule:
    return RoutingRule(
        priority=body.priority,
        merchant_id=body.merchant_id,
        method=body.method,
        currency=body.currency,
        amount_min_minor=body.amount_min,
        amount_max_minor=body.amount_max,
        share_percent=body.share_percent,
        gateway_account_id=body.gateway_account_id,
        exploration_percent=body.exploration_percent,
    )


# ── gRPC ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def operators_rules(request: pb.SetRoutingRulesRequest) -> RulesRequest:
    """Raises RequestInvalid."""
    rules = [
        {
            "priority": rule.priority,
            "merchantId": rule.merchant_id,
            "method": rule.method,
            "currency": rule.currency,
            "amountMin": rule.amount_min,
            "amountMax": rule.amount_max or None,
            "sharePercent": rule.share_percent,
            "gatewayAccountId": rule.gateway_account_id,
            "explorationPercent": rule.exploration_percent,
        }
        for rule in request.rules.rules
    ]
    fields = {
        "version": request.rules.version,
        "rules": rules,
        "reason": request.reason,
        "actor": request.actor,
    }
    try:
        checked = msgspec.convert(fields, _OperatorsRules)
    except msgspec.ValidationError as error:
        raise RequestInvalid(str(error)) from None
    return RulesRequest(checked.version, tuple(map(_rule, checked.rules)), checked.actor, PLATFORM, checked.reason)


def rules_message(rules: RoutingRules) -> pb.RoutingRules:
    return pb.RoutingRules(
        version=rules.version,
        rules=[
            pb.RoutingRule(
                priority=rule.priority,
                merchant_id=rule.merchant_id,
                method=rule.method,
                currency=rule.currency,
                amount_min=rule.amount_min_minor,
                amount_max=rule.amount_max_minor or 0,
                share_percent=rule.share_percent,
                gateway_account_id=rule.gateway_account_id,
                exploration_percent=rule.exploration_percent,
            )
            for rule in rules.rules
        ],
    )


def hypothetical(request: pb.ExplainRouteRequest) -> RouteRequest:
    """A payment as the request describes it. Raises CurrencyUnknown, RequestInvalid."""
    if not 0 < request.amount <= 10**12:
        raise RequestInvalid("a payment has an amount", amount="must be minor units above 0")
    return RouteRequest(
        payment_id=ids.new(),
        merchant_id=request.merchant_id or PLATFORM,
        amount=Money(request.amount, request.currency or "INR"),
        method=request.method,
    )


def explained(decisions: Sequence[RouteDecision], gateway_account_id: str) -> pb.ExplainRouteResponse:
    return pb.ExplainRouteResponse(
        decisions=[
            pb.RouteDecision(
                gateway_account_id=each.gateway_account_id,
                reason=each.reason.value,
                rules_version=each.rules_version,
                priority=-1 if each.priority is None else each.priority,
                others={account: reason.value for account, reason in each.others.items()},
            )
            for each in decisions
        ],
        gateway_account_id=gateway_account_id,
    )
