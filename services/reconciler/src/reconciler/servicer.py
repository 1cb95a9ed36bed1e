"""gRPC endpoints, for the operator and the console: which callers may use them stands in the contract."""

from commdesk.reconciler.v1 import reconciler_pb2 as pb
from commdesk.reconciler.v1 import reconciler_pb2_grpc
from common.grpc_server import CallContext
from reconciler.domain.runs import Scope, parse_case_status
from reconciler.use_cases.cases import CaseWork
from reconciler.use_cases.listings import Listings
from reconciler.use_cases.reconciliation import Reconciliation
from reconciler.wire import messages, requests, statements


class ReconcilerServicer(reconciler_pb2_grpc.ReconcilerServiceServicer):
    """Callers act for the platform."""

    def __init__(self, reconciliation: Reconciliation, listings: Listings, work: CaseWork) -> None:
        self._reconciliation = reconciliation
        self._listings = listings
        self._work = work

    async def Run(self, request: pb.RunRequest, context: CallContext) -> pb.RunResponse:
        return messages.run_response(await self._reconciliation.run(Scope.ALL, request.actor or "operator"))

    async def ListCases(self, request: pb.ListCasesRequest, context: CallContext) -> pb.ListCasesResponse:
        status, limit = parse_case_status(request.status), requests.cases_limit(request.limit)
        cases = await self._listings.list_cases(self._listings.platform_merchant_id, status, limit)
        return pb.ListCasesResponse(cases=[messages.case(case) for case in cases])

    async def CloseDay(self, request: pb.CloseDayRequest, context: CallContext) -> pb.CloseDayResponse:
        day, platform = requests.day(request.day), self._work.platform_merchant_id
        return messages.close(await self._work.close(platform, request.actor or "operator", day))

    async def StoreStatement(
        self, request: pb.StoreStatementRequest, context: CallContext
    ) -> pb.StoreStatementResponse:
        statement = statements.parse(request.file, request.account, request.currency or "INR")
        platform = self._work.platform_merchant_id
        return messages.statement(
            await self._work.upload(platform, request.actor or "operator", statement, request.file)
        )
