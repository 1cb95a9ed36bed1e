"""gRPC endpoints, for the operator and the console: which callers may use them stands in the contract."""

from commdesk.reconciler.v1 import reconciler_pb2 as pb
from commdesk.reconciler.v1 import reconciler_pb2_grpc
from common.grpc_server import CallContext
from reconciler.domain.runs import Scope, parse_case_status
from reconciler.use_cases.listings import Listings
from reconciler.use_cases.reconciliation import Reconciliation
from reconciler.wire import messages, requests


class ReconcilerServicer(reconciler_pb2_grpc.ReconcilerServiceServicer):
    """Callers act for the platform."""

    def __init__(self, reconciliation: Reconciliation, listings: Listings) -> None:
        self._reconciliation = reconciliation
        self._listings = listings

    async def Run(self, request: pb.RunRequest, context: CallContext) -> pb.RunResponse:
        return messages.run_response(await self._reconciliation.run(Scope.ALL, request.actor or "operator"))

    async def ListCases(self, request: pb.ListCasesRequest, context: CallContext) -> pb.ListCasesResponse:
        status, limit = parse_case_status(request.status), requests.cases_limit(request.limit)
        cases = await self._listings.list_cases(self._listings.platform_merchant_id, status, limit)
        return pb.ListCasesResponse(cases=[messages.case(case) for case in cases])
