"""Door: gRPC. Reads only; the books are written from the queues."""

from __future__ import annotations

from typing import Any

from commdesk.ledger.v1 import ledger_pb2 as pb
from commdesk.ledger.v1 import ledger_pb2_grpc
from common.database import Database
from ledger import store, wire

LIMIT_MAX = 500


class LedgerServicer(ledger_pb2_grpc.LedgerServiceServicer):
    def __init__(self, db: Database) -> None:
        self._db = db

    async def TrialBalance(self, request: pb.TrialBalanceRequest, context: Any) -> pb.TrialBalanceResponse:
        async with self._db.begin() as tx:
            return wire.balances_message(await store.trial_balance(tx, request.merchant_id or None))

    async def ListJournals(self, request: pb.ListJournalsRequest, context: Any) -> pb.ListJournalsResponse:
        reference = wire.journal_reference(request.reference)
        async with self._db.begin() as tx:
            return wire.journals_message(await store.journals_about(tx, reference, _limit(request.limit)))

    async def ListAudit(self, request: pb.ListAuditRequest, context: Any) -> pb.ListAuditResponse:
        async with self._db.begin() as tx:
            records = await store.audit(
                tx,
                resource_id=request.resource_id or None,
                actor_id=request.actor_id or None,
                limit=_limit(request.limit),
            )
        return wire.audit_message(records)


def _limit(asked: int) -> int:
    return min(asked, LIMIT_MAX) if asked > 0 else LIMIT_MAX
