"""Merchants' orders in JSON, in the words of the API of payment providers: created, attempted, paid."""

from collections.abc import Sequence
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from common import idempotency, ids, pages
from common.clock import Clock
from common.errors import RequestInvalid
from common.http_server import Body
from common.idempotency import Key
from common.money import Money
from common.pages import Page, PageQuery
from common.times import rfc3339
from common.tokens import Caller
from payment.domain import metadata
from payment.domain.merchant_orders import PREFIX, MerchantOrder, OrderFilter, OrderStatus
from payment.domain.metadata import Metadata
from payment.domain.payments import Payment
from payment.use_cases.merchant_orders import ROUTE, NewOrder, OrderWithPayments
from payment.use_cases.payments import READ_OTHERS
from payment.wire.views import simple_status

RECEIPT_LENGTH_MAX: Final = 64
Receipt = Annotated[str, Meta(max_length=RECEIPT_LENGTH_MAX, pattern=r"^[^\x00]*$", description="The merchant's own.")]


class OrderBody(Body, frozen=True):
    """POST /orders."""

    amount: Annotated[int, Meta(ge=1, le=2**53 - 1, description="Minor units, such as paise.")]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] = "INR"
    receipt: Receipt = ""
    notes: Metadata = msgspec.field(default_factory=dict)


class OrdersQuery(PageQuery, frozen=True):
    """The merchant's orders, newest first; a member sees their own."""

    status: Annotated[str, Meta(pattern=r"^(created|attempted|paid)\Z")] | None = None
    receipt: Receipt = ""


class OrderPaymentView(msgspec.Struct, frozen=True, rename="camel"):
    payment_id: str
    status: str
    created_at: str


class OrderView(msgspec.Struct, frozen=True, rename="camel"):
    """An order; *paymentId* is the payment that paid it, *payments* are its latest, where one order is read."""

    order_id: str
    amount: int
    amount_paid: int
    currency: str
    receipt: str
    notes: dict[str, Any]
    status: str
    attempts: int
    payment_id: str | None
    payments: list[OrderPaymentView]
    created_at: str
    updated_at: str


def parse_create(body: OrderBody, caller: Caller, key: str, clock: Clock) -> NewOrder:
    """Raises RequestInvalid, CurrencyUnknown. The limits of a payment are those of its payments."""
    if problem := metadata.problem(body.notes):
        raise RequestInvalid("the request has a field that is wrong", notes=problem)
    now = clock.now()
    order = MerchantOrder(
        id=ids.new(),
        merchant_id=caller.merchant_id,
        user_id=caller.user_id,
        amount=Money(body.amount, body.currency),
        receipt=body.receipt,
        notes=body.notes,
        created_at=now,
        updated_at=now,
    )
    scope = Key(caller.merchant_id, caller.user_id, ROUTE, key) if key else None
    return NewOrder(order, scope, idempotency.fingerprint(caller.merchant_id, caller.user_id, body))


def filter_of(query: OrdersQuery, caller: Caller) -> OrderFilter:
    return OrderFilter(
        caller.merchant_id,
        query.limit + 1,
        user_id=None if READ_OTHERS in caller.permissions else caller.user_id,
        status=OrderStatus(query.status.upper()) if query.status else None,
        receipt=query.receipt,
        before=pages.decode_cursor(query.cursor, UUID)[0] if query.cursor else None,
    )


def created_body(order: MerchantOrder) -> bytes:
    """The whole body of the answer to POST /orders, as it is stored under its key."""
    return msgspec.json.encode({"success": True, "data": _view(order)})


def orders_page(orders: Sequence[MerchantOrder], limit: int) -> Page[OrderView]:
    return pages.page(orders, limit, _view, lambda last: pages.encode_cursor(last.id))


def view(found: OrderWithPayments) -> OrderView:
    if found.is_implicit:
        [payment] = found.payments
        return _view(found.order, found.payments, order_id=payment.order_id)
    return _view(found.order, found.payments)


def _view(order: MerchantOrder, payments: Sequence[Payment] = (), order_id: str = "") -> OrderView:
    return OrderView(
        order_id or ids.encode(PREFIX, order.id),
        order.amount.minor,
        order.amount.minor if order.status is OrderStatus.PAID else 0,
        order.amount.currency,
        order.receipt,
        order.notes,
        order.status.lower(),
        len(payments),
        ids.encode("pay", order.payment_id) if order.payment_id else None,
        [
            OrderPaymentView(ids.encode("pay", each.id), simple_status(each.status), rfc3339(each.created_at))
            for each in payments
        ],
        rfc3339(order.created_at),
        rfc3339(order.updated_at),
    )
