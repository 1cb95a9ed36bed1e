"""A payment and the one function that moves it."""

from datetime import datetime
from uuid import UUID

import msgspec

from common import ids
from common.ids import IdInvalid
from common.money import Money
from gateways import Customer
from payment.domain.errors import TransitionInvalid
from payment.domain.metadata import Metadata
from payment.domain.orders import OrderKey
from payment.domain.pricing import Credits, Tax
from payment.domain.routing import RouteDecision
from payment.domain.states import MOVES, UNRESOLVED, FraudReview, Review, Status

REFERENCE_PREFIX = "PAY_user_"


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a request came from, for the audit log and for fraud velocity."""

    actor_id: str = ""
    ip: str = ""
    device_id: str = ""
    user_agent: str = ""
    request_id: str = ""
    trace_id: str = ""
    correlation_id: str = ""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One purchase, from the request to the last refund. `seq` goes up by one with every move."""

    id: UUID
    merchant_id: str
    user_id: str
    order_id: str
    gateway: str
    gateway_account_id: str
    # The merchant's order that it pays; None: it names none and is an order of its own.
    parent_order_id: UUID | None = None
    status: Status = Status.CREATED
    seq: int = 1
    amount: Money
    tax: Tax
    platform_fee: Money
    credits: Credits
    pack_id: str = ""
    pack_version: int = 0
    owner_kind: str = "USER"
    owner_id: str
    place_of_supply: str
    customer: Customer
    # The customer's address is the one of the account that pays: only it gets a mail before anything is paid.
    is_account_email: bool = False
    description: str = ""
    metadata: Metadata = {}
    provider_id: str = ""
    service_type: str = ""
    method_hint: str = ""
    return_url: str = ""
    idempotency_key: str = ""
    # Of the request under that key; empty without one, and where it is not known any more.
    request_fingerprint: bytes = b""
    origin: Origin
    # Why this account takes it; set where it is made, and read where it is shown only.
    routing: tuple[RouteDecision, ...] = ()
    fraud_score: int | None = None
    fraud_review: FraudReview = FraudReview.NONE
    review: Review = Review.NONE
    review_reason: str = ""
    gateway_order_id: str = ""
    gateway_payment_id: str = ""
    session_id: str = ""
    method: str = ""
    payment_group: str = ""
    failure_reason: str = ""
    cancel_requested: bool = False
    webhook_verified: bool = False
    checks: int = 0
    next_check_at: datetime | None = None
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None = None
    updated_at: datetime

    @property
    def order_key(self) -> OrderKey:
        return OrderKey(self.gateway_account_id, self.order_id)

    @property
    def unresolved(self) -> bool:
        return self.status in UNRESOLVED


class Transition(msgspec.Struct, frozen=True, gc=False):
    """One move as the history keeps it; `seq` is the payment's after the move."""

    payment_id: UUID
    seq: int
    from_status: Status | None
    to_status: Status
    reason: str
    actor: str
    at: datetime


def move(payment: Payment, to: Status, *, reason: str, actor: str, now: datetime) -> tuple[Payment, Transition]:
    """The payment in its new state and the row of its history. Raises TransitionInvalid."""
    if to not in MOVES[payment.status]:
        raise TransitionInvalid(f"a payment that is {payment.status} cannot become {to}")
    seq = payment.seq + 1
    moved = msgspec.structs.replace(payment, status=to, seq=seq, updated_at=now)
    return moved, Transition(payment.id, seq, payment.status, to, reason, actor, now)


def returned_status(payment: Payment, returned_minor: int, untouched: Status) -> Status:
    """What a paid payment is when *returned_minor* of it went back, by refunds or lost disputes.

    *untouched* is what it is when nothing did.
    """
    if returned_minor >= payment.amount.minor:
        return Status.REFUNDED
    return Status.PARTIALLY_REFUNDED if returned_minor else untouched


def reference_id(payment: Payment) -> str:
    """PAY_user_<user>_<epoch milliseconds>_<random>; the last part holds the payment's id, so it needs no index."""
    digits = ids.encode("pay", payment.id)[-ids.LENGTH :]
    return f"{REFERENCE_PREFIX}{payment.user_id}_{int(payment.created_at.timestamp() * 1000)}_{digits}"


def parse_payment_id(reference: str) -> UUID | None:
    """The id in a payment id, or in a reference id, whose last part it is."""
    text = "pay_" + reference[-ids.LENGTH :] if reference.startswith(REFERENCE_PREFIX) else reference
    try:
        return ids.decode("pay", text)
    except IdInvalid:
        return None
