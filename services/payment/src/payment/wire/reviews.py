"""The review queue in JSON: what staff send, what they see."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from common import ids, pages
from common.http_server import Body
from common.pages import Page, PageQuery
from common.texts import Reason
from common.times import rfc3339
from common.tokens import Caller
from payment.domain.receipts import Receipt
from payment.domain.review_queue import (
    Case,
    Evidence,
    RecordedAttempt,
    ReviewAction,
    ReviewFilter,
    ReviewKind,
    ReviewRequest,
)

Version = Annotated[
    str,
    Meta(min_length=1, max_length=64, pattern=r"^[0-9a-f]+\Z", description="`version` of the review as it was read."),
]
ReceiptId = Annotated[str, Meta(max_length=64, description="Which receipt; needed when several are open.")]
RefundId = Annotated[
    str,
    Meta(min_length=1, max_length=100, pattern=r"^[!-~]+\Z", description="The gateway's id of the refund."),
]


class ReviewsQuery(PageQuery, frozen=True):
    """The queue, newest payment first."""

    kind: Annotated[ReviewKind, Meta(description="Only of this kind.")] | None = None


class FulfilBody(Body, frozen=True):
    """The receipt becomes the payment's success, and its credits are granted."""

    version: Version
    reason: Reason
    receipt_id: ReceiptId | None = None


class RefundReceiptBody(Body, frozen=True):
    """What is left of a receipt is given back through the gateway."""

    version: Version
    reason: Reason
    receipt_id: ReceiptId | None = None


class RefundedBody(Body, frozen=True):
    """What is left of a receipt was given back in the gateway's dashboard."""

    version: Version
    reason: Reason
    receipt_id: ReceiptId
    gateway_refund_id: RefundId


class DismissBody(Body, frozen=True):
    """No money was taken, and nothing else has to be done."""

    version: Version
    reason: Reason


class ReceiptView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Money that the gateway took and that is not the payment's success (yet); amounts in minor units."""

    receipt_id: str
    gateway_payment_id: str
    reason: str
    amount: int
    applied: int
    refunded: int
    currency: str
    received_at: str
    gateway_refund_id: str = ""
    # The refund that gives it back or has, and when the policy begins one.
    refund_id: str = ""
    refund_due_at: str = ""


class PaymentReviewView(msgspec.Struct, frozen=True, rename="camel"):
    """A payment that somebody has to look at; *kinds* is empty once everything is decided.

    *fraudReview* is what fraud's rules or a person say, which a quarantine hides in *review*.
    """

    payment_id: str
    order_id: str
    user_id: str
    gateway: str
    status: str
    amount: int
    currency: str
    kinds: list[str]
    review: str
    fraud_review: str
    reason: str
    version: str
    receipts: list[ReceiptView]
    created_at: str
    updated_at: str


class AttemptView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    gateway_payment_id: str
    status: str
    updated_at: str
    reason: str = ""
    payment_method: str = ""
    amount: int = 0
    currency: str = ""


class EvidenceView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Something that happened: *kind* is transition, gateway_call or decision."""

    at: str
    kind: str
    summary: str
    actor: str = ""


class ReviewDetailView(msgspec.Struct, frozen=True, rename="camel"):
    review: PaymentReviewView
    attempts: list[AttemptView]
    evidence: list[EvidenceView]


def filter_of(query: ReviewsQuery, caller: Caller) -> ReviewFilter:
    """One more than the page, so that it shows whether there is a next one. Raises CursorInvalid."""
    before = pages.decode_cursor(query.cursor, UUID)[0] if query.cursor is not None else None
    return ReviewFilter(merchant_id=caller.merchant_id, kind=query.kind, before=before, limit=query.limit + 1)


def request_of(
    body: FulfilBody | RefundReceiptBody | RefundedBody | DismissBody,
    action: ReviewAction,
    payment_id: str,
    caller: Caller,
) -> ReviewRequest:
    """Raises IdInvalid."""
    receipt_id = getattr(body, "receipt_id", None)
    return ReviewRequest(
        payment_id=ids.decode("pay", payment_id),
        merchant_id=caller.merchant_id,
        action=action,
        version=body.version,
        reason=body.reason,
        actor_id=caller.actor_id,
        receipt_id=ids.decode("rcp", receipt_id) if receipt_id else None,
        gateway_refund_id=body.gateway_refund_id if isinstance(body, RefundedBody) else "",
    )


def review_view(case: Case) -> PaymentReviewView:
    payment = case.payment
    return PaymentReviewView(
        ids.encode("pay", payment.id),
        payment.order_id,
        payment.user_id,
        payment.gateway,
        payment.status,
        payment.amount.minor,
        payment.amount.currency,
        [kind.value for kind in case.kinds],
        payment.review,
        payment.fraud_review,
        payment.review_reason,
        case.version,
        [receipt_view(receipt) for receipt in case.receipts],
        rfc3339(payment.created_at),
        rfc3339(payment.updated_at),
    )


def receipt_view(receipt: Receipt) -> ReceiptView:
    return ReceiptView(
        ids.encode("rcp", receipt.id),
        receipt.gateway_payment_id,
        receipt.reason,
        receipt.amount.minor,
        receipt.applied_minor,
        receipt.refunded_minor,
        receipt.amount.currency,
        rfc3339(receipt.received_at),
        gateway_refund_id=receipt.gateway_refund_id,
        refund_id=ids.encode("rfd", receipt.refund_id) if receipt.refund_id else "",
        refund_due_at=rfc3339(receipt.refund_due_at) if receipt.refund_due_at else "",
    )


def reviews_page(cases: Sequence[Case], limit: int) -> Page[PaymentReviewView]:
    """*cases* holds one more than the page when there is a next one."""
    return pages.page(cases, limit, review_view, lambda last: pages.encode_cursor(last.payment.id))


def detail_view(evidence: Evidence) -> ReviewDetailView:
    return ReviewDetailView(
        review_view(evidence.case),
        [_attempt_view(attempt) for attempt in evidence.attempts],
        [EvidenceView(rfc3339(each.at), each.kind, each.summary, actor=each.actor) for each in evidence.entries],
    )


def _attempt_view(attempt: RecordedAttempt) -> AttemptView:
    return AttemptView(
        attempt.gateway_payment_id,
        attempt.status,
        rfc3339(attempt.updated_at),
        reason=attempt.reason,
        payment_method=attempt.method,
        amount=attempt.amount.minor if attempt.amount else 0,
        currency=attempt.amount.currency if attempt.amount else "",
    )
