"""gRPC endpoints: each decodes, calls one use case, encodes."""

from commdesk.payment.v1 import payment_pb2 as pb
from commdesk.payment.v1.payment_pb2_grpc import PaymentServiceServicer
from common import ids
from common.database import Database
from common.errors import require_at_most
from common.grpc_server import CallContext
from payment.use_cases import payments
from payment.wire import events

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
