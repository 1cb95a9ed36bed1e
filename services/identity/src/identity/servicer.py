"""The gRPC endpoint."""

from datetime import timedelta

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceServicer
from common.clock import Clock
from common.database import Database
from common.grpc_server import CallContext
from identity.domain.step_up import StepUpPolicy
from identity.use_cases import accounts, api_keys, authorizations, lost_factors, revocations, users
from identity.use_cases.api_key_resolution import ApiKeyResolution
from identity.wire import api_key_messages as messages
from identity.wire import merchant_requests, merchant_views, requests, views


class IdentityServicer(IdentityServiceServicer):
    """See protos/commdesk/identity/v1/identity.proto."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        token_life: timedelta,
        step_up: StepUpPolicy,
        api_keys: ApiKeyResolution,
        merchant_id: str,
    ) -> None:
        """Users of *merchant_id* own accounts."""
        self._db = db
        self._clock = clock
        self._token_life = token_life
        self._step_up = step_up
        self._api_keys = api_keys
        self._merchant_id = merchant_id

    async def GetUsers(self, request: pb.GetUsersRequest, context: CallContext) -> pb.GetUsersResponse:
        listed = await users.list_users(self._db, requests.user_ids(request.user_ids))
        return pb.GetUsersResponse(users=[views.user_message(user) for user in listed])

    async def Authorize(self, request: pb.AuthorizeRequest, context: CallContext) -> pb.AuthorizeResponse:
        refusals = await authorizations.authorize_acts(
            self._db, self._clock, self._step_up, [requests.act(message) for message in request.acts]
        )
        return pb.AuthorizeResponse(results=[views.authorize_result(refusal) for refusal in refusals])

    async def ResolveApiKeys(
        self, request: pb.ResolveApiKeysRequest, context: CallContext
    ) -> pb.ResolveApiKeysResponse:
        keys = await self._api_keys.resolve(request.digests)
        return pb.ResolveApiKeysResponse(results=[messages.resolved(key) for key in keys])

    async def IssueApiKeys(self, request: pb.IssueApiKeysRequest, context: CallContext) -> pb.IssueApiKeysResponse:
        issued = await api_keys.issue_keys(self._db, self._clock, self._step_up, messages.new_keys(request))
        now = self._clock.now()
        return pb.IssueApiKeysResponse(results=[messages.issued(each, now) for each in issued])

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: CallContext) -> pb.ListApiKeysResponse:
        merchant_id, before = messages.merchant_id(request.merchant_id), messages.before(request)
        keys = await api_keys.list_keys(self._db, merchant_id, before, request.limit or api_keys.PAGE_MAX)
        now = self._clock.now()
        return pb.ListApiKeysResponse(keys=[messages.listed(key, now) for key in keys])

    async def RevokeApiKeys(self, request: pb.RevokeApiKeysRequest, context: CallContext) -> pb.RevokeApiKeysResponse:
        revoked = await api_keys.revoke_keys(self._db, self._clock, self._step_up, messages.revocations(request))
        now = self._clock.now()
        return pb.RevokeApiKeysResponse(results=[messages.revoked(each, now) for each in revoked])

    async def RemoveSecondFactors(
        self, request: pb.RemoveSecondFactorsRequest, context: CallContext
    ) -> pb.RemoveSecondFactorsResponse:
        results = await lost_factors.remove_lost_factors(self._db, self._clock, requests.lost_factors(request))
        return pb.RemoveSecondFactorsResponse(results=[views.removal_result(result) for result in results])

    async def ListRevocations(
        self, request: pb.ListRevocationsRequest, context: CallContext
    ) -> pb.ListRevocationsResponse:
        since, after_id = requests.since(request), requests.after_id(request)
        page = await revocations.list_revocations(
            self._db, self._clock, self._token_life, since, after_id, request.limit
        )
        return views.revocations_page(page)

    async def GetMerchants(self, request: pb.GetMerchantsRequest, context: CallContext) -> pb.GetMerchantsResponse:
        listed = await accounts.list_merchants(self._db, request.merchant_ids)
        return pb.GetMerchantsResponse(merchants=[merchant_views.merchant_message(each) for each in listed])

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: CallContext) -> pb.ListAccountsResponse:
        listed = await accounts.list_accounts(self._db, request.after_id, request.limit)
        return pb.ListAccountsResponse(accounts=[merchant_views.account_message(each) for each in listed])

    async def GetAccount(self, request: pb.GetAccountRequest, context: CallContext) -> pb.GetAccountResponse:
        account, members = await accounts.find_account(self._db, request.reference)
        return pb.GetAccountResponse(
            account=merchant_views.account_message(account),
            members=[merchant_views.member_message(*each) for each in members],
        )

    async def CreateAccounts(
        self, request: pb.CreateAccountsRequest, context: CallContext
    ) -> pb.CreateAccountsResponse:
        orders = merchant_requests.account_orders(request, self._merchant_id)
        results = await accounts.create_accounts(self._db, self._clock, orders)
        return pb.CreateAccountsResponse(results=[merchant_views.account_result(each) for each in results])

    async def SetAccountStatus(
        self, request: pb.SetAccountStatusRequest, context: CallContext
    ) -> pb.SetAccountStatusResponse:
        results = await accounts.change_status(self._db, self._clock, merchant_requests.status_changes(request))
        return pb.SetAccountStatusResponse(results=[merchant_views.account_result(each) for each in results])
