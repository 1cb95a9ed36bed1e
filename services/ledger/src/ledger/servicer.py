"""gRPC endpoints. They read; the books are written from the queues."""

from commdesk.ledger.v1 import ledger_pb2 as pb
from commdesk.ledger.v1 import ledger_pb2_grpc
from common import approvals, ids
from common.clock import Clock
from common.database import Database
from common.errors import require_at_most
from common.grpc_server import CallContext
from ledger.anchors import Anchor, anchor_reachable
from ledger.domain.audit import AuditFilter
from ledger.signing import HeadSigner
from ledger.use_cases import adjustments, books, verification
from ledger.use_cases.verification import BLOCKS_MAX, HEIGHT_MAX
from ledger.wire import messages

LIMIT_MAX = 500
PAYMENTS_MAX = 1000


class LedgerServicer(ledger_pb2_grpc.LedgerServiceServicer):
    """See protos/commdesk/ledger/v1/ledger.proto."""

    def __init__(self, db: Database, clock: Clock, signer: HeadSigner, anchor: Anchor | None) -> None:
        self._db = db
        self._clock = clock
        self._signer = signer
        self._anchor = anchor

    async def TrialBalance(self, request: pb.TrialBalanceRequest, context: CallContext) -> pb.TrialBalanceResponse:
        return messages.balances_message(await books.trial_balance(self._db, request.merchant_id or None))

    async def ListJournals(self, request: pb.ListJournalsRequest, context: CallContext) -> pb.ListJournalsResponse:
        reference = messages.journal_reference(request.reference)
        return messages.journals_message(await books.list_journals(self._db, reference, _limit(request.limit)))

    async def ListProposals(self, request: pb.ListProposalsRequest, context: CallContext) -> pb.ListProposalsResponse:
        limit, now = _limit(request.limit), self._clock.now()
        if request.approval_id:
            approval_id = ids.decode(approvals.PREFIX, request.approval_id)
            approval, drafts = await adjustments.read_proposal(self._db, request.merchant_id or None, approval_id)
            return pb.ListProposalsResponse(proposals=[messages.proposal_message(approval, now, drafts)])
        listed = await adjustments.list_proposals(self._db, self._clock, request.merchant_id or None, limit, None)
        return pb.ListProposalsResponse(proposals=[messages.proposal_message(each, now) for each in listed])

    async def ListAudit(self, request: pb.ListAuditRequest, context: CallContext) -> pb.ListAuditResponse:
        filter = AuditFilter(_limit(request.limit), request.resource_id or None, request.actor_id or None)
        return messages.audit_message(await books.list_audit(self._db, filter))

    async def ListPaymentSums(
        self, request: pb.ListPaymentSumsRequest, context: CallContext
    ) -> pb.ListPaymentSumsResponse:
        require_at_most(PAYMENTS_MAX, payment_ids=len(request.payment_ids))
        payment_ids = [ids.decode("pay", payment_id) for payment_id in request.payment_ids]
        return messages.payment_sums_message(await books.list_payment_sums(self._db, payment_ids))

    async def VerifyBlocks(self, request: pb.VerifyBlocksRequest, context: CallContext) -> pb.VerifyBlocksResponse:
        require_at_most(BLOCKS_MAX, limit=request.limit)
        first, limit = min(max(request.from_height, 1), HEIGHT_MAX), max(request.limit, 0) or BLOCKS_MAX
        with anchor_reachable():
            part = await verification.verify_blocks(self._db, self._signer, self._anchor, first, limit)
        return messages.verified_blocks(part)

    async def VerifyEntries(self, request: pb.VerifyEntriesRequest, context: CallContext) -> pb.VerifyEntriesResponse:
        findings, last = await verification.verify_entries(self._db, messages.position(request.position))
        return messages.verified_entries(findings, last)

    async def VerifyTail(self, request: pb.VerifyTailRequest, context: CallContext) -> pb.VerifyTailResponse:
        with anchor_reachable():
            tail = await verification.verify_tail(self._db, self._anchor)
        return messages.verified_tail(tail, self._anchor.url if self._anchor else "")


def _limit(requested: int) -> int:
    """How many are returned at most; 0 leaves it to us. Raises LimitExceeded."""
    require_at_most(LIMIT_MAX, limit=requested)
    return requested or LIMIT_MAX
