"""gRPC endpoints: each decodes, calls one use case, encodes."""

from commdesk.payment.v1 import payment_pb2 as pb
from commdesk.payment.v1.payment_pb2_grpc import PaymentServiceServicer, ReviewServiceServicer
from common import ids
from common.database import Database
from common.errors import require_at_most
from common.grpc_server import CallContext
from payment.use_cases import payments
from payment.use_cases.review_queue import ReviewQueue
from payment.wire import events, review_messages

PAYMENTS_MAX = 500


class PaymentServicer(PaymentServiceServicer):
    """See protos/commdesk/payment/v1/payment.proto."""

    def __init__(self, db: Database) -> None:
        self._db = db

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
