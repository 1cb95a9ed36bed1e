"""HTTP endpoints: each decodes, calls one use case, encodes."""

from functools import partial
from typing import Any

import msgspec

from common import ids
from common.authorization import ACT_ERRORS, Authorizer
from common.database import Database
from common.http_server import Call, Encoded, Route
from common.ids import IdInvalid
from common.money import CurrencyUnknown
from common.pages import CursorInvalid, Page
from common.seals import Sealer
from gateways import GatewayUnsupported
from payment import (
    batch_routes,
    dispute_routes,
    merchant_order_routes,
    refund_routes,
    routing_routes,
    settlement_routes,
)
from payment.domain import errors, merchant_orders, receipts, refund_errors, review_queue
from payment.domain.review_queue import ReviewAction
from payment.use_cases import payments, user_histories
from payment.use_cases.cancellations import Cancellations
from payment.use_cases.checkout_proofs import CheckoutProofs
from payment.use_cases.create_payment import CreatePayment
from payment.use_cases.disputes import Disputes
from payment.use_cases.gateway_accounts import MerchantAccounts
from payment.use_cases.job_status import TestModeOff, job_status
from payment.use_cases.merchant_orders import MerchantOrders
from payment.use_cases.payment_batches import PaymentBatches
from payment.use_cases.payment_retries import PaymentRetries
from payment.use_cases.refund_approvals import RefundApprovals
from payment.use_cases.refund_requests import RefundRequests
from payment.use_cases.review_queue import DECIDE, ReviewQueue
from payment.use_cases.routing import NoGatewayAccount, RoutingBook
from payment.use_cases.user_histories import UserHistories
from payment.use_cases.verification import Verification
from payment.wire import older_clients, requests, reviews, views
from payment.wire.jobs import JobsView
from payment.wire.requests import CreateBody, CustomerRules, HistoryQuery, UserHistoryQuery, VerifyBody
from payment.wire.reviews import (
    DismissBody,
    FulfilBody,
    PaymentReviewView,
    RefundedBody,
    RefundReceiptBody,
    ReviewDetailView,
    ReviewsQuery,
)
from payment.wire.views import CreatedView, PaymentView, PublicView, VerifiedView

PREFIX = "/api/v1/payments"

_CREATE_HEADERS = ("X-Device-Id",)
_CREATE_ERRORS = (
    CurrencyUnknown,
    NoGatewayAccount,
    errors.AmountInvalid,
    merchant_orders.OrderAlreadyPaid,
    merchant_orders.OrderAmountDiffers,
    merchant_orders.OrderNotFound,
    merchant_orders.OrderPaymentOpen,
    errors.CurrencyNotEnabled,
    errors.GatewayRefused,
    errors.OrderIdInvalid,
    errors.OrderIdTaken,
    errors.PackOrAmountRequired,
    errors.PackUnknown,
    errors.PacksUnavailable,
    errors.PaymentBlocked,
    errors.PaymentUnresolved,
    errors.PlaceOfSupplyInvalid,
)
_RETRY_ERRORS = (
    errors.GatewayRefused,
    errors.PaymentBlocked,
    errors.PaymentNotFound,
    errors.PaymentUnresolved,
    merchant_orders.OrderAlreadyPaid,
    merchant_orders.OrderPaymentOpen,
    merchant_orders.PaymentNotRetryable,
)
_CANCEL_ERRORS = (
    errors.CancelNotAllowed,
    errors.PaymentNotFound,
    errors.PaymentNotCancellable,
    errors.PaymentUnresolved,
    *ACT_ERRORS,
)
_VERIFY_ERRORS = (
    errors.CheckoutSignatureInvalid,
    errors.PaymentNotFound,
    errors.VerificationLimitExceeded,
    GatewayUnsupported,
)
_DECISION_ERRORS = (
    *ACT_ERRORS,
    IdInvalid,
    review_queue.ReviewActionInvalid,
    review_queue.ReviewChanged,
    review_queue.ReviewNotFound,
)


