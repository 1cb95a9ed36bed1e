"""Merchants' orders: make one, read it with its payments, list them; what a payment of one is about."""

from collections.abc import Callable, Sequence

import msgspec

from common import idempotency, ids, outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from common.idempotency import Answered, Claim, Completion, Fresh, Key
from common.tokens import Caller
from payment.domain.errors import PaymentNotFound
from payment.domain.merchant_orders import (
    MerchantOrder,
    OrderAmountDiffers,
    OrderFilter,
    OrderNotFound,
    implicit_order,
    parse_order_id,
)
from payment.domain.payments import Payment
from payment.domain.purchases import Purchase
from payment.store import merchant_orders
from payment.use_cases.payments import find_payment, may_see
from payment.wire import merchant_order_events

ROUTE = "orders.create"


class OrderWithPayments(msgspec.Struct, frozen=True):
    """An order and its payments, newest first."""

    order: MerchantOrder
    payments: Sequence[Payment] = ()
    # Nobody made it: its one payment stands for it.
    is_implicit: bool = False


class NewOrder(msgspec.Struct, frozen=True):
    """A request to make an order, under an idempotency key or none."""

    order: MerchantOrder
    key: Key | None
    fingerprint: bytes


class OrderAnswer(msgspec.Struct, frozen=True):
    """Status and whole body of the answer to a request."""

    status: int
    body: bytes
    replayed: bool = False


class MerchantOrders:
    def __init__(self, db: Database, clock: Clock) -> None:
        self.db = db
        self.clock = clock

    async def create(self, request: NewOrder, encode: Callable[[MerchantOrder], bytes]) -> OrderAnswer:
        """Make the order; the same request under its key is answered again. Raises what the key is refused with."""
        return await create_order(self.db, self.clock, request, encode)

    async def find(self, caller: Caller, order_id: str) -> OrderWithPayments:
        """The order, or the payment that stands for one. Raises OrderNotFound, for other people's as well."""
        explicit = parse_order_id(order_id)
        if explicit is None:
            return await self._implicit(caller, order_id)
        async with self.db.begin() as tx:
            order = _visible(await merchant_orders.order_by_id(tx, explicit), caller)
            payments = await merchant_orders.payments_of(tx, [order.id])
        return OrderWithPayments(order, payments[order.id])

    async def _implicit(self, caller: Caller, order_id: str) -> OrderWithPayments:
        try:
            payment = await find_payment(self.db, caller, order_id)
        except PaymentNotFound:
            raise OrderNotFound("there is no such order") from None
        if payment.order_id != order_id:
            raise OrderNotFound("there is no such order")
        if payment.parent_order_id is None:
            return OrderWithPayments(implicit_order(payment), [payment], is_implicit=True)
        return await self.find(caller, ids.encode("order", payment.parent_order_id))

    async def page(self, wanted: OrderFilter) -> Sequence[MerchantOrder]:
        """Orders that were made as such, newest first."""
        async with self.db.begin() as tx:
            return await merchant_orders.page(tx, wanted)

    async def purchase_of(self, purchase: Purchase) -> Purchase:
        """A purchase that names an order, with the order's amount. Raises OrderNotFound, OrderAmountDiffers."""
        async with self.db.begin() as tx:
            order = await _by_text(tx, purchase.order_id)
        if order is None or order.merchant_id != purchase.merchant_id:
            raise OrderNotFound("there is no such order")
        # The merchant's own server may take a payment of a member's order.
        if order.user_id not in ("", purchase.user_id) and purchase.user_id != purchase.merchant_id:
            raise OrderNotFound("there is no such order")
        if purchase.amount_minor not in (None, order.amount.minor) or purchase.pack_id:
            raise OrderAmountDiffers(amount=f"the order is over {order.amount}")
        return msgspec.structs.replace(
            purchase,
            order_id="",
            parent_order_id=order.id,
            amount_minor=order.amount.minor,
            currency=order.amount.currency,
        )


@retried
async def create_order(
    db: Database, clock: Clock, request: NewOrder, encode: Callable[[MerchantOrder], bytes]
) -> OrderAnswer:
    """See MerchantOrders.create."""
    order, key = request.order, request.key
    body = encode(order)
    async with db.begin() as tx:
        if key is not None:
            [verdict] = await idempotency.claim(tx, [Claim(key, request.fingerprint, order.id)])
            if isinstance(verdict, Answered):
                return OrderAnswer(verdict.status, verdict.response, replayed=True)
            if isinstance(verdict, DomainError):
                raise verdict
            assert isinstance(verdict, Fresh), "claimed and completed in one transaction"
        await merchant_orders.insert(tx, order)
        if key is not None:
            await idempotency.complete(tx, [Completion(key, order.id, 201, body)])
        await outbox.append(tx, [merchant_order_events.audit_created(order, clock.now())])
    return OrderAnswer(201, body)


async def _by_text(tx: Tx, order_id: str) -> MerchantOrder | None:
    parsed = parse_order_id(order_id)
    return await merchant_orders.order_by_id(tx, parsed) if parsed is not None else None


def _visible(order: MerchantOrder | None, caller: Caller) -> MerchantOrder:
    if order is None or not may_see(caller, order.merchant_id, order.user_id):
        raise OrderNotFound("there is no such order")
    return order
