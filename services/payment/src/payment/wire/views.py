"""Payments → JSON answers. Amounts are integer paise with their currency; times ISO 8601 in UTC."""

from collections.abc import Sequence
from functools import partial

import msgspec

from common import ids, pages
from common.errors import DomainError
from common.http_server import error_response
from common.pages import Page
from common.times import rfc3339
from payment.domain.metadata import Metadata
from payment.domain.payments import Payment, reference_id
from payment.domain.routing import RouteDecision
from payment.domain.states import Status

# The words of the older Razorpay clients, beside ours.
_SIMPLE = {
    Status.SUCCESS: "success",
    Status.SETTLED: "success",
    Status.FAILED: "failed",
    Status.EXPIRED: "failed",
    Status.CANCELLED: "failed",
    Status.REFUNDED: "refunded",
    Status.PARTIALLY_REFUNDED: "refunded",
    # The money came; the dispute has its own view.
    Status.DISPUTED: "success",
}


class CreditsView(msgspec.Struct, frozen=True):
    paid: int
    bonus: int


class TaxView(msgspec.Struct, frozen=True):
    net: int
    cgst: int
    sgst: int
    igst: int


class CreatedView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The answer to create: as of the moment when the gateway's order was made."""

    payment_id: str
    order_id: str
    reference_id: str
    payment_session_id: str
    gateway: str
    amount: int
    currency: str
    status: str
    simple_status: str
    credits: CreditsView
    checkout_url: str
    expires_at: str
    created_at: str
    # Where the gateway's checkout is opened with a public key and the gateway's own order id.
    gateway_order_id: str = ""
    gateway_key_id: str = ""


class RoutingView(msgspec.Struct, frozen=True, rename="camel"):
    """Why a gateway account was chosen; *others*: why each of the others was not."""

    gateway_account_id: str
    reason: str
    rules_version: int
    others: dict[str, str]


class PaymentView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A payment as its owner sees it."""

    payment_id: str
    order_id: str
    reference_id: str
    gateway: str
    amount: int
    currency: str
    status: str
    simple_status: str
    credits: CreditsView
    tax: TaxView
    created_at: str
    updated_at: str
    expires_at: str
    payment_session_id: str = ""
    payment_method: str = ""
    payment_group: str = ""
    gateway_payment_id: str = ""
    failure_reason: str = ""
    pack_id: str = ""
    description: str = ""
    provider_id: str = ""
    service_type: str = ""
    metadata: Metadata = {}
    paid_at: str = ""
    review: str = ""
    # For staff, of a payment that could have gone to several gateway accounts: oldest first.
    routing: list[RoutingView] = msgspec.field(default_factory=list)


class PublicView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What anybody with the id may see, for a checkout page that waits: nothing about a person."""

    payment_id: str
    status: str
    simple_status: str
    amount: int
    currency: str
    failure_reason: str = ""


class VerifiedView(msgspec.Struct, frozen=True, rename="camel"):
    message: str
    payment_method: str
    payment: PaymentView


_encode = msgspec.json.Encoder().encode


class CheckoutKeys(msgspec.Struct, frozen=True):
    """What the gateway's checkout opens the order with, beside the session; "" where the session suffices."""

    gateway_order_id: str = ""
    gateway_key_id: str = ""


def created_body(payment: Payment, session_id: str, public_url: str, keys: CheckoutKeys) -> bytes:
    """The whole body of the answer to create.

    PENDING, even when the webhook was faster: the answer is about the order; the status has its own endpoint.
    """
    payment_id = ids.encode("pay", payment.id)
    view = CreatedView(
        payment_id,
        payment.order_id,
        reference_id(payment),
        session_id,
        payment.gateway,
        payment.amount.minor,
        payment.amount.currency,
        Status.PENDING,
        simple_status(Status.PENDING),
        CreditsView(payment.credits.paid, payment.credits.bonus),
        f"{public_url}/checkout/{payment_id}",
        rfc3339(payment.expires_at),
        rfc3339(payment.created_at),
        keys.gateway_order_id,
        keys.gateway_key_id,
    )
    return _encode({"success": True, "data": view})


def refused_body(error: DomainError, request_id: str) -> tuple[int, bytes]:
    """Status and whole body of a final refusal, to be stored under its idempotency key."""
    reply = error_response(error, request_id)
    return reply.status_code, bytes(reply.body)


def payment_view(payment: Payment, viewer_id: str) -> PaymentView:
    """*payment* as the user *viewer_id* may see it: the checkout session is its owner's alone."""
    return PaymentView(
        ids.encode("pay", payment.id),
        payment.order_id,
        reference_id(payment),
        payment.gateway,
        payment.amount.minor,
        payment.amount.currency,
        payment.status,
        simple_status(payment.status),
        CreditsView(payment.credits.paid, payment.credits.bonus),
        TaxView(payment.tax.net.minor, payment.tax.cgst.minor, payment.tax.sgst.minor, payment.tax.igst.minor),
        rfc3339(payment.created_at),
        rfc3339(payment.updated_at),
        rfc3339(payment.expires_at),
        # Of no use once the order is closed, and a capability until then: who has it may pay, not merely look.
        payment_session_id=payment.session_id if payment.unresolved and payment.user_id == viewer_id else "",
        payment_method=payment.method,
        payment_group=payment.payment_group,
        gateway_payment_id=payment.gateway_payment_id,
        failure_reason=payment.failure_reason,
        pack_id=payment.pack_id,
        description=payment.description,
        provider_id=payment.provider_id,
        service_type=payment.service_type,
        metadata=payment.metadata,
        paid_at=rfc3339(payment.paid_at) if payment.paid_at else "",
        review="" if payment.review == "NONE" else payment.review,
    )


def staff_view(payment: Payment, viewer_id: str, decisions: Sequence[RouteDecision]) -> PaymentView:
    """`payment_view`, and what was decided about the payment's gateway account."""
    routing = [
        RoutingView(
            each.gateway_account_id,
            each.reason.value,
            each.rules_version,
            {account: reason.value for account, reason in each.others.items()},
        )
        for each in decisions
    ]
    return msgspec.structs.replace(payment_view(payment, viewer_id), routing=routing)


def public_view(payment: Payment) -> PublicView:
    return PublicView(
        ids.encode("pay", payment.id),
        payment.status,
        simple_status(payment.status),
        payment.amount.minor,
        payment.amount.currency,
        failure_reason=payment.failure_reason,
    )


def history_page(payments: Sequence[Payment], limit: int, viewer_id: str) -> Page[PaymentView]:
    """*payments* holds one more than the page when there is a next one."""
    view = partial(payment_view, viewer_id=viewer_id)
    return pages.page(payments, limit, view, lambda last: pages.encode_cursor(last.id))


def verified_view(payment: Payment, viewer_id: str) -> VerifiedView:
    return VerifiedView(verified_message(payment), payment.method, payment_view(payment, viewer_id))


def verified_message(payment: Payment) -> str:
    return "Payment verified & updated" if payment.paid_at else "Payment is not completed yet"


def simple_status(status: Status) -> str:
    return _SIMPLE.get(status, "pending")