class Endpoints(msgspec.Struct, frozen=True):
    """What the endpoints call."""

    db: Database
    create: CreatePayment
    verification: Verification
    proofs: CheckoutProofs
    cancellations: Cancellations
    reviews: ReviewQueue
    disputes: Disputes
    refunds: RefundRequests
    refund_approvals: RefundApprovals
    orders: MerchantOrders
    batches: PaymentBatches
    retries: PaymentRetries
    histories: UserHistories
    routing: RoutingBook
    gateway_accounts: MerchantAccounts
    authorizer: Authorizer
    customer_rules: CustomerRules
    test_mode: bool = False


def routes(use_cases: Endpoints) -> list[Route[Any]]:
    """In the order in which they are tried: /history, /reviews and /status win over /{paymentId}."""
    db = use_cases.db
    create = partial(create_payment, use_cases.create, db.sealer, rules=use_cases.customer_rules)
    return [
        Route("POST", f"{PREFIX}/create", create, body=CreateBody, answer=CreatedView, status=201,
              permission="payments.create", headers=_CREATE_HEADERS, idempotent=True,
              errors=_CREATE_ERRORS, operation_id="createPaymentByVerb"),
        Route("POST", PREFIX, create, body=CreateBody, answer=CreatedView, status=201,
              permission="payments.create", headers=_CREATE_HEADERS, idempotent=True, errors=_CREATE_ERRORS),
        Route("POST", f"{PREFIX}/verify", partial(verify_payment, use_cases), body=VerifyBody,
              answer=VerifiedView, permission="payments.verify", errors=_VERIFY_ERRORS),
        Route("GET", f"{PREFIX}/history", partial(list_payments, db), query=HistoryQuery, answer=Page[PaymentView],
              permission="payments.read", errors=[errors.PaymentNotFound]),
        Route("GET", f"{PREFIX}/history/{{userId}}", partial(list_user_payments, use_cases), query=UserHistoryQuery,
              answer=Page[PaymentView], permission="payments.read", errors=[errors.PaymentNotFound]),
        *review_routes(use_cases.reviews),
        *refund_routes.routes(use_cases.refunds, use_cases.refund_approvals),
        *settlement_routes.routes(db),
        *dispute_routes.routes(use_cases.disputes),
        *routing_routes.routes(use_cases.routing, use_cases.gateway_accounts),
        *merchant_order_routes.routes(use_cases.orders),
        *batch_routes.routes(use_cases.batches, use_cases.customer_rules),
        Route("GET", "/api/v1/test/jobs/status", partial(read_job_status, use_cases), answer=JobsView, public=True,
              errors=[TestModeOff]),
        Route("GET", f"{PREFIX}/status/{{reference}}", partial(read_status, db), answer=PaymentView,
              permission="payments.read", errors=[errors.PaymentNotFound]),
        Route("GET", f"{PREFIX}/{{paymentId}}", partial(read_payment, db), answer=PaymentView,
              permission="payments.read", errors=[errors.PaymentNotFound]),
        Route("GET", f"{PREFIX}/{{paymentId}}/public", partial(read_public_payment, db), answer=PublicView,
              public=True, errors=[errors.PaymentNotFound]),
        Route("POST", f"{PREFIX}/{{paymentId}}/retry", partial(retry_payment, use_cases), answer=CreatedView,
              status=201, permission="payments.create", headers=_CREATE_HEADERS, idempotent=True, errors=_RETRY_ERRORS),
        Route("POST", f"{PREFIX}/{{paymentId}}/cancel", partial(cancel_payment, use_cases),
              answer=PaymentView, permission="payments.cancel", errors=_CANCEL_ERRORS),
    ]  # fmt: skip


