"""HTTP endpoints of refunds and of their approvals."""

from functools import partial
from typing import Any
from uuid import UUID

from common import approvals, ids, pages
from common.approvals import DecisionBody
from common.authorization import ACT_ERRORS
from common.http_server import Call, Encoded, Route
from common.ids import IdInvalid
from common.money import CurrencyUnknown
from common.pages import CursorInvalid, Page, PageQuery
from payment.domain import errors, refund_errors
from payment.use_cases import refund_reads
from payment.use_cases.refund_approvals import APPROVE, RefundApprovals
from payment.use_cases.refund_requests import CREATE, Encode, RefundRequests
from payment.wire import refunds
from payment.wire.refunds import (
    InitiateBody,
    PaymentRefundView,
    PreviewBody,
    RefundApprovalView,
    RefundBody,
    RefundPreviewView,
    RefundsQuery,
    RefundView,
)

PREFIX = "/api/v1/refunds"
_AMOUNT_ERRORS = (
    CurrencyUnknown,
    IdInvalid,
    errors.PaymentNotFound,
    refund_errors.PaymentNotRefundable,
    refund_errors.RefundAmountInvalid,
    refund_errors.RefundsTooMany,
)
_REQUEST_ERRORS = (
    *ACT_ERRORS,
    *_AMOUNT_ERRORS,
    approvals.ApprovalPending,
    refund_errors.RefundAwaitsApproval,
    refund_errors.RefundCreditsSpent,
    refund_errors.RefundLimitExceeded,
)
_DECISION_ERRORS = (
    *ACT_ERRORS,
    *_AMOUNT_ERRORS,
    approvals.ApprovalByProposer,
    approvals.ApprovalClosed,
    approvals.ApprovalNotFound,
)


class ApprovalsQuery(PageQuery, frozen=True):
    """Newest first."""

    pending: bool = False


def routes(requests: RefundRequests, waiting: RefundApprovals) -> list[Route[Any]]:
    """SUPPORT reads, and refunds up to a limit; FINANCE and ADMIN refund and approve."""
    one = f"{PREFIX}/approvals/{{approvalId}}"
    return [
        Route("POST", f"{PREFIX}/initiate", partial(initiate_refund, requests), body=InitiateBody, answer=RefundView,
              status=201, permission=CREATE, idempotent=True, errors=_REQUEST_ERRORS),
        Route("POST", f"{PREFIX}/preview", partial(preview_refund, requests), body=PreviewBody,
              answer=RefundPreviewView, permission=CREATE, errors=_AMOUNT_ERRORS),
        Route("GET", PREFIX, partial(list_refunds, requests), query=RefundsQuery, answer=Page[RefundView],
              permission="refunds.read", errors=[CursorInvalid, IdInvalid]),
        Route("GET", f"{PREFIX}/approvals", partial(list_refund_approvals, waiting), query=ApprovalsQuery,
              answer=Page[RefundApprovalView], permission="refunds.read", errors=[CursorInvalid]),
        Route("POST", f"{one}/decide", partial(decide_refund_approval, waiting), body=DecisionBody,
              answer=RefundApprovalView, permission=APPROVE, errors=_DECISION_ERRORS),
        Route("GET", f"{PREFIX}/payment/{{paymentId}}", partial(list_refunds_of_payment, requests),
              query=PageQuery, answer=Page[RefundView], permission="refunds.read",
              errors=[CursorInvalid, IdInvalid, errors.PaymentNotFound]),
        Route("GET", f"{PREFIX}/{{refundId}}", partial(read_refund, requests), answer=RefundView,
              permission="refunds.read", errors=[IdInvalid, refund_errors.RefundNotFound]),
        Route("POST", "/api/v1/payments/{paymentId}/refunds", partial(refund_payment, requests), body=RefundBody,
              answer=PaymentRefundView, status=201, permission=CREATE, idempotent=True, errors=_REQUEST_ERRORS),
    ]  # fmt: skip


async def initiate_refund(requests: RefundRequests, call: Call[InitiateBody]) -> Encoded:
    """Refund a payment in full or in part. The same request again, under whatever key, is the same refund for a day."""
    return await _request(requests, call, call.body.payment_id, "refunds.initiate", refunds.requested_body)


async def refund_payment(requests: RefundRequests, call: Call[RefundBody]) -> Encoded:
    """As /refunds/initiate, in the words of the API of payment providers: pending, processed, failed."""
    return await _request(requests, call, call.path["paymentId"], "payments.refunds", refunds.payment_refund_body)


async def _request(requests: RefundRequests, call: Call[Any], payment_id: str, route: str, encode: Encode) -> Encoded:
    order = refunds.order_of(call.body, payment_id, call.caller, call.idempotency_key, route)
    answer = await requests.request_for(call.caller, order, encode)
    return Encoded(answer.body, answer.status, {"idempotent-replayed": "true"} if answer.replayed else {})


async def preview_refund(requests: RefundRequests, call: Call[PreviewBody]) -> RefundPreviewView:
    """What a refund would do now: credits taken, credits spent already, tax that goes back. Nothing is reserved."""
    amount = refunds.amount_of(call.body.amount, call.body.currency)
    payment_id = ids.decode("pay", call.body.payment_id)
    return refunds.preview_view(await requests.preview(call.caller.merchant_id, payment_id, amount))


async def list_refunds(requests: RefundRequests, call: Call[None, RefundsQuery]) -> Page[RefundView]:
    """The merchant's refunds, newest first."""
    wanted = refunds.filter_of(call.query, call.caller)
    return refunds.refunds_page(await refund_reads.refund_page(requests.db, wanted), call.query.limit)


async def list_refunds_of_payment(requests: RefundRequests, call: Call[None, PageQuery]) -> Page[RefundView]:
    """A payment's refunds, newest first; those of its receipts included."""
    query = RefundsQuery(limit=call.query.limit, cursor=call.query.cursor, payment_id=call.path["paymentId"])
    wanted = refunds.filter_of(query, call.caller)
    return refunds.refunds_page(await refund_reads.payment_refunds(requests.db, wanted), call.query.limit)


async def read_refund(requests: RefundRequests, call: Call) -> RefundView:
    """A refund with its credit note, the bank's reference and the day by which the customer has the money."""
    refund_id = ids.decode("rfd", call.path["refundId"])
    return refunds.refund_view(await refund_reads.refund_by_id(requests.db, call.caller.merchant_id, refund_id))


async def list_refund_approvals(waiting: RefundApprovals, call: Call[None, ApprovalsQuery]) -> Page[RefundApprovalView]:
    """Refunds above the limit that were proposed, newest first; *pending*: those that can still be decided."""
    before = pages.decode_cursor(call.query.cursor, UUID)[0] if call.query.cursor is not None else None
    found = await waiting.page(
        call.caller.merchant_id, limit=call.query.limit + 1, before=before, pending=call.query.pending
    )
    now = waiting.clock.now()
    return pages.page(
        found,
        call.query.limit,
        lambda each: refunds.approval_view(each, now),
        lambda last: pages.encode_cursor(last.id),
    )


async def decide_refund_approval(waiting: RefundApprovals, call: Call[DecisionBody]) -> RefundApprovalView:
    """Approve or reject a refund that another person proposed; approving makes it."""
    approval_id = ids.decode(approvals.PREFIX, call.path["approvalId"])
    approval = await waiting.decide(call.caller, approval_id, call.body)
    return refunds.approval_view(approval, waiting.clock.now())
