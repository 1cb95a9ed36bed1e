"""The review queue over gRPC, for operators."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec

from commdesk.payment.v1 import payment_pb2 as pb
from common import ids, pages
from common.errors import RequestInvalid, require_at_most
from common.events import micros
from common.money import Money
from common.texts import Reason
from payment.domain.review_queue import Case, Evidence, ReviewAction, ReviewFilter, ReviewKind, ReviewRequest
from payment.wire import events
from payment.wire.reviews import RefundId, Version

LIMIT_DEFAULT = 50

Actor = Annotated[str, msgspec.Meta(pattern=r"^operator:[!-~]{1,100}\Z")]


class _Decision(msgspec.Struct, frozen=True):
    """The same rules as of a body."""

    version: Version
    reason: Reason
    actor: Actor
    gateway_refund_id: RefundId | None


def filter_of(request: pb.ListReviewsRequest) -> ReviewFilter:
    """One more than the page. Raises LimitExceeded, CursorInvalid, RequestInvalid."""
    require_at_most(pages.LIMIT_MAX, limit=request.limit)
    if request.kind and request.kind not in ReviewKind.__members__:
        raise RequestInvalid("there is no such kind", kind=f"one of {', '.join(ReviewKind)}")
    return ReviewFilter(
        merchant_id=request.merchant_id or None,
        kind=ReviewKind(request.kind) if request.kind else None,
        before=pages.decode_cursor(request.cursor, UUID)[0] if request.cursor else None,
        limit=(request.limit or LIMIT_DEFAULT) + 1,
    )


def request_of(request: pb.DecideReviewRequest) -> ReviewRequest:
    """Raises RequestInvalid, IdInvalid."""
    if request.action not in ReviewAction.__members__:
        raise RequestInvalid("there is no such action", action=f"one of {', '.join(ReviewAction)}")
    fields = {
        "version": request.version,
        "reason": request.reason,
        "actor": request.actor,
        "gateway_refund_id": request.gateway_refund_id or None,
    }
    try:
        msgspec.convert(fields, _Decision)
    except msgspec.ValidationError as error:
        raise RequestInvalid(str(error)) from None
    return ReviewRequest(
        payment_id=ids.decode("pay", request.payment_id),
        merchant_id=None,
        action=ReviewAction(request.action),
        version=request.version,
        reason=request.reason,
        actor_id=request.actor,
        receipt_id=ids.decode("rcp", request.receipt_id) if request.receipt_id else None,
        gateway_refund_id=request.gateway_refund_id,
    )


def reviews_message(cases: Sequence[Case], limit: int) -> pb.ListReviewsResponse:
    """*cases* holds one more than the page when there is a next one."""
    page = pages.page(cases, limit, review_message, lambda last: pages.encode_cursor(last.payment.id))
    return pb.ListReviewsResponse(reviews=page.items, next_cursor=page.next_cursor or "")


def review_message(case: Case) -> pb.Review:
    return pb.Review(
        payment=events.payment_message(case.payment),
        kinds=[kind.value for kind in case.kinds],
        fraud_review=case.payment.fraud_review,
        reason=case.payment.review_reason,
        version=case.version,
        receipts=[
            pb.Receipt(
                receipt_id=ids.encode("rcp", receipt.id),
                gateway_payment_id=receipt.gateway_payment_id,
                reason=receipt.reason,
                amount=events.money(receipt.amount),
                applied=events.money(Money(receipt.applied_minor, receipt.amount.currency)),
                refunded=events.money(Money(receipt.refunded_minor, receipt.amount.currency)),
                gateway_refund_id=receipt.gateway_refund_id,
                received_unix_micros=micros(receipt.received_at),
                refund_id=ids.encode("rfd", receipt.refund_id) if receipt.refund_id else "",
                refund_due_unix_micros=micros(receipt.refund_due_at) if receipt.refund_due_at else 0,
            )
            for receipt in case.receipts
        ],
    )


def evidence_message(evidence: Evidence) -> pb.GetReviewResponse:
    return pb.GetReviewResponse(
        review=review_message(evidence.case),
        attempts=[
            pb.ReviewAttempt(
                gateway_payment_id=attempt.gateway_payment_id,
                status=attempt.status,
                reason=attempt.reason,
                method=attempt.method,
                amount=events.money(attempt.amount) if attempt.amount else None,
                updated_unix_micros=micros(attempt.updated_at),
            )
            for attempt in evidence.attempts
        ],
        evidence=[
            pb.ReviewEvidence(
                time_unix_micros=micros(entry.at), kind=entry.kind, summary=entry.summary, actor=entry.actor
            )
            for entry in evidence.entries
        ],
    )
