"""Try a payment again: one that is open goes on with the order it has, one that ended unpaid is followed by another."""

from uuid import UUID

from common import idempotency, ids, outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.tokens import Caller
from payment.domain.errors import PaymentNotFound
from payment.domain.merchant_orders import PaymentNotRetryable, implicit_order
from payment.domain.payments import Origin, Payment
from payment.domain.purchases import PaymentLimits, next_payment
from payment.domain.states import CLOSED_UNPAID, Review
from payment.store import commands, merchant_orders
from payment.use_cases.create_payment import CreatePayment
from payment.use_cases.gateway_orders import CreateResponse, GatewayOrders, unresolved
from payment.wire import merchant_order_events


class PaymentRetries:
    def __init__(
        self, db: Database, clock: Clock, create: CreatePayment, orders: GatewayOrders, limits: PaymentLimits
    ) -> None:
        self._db = db
        self._clock = clock
        self._create = create
        self._orders = orders
        self._limits = limits

    async def retry(self, payment: Payment, caller: Caller, origin: Origin, key: str) -> CreateResponse:
        """The answer to create, of the payment itself while it is open, or of the next payment of its order.

        Raises PaymentNotRetryable for a paid one, PaymentUnresolved while the gateway's answer is not known, and what a
        payment of an order is refused with. Whoever may only look at the payment gets PaymentNotFound.
        """
        if payment.user_id not in (caller.user_id, "" if caller.user_id else caller.merchant_id):
            raise PaymentNotFound("there is no such payment")
        if payment.unresolved:
            answer = self._orders.answer_again(payment)
            if answer is None:
                raise unresolved(payment)
            # Another attempt at the order that is open: nothing is made.
            return CreateResponse(200, answer.body)
        if payment.status not in CLOSED_UNPAID or payment.review is Review.QUARANTINED:
            raise PaymentNotRetryable("it is paid, or its money waits for a decision")
        order_id = await name_order(self._db, self._clock, payment.id)
        fingerprint = idempotency.fingerprint(payment.merchant_id, payment.user_id, ["retry", payment.id])
        again = next_payment(
            payment,
            self._limits,
            payment_id=ids.new(),
            order_id=order_id,
            origin=origin,
            key=key,
            fingerprint=fingerprint if key else b"",
            now=self._clock.now(),
        )
        return await self._create.submit(again)


@retried
async def name_order(db: Database, clock: Clock, payment_id: UUID) -> UUID:
    """The order of a payment; one that it was the only payment of becomes an order of its own."""
    async with db.begin() as tx:
        payment = (await commands.lock_payments(tx, [payment_id]))[payment_id]
        if payment.parent_order_id is not None:
            return payment.parent_order_id
        return await _insert_order(tx, payment, clock)


async def _insert_order(tx: Tx, payment: Payment, clock: Clock) -> UUID:
    order = implicit_order(payment)
    await merchant_orders.insert(tx, order)
    await merchant_orders.adopt(tx, order, payment)
    await outbox.append(tx, [merchant_order_events.audit_created(order, clock.now())])
    return order.id
