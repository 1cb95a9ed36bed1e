"""What is recorded about merchants' orders."""

from datetime import datetime

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import events, ids
from payment.domain.merchant_orders import PREFIX, MerchantOrder
from payment.wire.events import SERVICE


def audit_created(order: MerchantOrder, at: datetime) -> AuditRecorded:
    """Who asked for the order: the request's own context says from where."""
    return events.audit(
        "order.create",
        ("order", ids.encode(PREFIX, order.id)),
        service=SERVICE,
        at=at,
        merchant_id=order.merchant_id,
        actor_id=order.user_id or order.merchant_id,
        after={"amount": order.amount.minor, "currency": order.amount.currency},
    )
