"""Refunds in JSON: what staff send, what they see. Amounts in minor units."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from common import idempotency, ids, pages
from common.approvals import Approval
from common.http_server import Body
from common.idempotency import Key
from common.money import Money
from common.pages import Page, PageQuery
from common.texts import Reason
from common.times import rfc3339
from common.tokens import Caller
from gateways.refunds import RefundSpeed
from payment.domain import refund_schedule
from payment.domain.payments import Payment
from payment.domain.refund_records import RefundFilter, RefundRecord
from payment.domain.refund_requests import RefundOrder, RefundPreview
from payment.domain.refunds import Refund, RefundStatus
from payment.wire.views import CreditsView, TaxView

# The words of the API of payment providers.
_SIMPLE: Final[Mapping[RefundStatus, str]] = {
    RefundStatus.INITIATED: "pending",
    RefundStatus.PROCESSING: "pending",
    RefundStatus.SUCCESS: "processed",
    RefundStatus.FAILED: "failed",
    RefundStatus.REVERSED: "failed",
}
assert _SIMPLE.keys() == set(RefundStatus), "every status has a simple word"

PaymentId = Annotated[str, Meta(min_length=1, max_length=64, description="pay_…")]
Amount = Annotated[int, Meta(ge=1, le=2**53 - 1, description="Minor units; without it, all that is left.")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]


class RefundBody(Body, frozen=True):
    """POST /payments/{paymentId}/refunds."""

    reason: Reason
    amount: Amount | None = None
    currency: Currency = "INR"
    speed: RefundSpeed = RefundSpeed.STANDARD


class InitiateBody(RefundBody, frozen=True, kw_only=True):
    """POST /refunds/initiate."""

    payment_id: PaymentId


class PreviewBody(Body, frozen=True):
    """POST /refunds/preview."""

    payment_id: PaymentId
    amount: Amount | None = None
    currency: Currency = "INR"


class RefundsQuery(PageQuery, frozen=True):
    """The merchant's refunds, newest first."""

    status: Annotated[RefundStatus, Meta(description="Only in this status.")] | None = None
    payment_id: PaymentId | None = None


