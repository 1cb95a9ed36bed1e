"""gRPC endpoints of routing and gateway accounts, for operators: each decodes, calls one use case, encodes."""

from commdesk.payment.v1 import routing_pb2 as pb
from commdesk.payment.v1.routing_pb2_grpc import GatewayAccountServiceServicer, RoutingServiceServicer
from common import ids
from common.grpc_server import CallContext
from payment.use_cases.gateway_accounts import MerchantAccounts
from payment.use_cases.routing import RoutingBook
from payment.wire import gateway_accounts as account_wire
from payment.wire import routing as wire


class RoutingServicer(RoutingServiceServicer):
    """See protos/commdesk/payment/v1/routing.proto."""

    def __init__(self, book: RoutingBook) -> None:
        self._book = book

    async def GetRoutingRules(
        self, request: pb.GetRoutingRulesRequest, context: CallContext
    ) -> pb.GetRoutingRulesResponse:
        return pb.GetRoutingRulesResponse(rules=wire.rules_message(await self._book.rules()))

    async def SetRoutingRules(
        self, request: pb.SetRoutingRulesRequest, context: CallContext
    ) -> pb.SetRoutingRulesResponse:
        rules = await self._book.set_rules(wire.operators_rules(request))
        return pb.SetRoutingRulesResponse(rules=wire.rules_message(rules))

    async def ExplainRoute(self, request: pb.ExplainRouteRequest, context: CallContext) -> pb.ExplainRouteResponse:
        if request.payment_id:
            account_id, decisions = await self._book.explain_payment(ids.decode("pay", request.payment_id))
            return wire.explained(decisions, account_id)
        decision = self._book.explain(wire.hypothetical(request))
        return wire.explained([decision], decision.gateway_account_id)


class GatewayAccountServicer(GatewayAccountServiceServicer):
    """See protos/commdesk/payment/v1/routing.proto."""

    def __init__(self, accounts: MerchantAccounts) -> None:
        self._accounts = accounts

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: CallContext) -> pb.ListAccountsResponse:
        listed = await self._accounts.of_merchants(request.merchant_id)
        return pb.ListAccountsResponse(accounts=[account_wire.message(each) for each in listed])

    async def CreateAccount(self, request: pb.CreateAccountRequest, context: CallContext) -> pb.CreateAccountResponse:
        account = await self._accounts.create(account_wire.operators_account(request))
        return pb.CreateAccountResponse(account=account_wire.message(account))

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, context: CallContext
    ) -> pb.RotateWebhookSecretResponse:
        account_id = account_wire.decoded(request.gateway_account_id)
        account = await self._accounts.rotate(account_id, account_wire.checked_secret(request), request.actor)
        return pb.RotateWebhookSecretResponse(account=account_wire.message(account))

    async def DisableAccount(
        self, request: pb.DisableAccountRequest, context: CallContext
    ) -> pb.DisableAccountResponse:
        account_id = account_wire.decoded(request.gateway_account_id)
        account = await self._accounts.disable(account_id, account_wire.checked_actor(request.actor))
        return pb.DisableAccountResponse(account=account_wire.message(account))
