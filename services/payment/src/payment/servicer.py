"""gRPC endpoints: each decodes, calls one use case, encodes."""

from commdesk.payment.v1 import disputes_pb2, refunds_pb2, settlements_pb2
from commdesk.payment.v1 import payment_pb2 as pb
from commdesk.payment.v1.disputes_pb2_grpc import DisputeServiceServicer
from commdesk.payment.v1.payment_pb2_grpc import PaymentServiceServicer, ReviewServiceServicer
from commdesk.payment.v1.refunds_pb2_grpc import RefundServiceServicer
from commdesk.payment.v1.settlements_pb2_grpc import SettlementServiceServicer
from common import ids
from common.database import Database
from common.errors import DomainError, require_at_most
from common.grpc_server import CallContext
from payment.domain.refunds import Refund
from payment.use_cases import payments, refund_reads, settlements
from payment.use_cases.disputes import Disputes
from payment.use_cases.gateway_accounts import MerchantAccounts
from payment.use_cases.refund_requests import RefundRequests
from payment.use_cases.review_queue import ReviewQueue
from payment.use_cases.settlement_imports import SettlementImports
from payment.wire import disputes as dispute_messages
from payment.wire import events, gateway_accounts, refund_messages, review_messages, settlement_messages

PAYMENTS_MAX = 500


class PaymentServicer(PaymentServiceServicer):
    """See protos/commdesk/payment/v1/payment.proto."""

    def __init__(self, db: Database, accounts: MerchantAccounts) -> None:
        self._db = db
        self._accounts = accounts

    async def ListGatewayAccounts(
        self, request: pb.ListGatewayAccountsRequest, context: CallContext
    ) -> pb.ListGatewayAccountsResponse:
        accounts, secrets = await self._accounts.webhook_accounts(*gateway_accounts.page_of(request))
        return gateway_accounts.webhook_accounts(accounts, secrets)

    async def GetPayments(self, request: pb.GetPaymentsRequest, context: CallContext) -> pb.GetPaymentsResponse:
        require_at_most(PAYMENTS_MAX, payment_ids=len(request.payment_ids))
        payment_ids = [ids.decode("pay", payment_id) for payment_id in request.payment_ids]
        existing = await payments.payments_by_id(self._db, payment_ids)
        return pb.GetPaymentsResponse(payments=[events.payment_message(payment) for payment in existing])


class ReviewServicer(ReviewServiceServicer):
    """See protos/commdesk/payment/v1/payment.proto. For operators: the contract names them as the only callers."""

    def __init__(self, queue: ReviewQueue) -> None:
        self._queue = queue

    async def ListReviews(self, request: pb.ListReviewsRequest, context: CallContext) -> pb.ListReviewsResponse:
        filter = review_messages.filter_of(request)
        return review_messages.reviews_message(await self._queue.page(filter), filter.limit - 1)

    async def GetReview(self, request: pb.GetReviewRequest, context: CallContext) -> pb.GetReviewResponse:
        payment_id = ids.decode("pay", request.payment_id)
        return review_messages.evidence_message(await self._queue.show(None, payment_id))

    async def DecideReview(self, request: pb.DecideReviewRequest, context: CallContext) -> pb.DecideReviewResponse:
        case = await self._queue.decide(review_messages.request_of(request))
        return pb.DecideReviewResponse(review=review_messages.review_message(case))