class RefundView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A refund; *creditsHeld* is what the wallet reserved of *credits*, the rest was spent before."""

    refund_id: str
    payment_id: str
    status: str
    simple_status: str
    amount: int
    currency: str
    tax: TaxView
    credits: CreditsView
    credits_held: CreditsView
    policy: str
    reason: str
    speed: str
    source: str
    requested_by: str
    created_at: str
    updated_at: str
    receipt_id: str = ""
    gateway_refund_id: str = ""
    bank_reference: str = ""
    failure_reason: str = ""
    credit_note_number: str = ""
    refunded_at: str = ""
    expected_date: str = ""


class PaymentRefundView(msgspec.Struct, frozen=True, rename="camel"):
    """A refund in the words of the API of payment providers: *status* is pending, processed or failed."""

    refund_id: str
    payment_id: str
    status: str
    amount: int
    currency: str
    created_at: str


class RefundPreviewView(msgspec.Struct, frozen=True, rename="camel"):
    """What a refund would do now; *creditsMissing* are spent, and *policy* says what becomes of them."""

    payment_id: str
    amount: int
    refundable: int
    currency: str
    tax: TaxView
    credits: CreditsView
    credits_held: CreditsView
    credits_missing: CreditsView
    policy: str
    is_possible: bool
    needs_approval: bool


class RefundApprovalView(msgspec.Struct, frozen=True, rename="camel"):
    """A refund above the limit that waits for a second person, or had one."""

    approval_id: str
    status: str
    payment_id: str
    refund_id: str
    amount: int
    currency: str
    proposed_by: str
    reason: str
    proposed_at: str
    expires_at: str
    decided_by: str
    decision_reason: str


def approval_view(approval: Approval, now: datetime) -> RefundApprovalView:
    detail = approval.detail
    return RefundApprovalView(
        approval.text_id,
        approval.at(now).status,
        str(detail["paymentId"]),
        str(detail["refundId"]),
        int(str(detail["amount"])),
        str(detail["currency"]),
        approval.proposed_by,
        approval.reason,
        rfc3339(approval.proposed_at),
        rfc3339(approval.expires_at),
        approval.decided_by or "",
        approval.decision_reason or "",
    )


def order_of(body: RefundBody, payment_id: str, caller: Caller, key: str, route: str) -> RefundOrder:
    """Raises IdInvalid."""
    order = RefundOrder(
        payment_id=ids.decode("pay", payment_id),
        merchant_id=caller.merchant_id,
        amount=amount_of(body.amount, body.currency),
        reason=body.reason,
        speed=body.speed,
        requested_by=caller.actor_id,
        is_by_key=bool(caller.api_key_id),
        key=Key(caller.merchant_id, caller.user_id, route, key) if key else None,
    )
    return with_fingerprint(order)


def with_fingerprint(order: RefundOrder) -> RefundOrder:
    """The order with what makes two requests under one key the same."""
    if order.key is None:
        return order
    content = (order.payment_id, order.amount, order.reason, order.speed)
    mark = idempotency.fingerprint(order.key.merchant_id, order.key.user_id, content)
    return msgspec.structs.replace(order, fingerprint=mark)


def amount_of(minor: int | None, currency: str) -> Money | None:
    """Raises CurrencyUnknown."""
    return None if minor is None else Money(minor, currency)


def filter_of(query: RefundsQuery, caller: Caller) -> RefundFilter:
    """One more than the page. Raises CursorInvalid, IdInvalid."""
    return RefundFilter(
        merchant_id=caller.merchant_id,
        status=query.status,
        payment_id=ids.decode("pay", query.payment_id) if query.payment_id else None,
        before=pages.decode_cursor(query.cursor, UUID)[0] if query.cursor is not None else None,
        limit=query.limit + 1,
    )


_encode = msgspec.json.Encoder().encode


def requested_body(refund: Refund, payment: Payment) -> bytes:
    """The whole body of the answer to a request."""
    return _encode({"success": True, "data": refund_view(RefundRecord(refund, payment.method))})


def payment_refund_body(refund: Refund, payment: Payment) -> bytes:
    """The same in the words of the API of payment providers."""
    view = PaymentRefundView(
        refund.text_id,
        ids.encode("pay", payment.id),
        _SIMPLE[refund.status],
        refund.amount.minor,
        refund.amount.currency,
        rfc3339(refund.created_at),
    )
    return _encode({"success": True, "data": view})


def refund_view(record: RefundRecord) -> RefundView:
    refund = record.refund
    expected = ""
    if refund.status is RefundStatus.SUCCESS and refund.succeeded_at:
        expected = refund_schedule.expected_date(record.method, refund.speed, refund.succeeded_at).isoformat()
    return RefundView(
        refund.text_id,
        ids.encode("pay", refund.payment_id),
        refund.status,
        _SIMPLE[refund.status],
        refund.amount.minor,
        refund.amount.currency,
        TaxView(refund.tax.net.minor, refund.tax.cgst.minor, refund.tax.sgst.minor, refund.tax.igst.minor),
        CreditsView(refund.credits.paid, refund.credits.bonus),
        CreditsView(refund.held.paid, refund.held.bonus),
        refund.policy,
        refund.reason,
        refund.speed,
        refund.source,
        refund.requested_by,
        rfc3339(refund.created_at),
        rfc3339(refund.updated_at),
        receipt_id=ids.encode("rcp", refund.receipt_id) if refund.receipt_id else "",
        gateway_refund_id=refund.gateway_refund_id,
        bank_reference=refund.bank_reference,
        failure_reason=refund.failure_reason,
        credit_note_number=record.credit_note_number,
        refunded_at=rfc3339(refund.succeeded_at) if refund.succeeded_at else "",
        expected_date=expected,
    )


def refunds_page(records: Sequence[RefundRecord], limit: int) -> Page[RefundView]:
    """*records* holds one more than the page when there is a next one."""
    return pages.page(records, limit, refund_view, lambda last: pages.encode_cursor(last.refund.id))


def preview_view(preview: RefundPreview) -> RefundPreviewView:
    tax, credits = preview.tax, preview.credits
    return RefundPreviewView(
        ids.encode("pay", preview.payment.id),
        preview.amount.minor,
        preview.left.minor,
        preview.amount.currency,
        TaxView(tax.net.minor, tax.cgst.minor, tax.sgst.minor, tax.igst.minor),
        CreditsView(credits.paid, credits.bonus),
        CreditsView(preview.held.paid, preview.held.bonus),
        CreditsView(preview.missing.paid, preview.missing.bonus),
        preview.policy,
        preview.is_possible,
        preview.needs_approval,
    )
