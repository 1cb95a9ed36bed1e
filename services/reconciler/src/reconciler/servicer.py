"""Door: gRPC."""

from __future__ import annotations

from typing import Any

from commdesk.reconciler.v1 import reconciler_pb2 as pb
from commdesk.reconciler.v1 import reconciler_pb2_grpc
from common.database import Database
from reconciler import store, wire
from reconciler.domain import Scope
from reconciler.use_cases import Reconciliation

LIMIT_MAX = 500


class ReconcilerServicer(reconciler_pb2_grpc.ReconcilerServiceServicer):
    def __init__(self, db: Database, reconciliation: Reconciliation) -> None:
        self._db = db
        self._reconciliation = reconciliation

    async def Run(self, request: pb.RunRequest, context: Any) -> pb.RunResponse:
        run, cases = await self._reconciliation.run(Scope.ALL, request.actor or "operator")
        return wire.run_message(run, cases)

    async def ListCases(self, request: pb.ListCasesRequest, context: Any) -> pb.ListCasesResponse:
        limit = min(request.limit, LIMIT_MAX) if request.limit > 0 else LIMIT_MAX
        async with self._db.begin() as tx:
            found = await store.cases(tx, wire.case_status(request.status), limit)
        return pb.ListCasesResponse(cases=[wire.case_message(case) for case in found])