def review_routes(queue: ReviewQueue) -> list[Route[Any]]:
    """The queue of what waits for a decision."""
    path = f"{PREFIX}/reviews"
    one = f"{path}/{{paymentId}}"
    money = (
        *_DECISION_ERRORS,
        receipts.ReceiptClosed,
        refund_errors.ReceiptRefundPending,
        review_queue.ReceiptNotFound,
    )
    ambiguous = (refund_errors.ReceiptRefundAmbiguous, refund_errors.RefundsTooMany)
    return [
        Route("GET", path, partial(list_payment_reviews, queue), query=ReviewsQuery, answer=Page[PaymentReviewView],
              permission="payment_reviews.read", errors=[CursorInvalid]),
        Route("GET", one, partial(read_payment_review, queue), answer=ReviewDetailView,
              permission="payment_reviews.read", errors=[IdInvalid, review_queue.ReviewNotFound]),
        Route("POST", f"{one}/fulfil", partial(fulfil_payment_review, queue), body=FulfilBody,
              answer=PaymentReviewView, permission=DECIDE, errors=[*money, receipts.ReceiptTooSmall]),
        Route("POST", f"{one}/refund", partial(refund_payment_receipt, queue), body=RefundReceiptBody,
              answer=PaymentReviewView, permission=DECIDE, errors=[*money, *ambiguous]),
        Route("POST", f"{one}/refunded", partial(refund_payment_review, queue), body=RefundedBody,
              answer=PaymentReviewView, permission=DECIDE, errors=[*money, review_queue.RefundIdTaken]),
        Route("POST", f"{one}/dismiss", partial(dismiss_payment_review, queue), body=DismissBody,
              answer=PaymentReviewView, permission=DECIDE, errors=_DECISION_ERRORS),
    ]  # fmt: skip


async def create_payment(
    create: CreatePayment, sealer: Sealer, call: Call[CreateBody], *, rules: CustomerRules
) -> Encoded:
    """Start a payment of a pack or an amount: the answer holds the session that the checkout opens."""
    parsed = requests.parse_create(
        call.body,
        call.caller,
        call.context,
        sealer,
        key=requests.idempotency_key(call.body, call.idempotency_key),
        device_id=call.header("x-device-id"),
        rules=rules,
    )
    response = await create.create(parsed.purchase, parsed.fingerprint)
    replayed = {"idempotent-replayed": "true"} if response.replayed else {}
    answer = Encoded(response.body, response.status, replayed)
    return older_clients.created(answer) if call.is_alias else answer


async def verify_payment(use_cases: Endpoints, call: Call[VerifyBody]) -> VerifiedView | Encoded:
    """Look the payment's order up at the gateway now, whatever its status but paid; at most every few seconds."""
    parsed = requests.parse_verify(call.body)
    payment = await payments.find_payment(use_cases.db, call.caller, parsed.reference)
    use_cases.proofs.check(payment, parsed.proof)
    verified = await use_cases.verification.verify(payment, call.caller)
    if call.is_alias:
        return older_clients.verified(verified, views.verified_message(verified))
    return views.verified_view(verified, call.caller.user_id)


async def list_payments(db: Database, call: Call[None, HistoryQuery]) -> Page[PaymentView]:
    """The caller's payments, newest first; staff may name another user of their merchant."""
    wanted = requests.history_filter(call.query, call.caller)
    return views.history_page(
        await payments.payment_history(db, call.caller, wanted), wanted.limit, call.caller.user_id
    )


async def list_user_payments(use_cases: Endpoints, call: Call[None, UserHistoryQuery]) -> Page[PaymentView] | Encoded:
    """A user's payments, newest first: one's own, or for staff another user's of their merchant."""
    wanted = requests.user_history_filter(call.query, call.path["userId"])
    if call.is_alias:
        return older_clients.listed(await use_cases.histories.read(call.caller, wanted))
    return views.history_page(
        await payments.payment_history(use_cases.db, call.caller, wanted), wanted.limit, call.caller.user_id
    )


async def read_status(db: Database, call: Call) -> PaymentView | Encoded:
    """A payment by its payment, order or reference id."""
    payment = await payments.find_payment(db, call.caller, call.path["reference"])
    if call.is_alias:
        return older_clients.shown(await user_histories.item_with_history(db, payment.id))
    return views.payment_view(payment, call.caller.user_id)