class SettlementServicer(SettlementServiceServicer):
    """See protos/commdesk/payment/v1/settlements.proto."""

    def __init__(self, db: Database, imports: SettlementImports) -> None:
        self._db = db
        self._imports = imports

    async def ListSettlements(
        self, request: settlements_pb2.ListSettlementsRequest, context: CallContext
    ) -> settlements_pb2.ListSettlementsResponse:
        window = settlement_messages.settlement_window(request)
        changed = await settlements.changed_settlements(self._db, window)
        return settlement_messages.settlements_response(changed, window.limit)

    async def ListSettlementRows(
        self, request: settlements_pb2.ListSettlementRowsRequest, context: CallContext
    ) -> settlements_pb2.ListSettlementRowsResponse:
        settlement_ids, payment_ids = settlement_messages.row_owners(request)
        limit, after = settlement_messages.rows_limit(request), settlement_messages.after_row(request)
        if payment_ids:
            rows = await settlements.rows_of_payments(self._db, payment_ids, after[0], limit + 1)
        else:
            rows = await settlements.rows_of_settlements(self._db, settlement_ids, after, limit + 1)
        return settlement_messages.rows_response(rows, limit, of_payments=bool(payment_ids))

    async def ListPaymentRecords(
        self, request: settlements_pb2.ListPaymentRecordsRequest, context: CallContext
    ) -> settlements_pb2.ListPaymentRecordsResponse:
        payment_ids = settlement_messages.payment_ids(request)
        if not payment_ids:
            window = settlement_messages.record_window(request)
            return settlement_messages.records_response(await settlements.changed_payments(self._db, window))
        records = await settlements.records_of(self._db, payment_ids)
        return settlements_pb2.ListPaymentRecordsResponse(
            records=[settlement_messages.record_message(record, record.payment.updated_at) for record in records]
        )

    async def ImportSettlements(
        self, request: settlements_pb2.ImportSettlementsRequest, context: CallContext
    ) -> settlements_pb2.ImportSettlementsResponse:
        await self._imports.request(settlement_messages.days(request))
        imported = await self._imports.run_accounts()
        return settlements_pb2.ImportSettlementsResponse(
            settlements=imported.settlements, rows=imported.rows, is_complete=imported.is_complete
        )


class DisputeServicer(DisputeServiceServicer):
    """See protos/commdesk/payment/v1/disputes.proto."""

    def __init__(self, disputes: Disputes) -> None:
        self._disputes = disputes

    async def ListDisputes(
        self, request: disputes_pb2.ListDisputesRequest, context: CallContext
    ) -> disputes_pb2.ListDisputesResponse:
        payment_ids = dispute_messages.payment_ids(request)
        if payment_ids:
            return dispute_messages.disputes_response(await self._disputes.of_payments(payment_ids))
        since, until, after, limit = dispute_messages.window(request)
        records = await self._disputes.changed(since, until, after, limit + 1)
        return dispute_messages.disputes_response(records, limit)

    async def AddDisputeEvidence(
        self, request: disputes_pb2.AddDisputeEvidenceRequest, context: CallContext
    ) -> disputes_pb2.AddDisputeEvidenceResponse:
        record = await self._disputes.add_evidence(dispute_messages.operators_evidence(request))
        return disputes_pb2.AddDisputeEvidenceResponse(dispute=dispute_messages.record_message(record))


class RefundServicer(RefundServiceServicer):
    """See protos/commdesk/payment/v1/refunds.proto. For operators and, reading, the reconciler."""

    def __init__(self, requests: RefundRequests) -> None:
        self._requests = requests

    async def RequestRefunds(
        self, request: refunds_pb2.RequestRefundsRequest, context: CallContext
    ) -> refunds_pb2.RequestRefundsResponse:
        require_at_most(refund_messages.REQUESTS_MAX, items=len(request.items))
        # One after the other: two may be of one payment.
        results = [refund_messages.result_message(await self._requested(item)) for item in request.items]
        return refunds_pb2.RequestRefundsResponse(results=results)

    async def ListRefunds(
        self, request: refunds_pb2.ListRefundsRequest, context: CallContext
    ) -> refunds_pb2.ListRefundsResponse:
        listed = refund_messages.listed_of(request)
        db = self._requests.db
        if listed.payment_ids:
            found = await refund_reads.refunds_of_payments(db, listed.payment_ids)
            return refund_messages.list_message(found, len(found))
        found = await refund_reads.changed_refunds(db, listed.since, listed.until, listed.after, listed.limit + 1)
        return refund_messages.list_message(found, listed.limit)

    async def _requested(self, item: refunds_pb2.RefundRequest) -> Refund | DomainError:
        try:
            return await self._requests.request_one(refund_messages.order_of(item))
        except DomainError as error:
            return error
