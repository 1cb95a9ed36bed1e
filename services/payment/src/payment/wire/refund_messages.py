"""Refunds over gRPC, for operators and the reconciler."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec

from commdesk.payment.v1 import refunds_pb2 as pb
from common import ids, pages
from common.errors import DomainError, RequestInvalid, require_at_most
from common.events import from_micros
from common.grpc_client import error_message
from common.idempotency import Key, validated
from common.money import Money
from common.texts import Reason
from gateways.refunds import RefundSpeed
from payment.domain.refund_requests import RefundOrder
from payment.domain.refunds import Refund
from payment.wire.refund_events import refund_message
from payment.wire.refunds import with_fingerprint

REQUESTS_MAX = 100
PAYMENTS_MAX = 500
LIST_MAX = 1000
LIST_DEFAULT = 200
ROUTE = "refunds.request"

Actor = Annotated[str, msgspec.Meta(pattern=r"^operator:[!-~]{1,100}\Z")]


class _Request(msgspec.Struct, frozen=True):
    """The same rules as of a body."""

    reason: Reason
    operator: Actor
    speed: RefundSpeed


class ListedRefunds(msgspec.Struct, frozen=True):
    """Which refunds are listed: of payments, or those that changed in a time, after a place in it."""

    payment_ids: tuple[UUID, ...]
    since: datetime
    until: datetime
    after: tuple[datetime, UUID]
    limit: int


def order_of(request: pb.RefundRequest) -> RefundOrder:
    """Raises RequestInvalid, IdInvalid, IdempotencyKeyInvalid, CurrencyUnknown."""
    fields = {"reason": request.reason, "operator": request.operator, "speed": request.speed or "STANDARD"}
    try:
        msgspec.convert(fields, _Request)
    except msgspec.ValidationError as error:
        raise RequestInvalid(str(error)) from None
    amount = Money(request.amount.minor, request.amount.currency) if request.HasField("amount") else None
    # Keys of operators count for the whole installation.
    key = Key("", request.operator, ROUTE, validated(request.idempotency_key)) if request.idempotency_key else None
    return with_fingerprint(
        RefundOrder(
            payment_id=ids.decode("pay", request.payment_id),
            merchant_id=None,
            amount=amount,
            reason=request.reason,
            speed=RefundSpeed(request.speed or "STANDARD"),
            requested_by=request.operator,
            key=key,
        )
    )


def result_message(result: Refund | DomainError) -> pb.RefundResult:
    if isinstance(result, DomainError):
        return pb.RefundResult(error=error_message(result))
    return pb.RefundResult(refund=refund_message(result))


def listed_of(request: pb.ListRefundsRequest) -> ListedRefunds:
    """Raises LimitExceeded, CursorInvalid, IdInvalid, TimeOutOfRange."""
    require_at_most(PAYMENTS_MAX, payment_ids=len(request.payment_ids))
    require_at_most(LIST_MAX, limit=request.limit)
    after = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
    if request.cursor:
        after = pages.decode_cursor(request.cursor, datetime, UUID)
    return ListedRefunds(
        tuple(ids.decode("pay", each) for each in request.payment_ids),
        from_micros(request.changed_from_unix_micros),
        from_micros(request.changed_to_unix_micros),
        after,
        request.limit or LIST_DEFAULT,
    )


def list_message(refunds: list[Refund], limit: int) -> pb.ListRefundsResponse:
    """*refunds* holds one more than the page when there is a next one."""
    page = pages.page(refunds, limit, refund_message, lambda last: pages.encode_cursor(last.updated_at, last.id))
    return pb.ListRefundsResponse(refunds=page.items, next_cursor=page.next_cursor or "")
