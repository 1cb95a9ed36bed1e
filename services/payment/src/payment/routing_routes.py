"""HTTP endpoints of routing and of merchants' gateway accounts: each decodes, calls one use case, encodes."""

from functools import partial
from typing import Any, Final

from common.authorization import ACT_ERRORS
from common.http_server import Call, Route
from common.ids import IdInvalid
from gateways import GatewayUnsupported
from payment.domain.gateway_accounts import (
    GatewayAccountExists,
    GatewayAccountsLimit,
    GatewayAccountUnknown,
    GatewayCredentialsInvalid,
)
from payment.domain.routing import RoutingRuleInvalid
from payment.use_cases import gateway_accounts, routing
from payment.use_cases.gateway_accounts import MerchantAccounts
from payment.use_cases.routing import RoutingBook, RoutingRulesChanged
from payment.wire import gateway_accounts as account_wire
from payment.wire import routing as wire
from payment.wire.gateway_accounts import (
    GatewayAccountBody,
    GatewayAccountsView,
    GatewayAccountView,
    WebhookSecretBody,
)
from payment.wire.routing import RoutingRulesBody, RoutingRulesView

RULES: Final = "/api/v1/routing/rules"
ACCOUNTS: Final = "/api/v1/gateway-accounts"


def routes(book: RoutingBook, accounts: MerchantAccounts) -> list[Route[Any]]:
    """The rules are the platform's; the accounts are each merchant's own."""
    one = f"{ACCOUNTS}/{{gatewayAccountId}}"
    known = (IdInvalid, GatewayAccountUnknown, *ACT_ERRORS)
    return [
        Route("GET", RULES, partial(read_routing_rules, book), answer=RoutingRulesView, permission=routing.READ),
        Route("PUT", RULES, partial(set_routing_rules, book), body=RoutingRulesBody, answer=RoutingRulesView,
              permission=routing.CHANGE, errors=[RoutingRuleInvalid, RoutingRulesChanged, *ACT_ERRORS]),
        Route("GET", ACCOUNTS, partial(list_gateway_accounts, accounts), answer=GatewayAccountsView,
              permission=gateway_accounts.READ),
        Route("POST", ACCOUNTS, partial(create_gateway_account, accounts), body=GatewayAccountBody,
              answer=GatewayAccountView, status=201, permission=gateway_accounts.MANAGE,
              errors=[GatewayUnsupported, GatewayCredentialsInvalid, GatewayAccountExists, GatewayAccountsLimit,
                      *ACT_ERRORS]),
        Route("POST", f"{one}/webhook-secret", partial(rotate_webhook_secret, accounts), body=WebhookSecretBody,
              answer=GatewayAccountView, permission=gateway_accounts.MANAGE, errors=known),
        Route("POST", f"{one}/disable", partial(disable_gateway_account, accounts), answer=GatewayAccountView,
              permission=gateway_accounts.MANAGE, errors=known),
    ]  # fmt: skip


async def read_routing_rules(book: RoutingBook, call: Call) -> RoutingRulesView:
    """The rules by which payments are routed between gateway accounts."""
    return wire.view(await book.rules())


async def set_routing_rules(book: RoutingBook, call: Call[RoutingRulesBody]) -> RoutingRulesView:
    """Put all rules of the next version in force; payments follow within seconds."""
    return wire.view(await book.set_rules_for(call.caller, wire.rules_request(call.body, call.caller)))


async def list_gateway_accounts(accounts: MerchantAccounts, call: Call) -> GatewayAccountsView:
    """The merchant's own accounts at gateways, without their secrets."""
    return account_wire.views(await accounts.of_merchant(call.caller.merchant_id))


async def create_gateway_account(accounts: MerchantAccounts, call: Call[GatewayAccountBody]) -> GatewayAccountView:
    """Add an account at a gateway: from then on the merchant's payments go to its own accounts only."""
    return account_wire.view(await accounts.create_for(call.caller, account_wire.new_account(call.body, call.caller)))


async def rotate_webhook_secret(accounts: MerchantAccounts, call: Call[WebhookSecretBody]) -> GatewayAccountView:
    """Replace the secret that verifies the account's webhooks; the one before verifies for another day."""
    account_id = account_wire.decoded(call.path["gatewayAccountId"])
    return account_wire.view(await accounts.rotate_for(call.caller, account_id, call.body.webhook_secret))


async def disable_gateway_account(accounts: MerchantAccounts, call: Call) -> GatewayAccountView:
    """Send no new payments to the account; those that it has are followed and refunded on."""
    account_id = account_wire.decoded(call.path["gatewayAccountId"])
    return account_wire.view(await accounts.disable_for(call.caller, account_id))
