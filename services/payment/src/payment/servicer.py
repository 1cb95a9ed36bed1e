"""Door: gRPC. Decode, call one use case, encode."""

import grpc

from commdesk.payment.v1 import payment_pb2 as pb
from commdesk.payment.v1.payment_pb2_grpc import PaymentServiceServicer
from common import ids
from common.database import Database
from common.errors import InvalidArgument
from payment.use_cases import reading
from payment.wire import events

IDS_MAX = 500


class TooManyIds(InvalidArgument):
    fix = f"Ask for at most {IDS_MAX} payments at a time."


class PaymentServicer(PaymentServiceServicer):
    """See protos/commdesk/payment/v1/payment.proto."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def GetPayments(
        self,
        request: pb.GetPaymentsRequest,
        context: grpc.aio.ServicerContext[pb.GetPaymentsRequest, pb.GetPaymentsResponse],
    ) -> pb.GetPaymentsResponse:
        if len(request.payment_ids) > IDS_MAX:
            raise TooManyIds(payment_ids=f"holds {len(request.payment_ids)}")
        found = await reading.payments(self._db, [ids.decode("pay", each) for each in request.payment_ids])
        return pb.GetPaymentsResponse(payments=[events.payment_message(payment) for payment in found])
