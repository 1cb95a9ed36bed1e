"""HTTP endpoints of payments in bulk, and of a payment that is tried again."""

from functools import partial
from typing import Any, Final

from common import ids
from common.http_server import Call, Encoded, Route
from common.ids import IdInvalid
from payment.domain.batches import PREFIX, BatchNotFound
from payment.use_cases.payment_batches import PaymentBatches
from payment.wire import batches as wire
from payment.wire.batches import BODY_BYTES_MAX, BatchView, BulkBody
from payment.wire.requests import CustomerRules

PATH: Final = "/api/v1/payments/bulk"


def routes(batches: PaymentBatches, rules: CustomerRules) -> list[Route[Any]]:
    return [
        Route("POST", PATH, partial(create_payments, batches, rules=rules), body=BulkBody, answer=BatchView, status=202,
              permission="payments.create", idempotent=True, rate_limit="bulk",
              body_bytes_max=BODY_BYTES_MAX),
        Route("GET", f"{PATH}/{{batchId}}", partial(read_payment_batch, batches), answer=BatchView,
              permission="payments.read", errors=[BatchNotFound, IdInvalid]),
    ]  # fmt: skip


async def create_payments(batches: PaymentBatches, call: Call[BulkBody], *, rules: CustomerRules) -> Encoded:
    """Start up to 500 payments; they are made one by one within the gateway's quota. Ask for the batch until it is
    completed.
    """
    request = wire.parse_bulk(
        call.body,
        call.caller,
        call.context,
        batches.db.sealer,
        key=call.idempotency_key,
        rules=rules,
        clock=batches.clock,
    )
    answer = await batches.start(request, wire.started_body)
    return Encoded(answer.body, answer.status, {"idempotent-replayed": "true"} if answer.replayed else {})


async def read_payment_batch(batches: PaymentBatches, call: Call) -> BatchView:
    """A batch, and what became of each of its payments."""
    return wire.view(await batches.find(call.caller, ids.decode(PREFIX, call.path["batchId"])))
