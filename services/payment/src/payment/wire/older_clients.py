"""What clients of the Razorpay service's API (S004) are answered at /v1/api: its fields and words, no decisions.

The edge serves that address with the routes of /api/v1 and says so in a header (`Call.is_alias`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from common import ids
from common.database import Row
from common.http_server import Encoded
from common.times import rfc3339
from payment.domain.payments import Payment, reference_id
from payment.domain.states import Status
from payment.wire.views import simple_status

# What the view of refunds says, in this API's words.
REFUND_STATUS: Final[Mapping[str, str]] = {
    "NOT_REQUESTED": "not_requested",
    "REQUESTED": "requested",
    "COMPLETED": "completed",
}


def created(response: Encoded) -> Encoded:
    """The answer to create: the status in its word, and the order id that the gateway's checkout is opened with."""
    document = msgspec.json.decode(response.body)
    data = document.get("data")
    if data is None:
        return response
    data |= {"status": data["simpleStatus"], "orderId": data.get("gatewayOrderId") or data["orderId"]}
    return msgspec.structs.replace(response, body=msgspec.json.encode(document))


def verified(payment: Payment, message: str) -> Encoded:
    return _encoded(message=message, paymentMethod=payment.method, data=item(payment))


def listed(items: Sequence[Mapping[str, Any]]) -> Encoded:
    return _encoded(data=items)


def shown(shown_item: Mapping[str, Any]) -> Encoded:
    return _encoded(data=shown_item)


def item(payment: Payment, refund_status: str = "", moves: Sequence[Row] = ()) -> dict[str, Any]:
    """A payment; `razorpayOrderId` and `razorpayPaymentId` are the gateway's ids, whichever gateway it is."""
    view: dict[str, Any] = {
        "referenceId": reference_id(payment),
        "status": simple_status(payment.status),
        "amount": payment.amount.minor,
        "currency": payment.amount.currency,
        "createdAt": rfc3339(payment.created_at),
        "updatedAt": rfc3339(payment.updated_at),
        "paymentId": ids.encode("pay", payment.id),
        "orderId": payment.order_id,
        "razorpayOrderId": payment.gateway_order_id,
        "razorpayPaymentId": payment.gateway_payment_id,
        "paymentMethod": payment.method,
        "paymentGateway": payment.gateway,
        "userId": payment.user_id,
        "providerId": payment.provider_id,
        "serviceType": payment.service_type,
        "description": payment.description,
        "notes": payment.metadata,
    }
    if refund_status:
        view["refundStatus"] = REFUND_STATUS[refund_status]
    if moves:
        view["history"] = _history(moves)
    return view


def _history(moves: Sequence[Row]) -> list[dict[str, str]]:
    """The moves that change this API's word."""
    entries: list[dict[str, str]] = []
    for move in moves:
        word = simple_status(Status(move.to_status))
        if not entries or entries[-1]["status"] != word:
            entries.append({"status": word, "updatedAt": rfc3339(move.at)})
    return entries


def _encoded(**fields: Any) -> Encoded:
    return Encoded(msgspec.json.encode({"success": True} | fields))