async def read_payment(db: Database, call: Call) -> PaymentView:
    """A payment by its payment, order or reference id."""
    payment = await payments.find_payment(db, call.caller, call.path["paymentId"])
    return views.staff_view(payment, call.caller.user_id, await payments.decisions_for(db, call.caller, payment))


async def read_public_payment(db: Database, call: Call) -> PublicView:
    """What anybody with the payment's id may see, for a checkout page that waits."""
    return views.public_view(await payments.find_public_payment(db, call.path["paymentId"]))


async def read_job_status(use_cases: Endpoints, call: Call) -> JobsView:
    """How many jobs wait, run, are done and failed, by queue; in test installations only."""
    return await job_status(use_cases.db, test_mode=use_cases.test_mode)


async def retry_payment(use_cases: Endpoints, call: Call) -> Encoded:
    """Try an unpaid payment again: 200 with its own session while its order is open, else 201 with the next payment of
    the same order.
    """
    payment = await payments.find_payment(use_cases.db, call.caller, call.path["paymentId"])
    device_id = call.header("x-device-id")[: requests.DEVICE_LENGTH_MAX]
    origin = requests.origin(call.caller, call.context, use_cases.db.sealer, device_id)
    response = await use_cases.retries.retry(payment, call.caller, origin, call.idempotency_key)
    return Encoded(response.body, response.status, {"idempotent-replayed": "true"} if response.replayed else {})


async def cancel_payment(use_cases: Endpoints, call: Call) -> PaymentView:
    """Close an unpaid payment's order at the gateway: the owner's right, and for others FINANCE's and ADMIN's."""
    payment = await payments.find_payment_to_cancel(
        use_cases.db, use_cases.authorizer, call.caller, call.path["paymentId"]
    )
    origin = requests.origin(call.caller, call.context, use_cases.db.sealer)
    return views.payment_view(await use_cases.cancellations.cancel(payment.id, origin), call.caller.user_id)


async def list_payment_reviews(queue: ReviewQueue, call: Call[None, ReviewsQuery]) -> Page[PaymentReviewView]:
    """The merchant's payments that wait for a person's decision, newest first."""
    return reviews.reviews_page(await queue.page(reviews.filter_of(call.query, call.caller)), call.query.limit)


async def read_payment_review(queue: ReviewQueue, call: Call) -> ReviewDetailView:
    """A payment with its receipts, attempts, the gateway's answers, its moves and the decisions about it."""
    payment_id = ids.decode("pay", call.path["paymentId"])
    return reviews.detail_view(await queue.show(call.caller.merchant_id, payment_id))


async def fulfil_payment_review(queue: ReviewQueue, call: Call[FulfilBody]) -> PaymentReviewView:
    """Make a receipt the payment's success; its credits are granted."""
    request = reviews.request_of(call.body, ReviewAction.FULFIL, call.path["paymentId"], call.caller)
    return reviews.review_view(await queue.decide_for(call.caller, request))


async def refund_payment_receipt(queue: ReviewQueue, call: Call[RefundReceiptBody]) -> PaymentReviewView:
    """Give what is left of a receipt back through the gateway; it stays in the queue until the gateway has."""
    request = reviews.request_of(call.body, ReviewAction.REFUND, call.path["paymentId"], call.caller)
    return reviews.review_view(await queue.decide_for(call.caller, request))


async def refund_payment_review(queue: ReviewQueue, call: Call[RefundedBody]) -> PaymentReviewView:
    """Record that what was left of a receipt was given back in the gateway's dashboard."""
    request = reviews.request_of(call.body, ReviewAction.REFUNDED, call.path["paymentId"], call.caller)
    return reviews.review_view(await queue.decide_for(call.caller, request))


async def dismiss_payment_review(queue: ReviewQueue, call: Call[DismissBody]) -> PaymentReviewView:
    """Close a quarantine behind which there is no money."""
    request = reviews.request_of(call.body, ReviewAction.DISMISS, call.path["paymentId"], call.caller)
    return reviews.review_view(await queue.decide_for(call.caller, request))
