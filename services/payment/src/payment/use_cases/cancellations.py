"""Cancel an unpaid payment: close the gateway's order, and believe its answer rather than the request."""

from collections.abc import Sequence
from uuid import UUID, uuid5

import msgspec

from common import outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import Unresolved
from common.intents import Intent, Intents, RetryLater
from common.runtime import Workers
from gateways import Gateways, OrderMissing, OrderReference, Unknown
from payment.domain.errors import PaymentNotCancellable, PaymentUnresolved
from payment.domain.orders import ObservedOrder, OrderKey
from payment.domain.payments import Origin, Payment
from payment.domain.states import Status
from payment.store import commands, queries
from payment.use_cases.decisions import DecisionSettings, apply_orders
from payment.use_cases.order_lookups import LookupRequest, OrderLookup
from payment.wire import events

# PROCESSING is not among them: money may be on its way.
CANCELLABLE = frozenset({Status.CREATED, Status.PENDING, Status.AUTHORIZING})
# The gateway does not know the order yet: the request that makes it is still on its way.
ORDER_MISSING_SECONDS = 30.0

_encode = msgspec.json.Encoder().encode


class ClosingIntent(msgspec.Struct, frozen=True):
    """The payload of the intent to close a gateway order."""

    payment_id: UUID
    gateway_account_id: str
    order_id: str
    gateway_order_id: str = ""

    @property
    def lookup(self) -> LookupRequest:
        return LookupRequest(OrderKey(self.gateway_account_id, self.order_id), self.gateway_order_id)


_closing_intent = msgspec.json.Decoder(ClosingIntent).decode


class ClosingSettings(msgspec.Struct, frozen=True):
    decisions: DecisionSettings
    timeout_seconds: float


class Cancellations:
    """Cancel payments by closing their gateway orders."""

    def __init__(
        self, db: Database, clock: Clock, gateways: Gateways, lookups: OrderLookup, settings: ClosingSettings
    ) -> None:
        self._db = db
        self._clock = clock
        self._gateways = gateways
        self._lookups = lookups
        self._settings = settings
        self.intents: Intents[ObservedOrder] = Intents(db, "terminate_order", self._execute, self._record_outcomes)

    @property
    def workers(self) -> Workers:
        return Workers(intents=(self.intents,))

    async def record(self, tx: Tx, payments: Sequence[Payment], *, leased: bool = False) -> list[Intent]:
        """Record the intents to close these payments' orders, once for each payment."""
        payloads = {
            _intent_id(payment.id): _encode(
                ClosingIntent(payment.id, payment.gateway_account_id, payment.order_id, payment.gateway_order_id)
            )
            for payment in payments
        }
        return await self.intents.record(tx, payloads, leased=leased, again=True)

    async def cancel(self, payment_id: UUID, origin: Origin) -> Payment:
        """The cancelled payment.

        Raises PaymentNotCancellable when it is paid, being paid, closed, or when the gateway will not close the order;
        PaymentUnresolved when the gateway's answer is not known yet (it is cancelled as soon as it is).
        """
        payment, intent = await request_cancel(self._db, self, payment_id, origin, self._clock)
        if payment.status is Status.CANCELLED:
            return payment
        if intent is None:
            raise PaymentUnresolved("the order is still being made; it is closed once it exists")
        try:
            await self.intents.execute(intent)
        except (Unresolved, RetryLater) as error:
            raise PaymentUnresolved("the gateway has not confirmed it yet") from error
        async with self._db.begin() as tx:
            [after] = await queries.payments_by_id(tx, [payment_id])
        if after.status is Status.CANCELLED:
            return after
        raise PaymentNotCancellable(f"the payment is {after.status}")

    async def _execute(self, intent: Intent) -> ObservedOrder:
        """Close the order; what the gateway shows of it then. Raises when that is unknown."""
        closing = _closing_intent(intent.payload)
        gateway = self._gateways.get(closing.gateway_account_id)
        if gateway is None:
            raise PaymentUnresolved("the payment's gateway account is not configured")
        reference = OrderReference(closing.order_id, closing.gateway_order_id)
        snapshot = await gateway.close_order(reference, self._settings.timeout_seconds)
        if isinstance(snapshot, OrderMissing):
            raise RetryLater(ORDER_MISSING_SECONDS, "order_missing")
        order = snapshot if isinstance(snapshot, Unknown) else await self._lookups.complete(snapshot, closing.lookup)
        if isinstance(order, Unknown):
            raise PaymentUnresolved(f"the gateway's answer is not known: {order.reason}")
        return order

    async def _record_outcomes(self, tx: Tx, outcomes: Sequence[tuple[Intent, ObservedOrder]]) -> None:
        closings = [(_closing_intent(intent.payload), order) for intent, order in outcomes]
        orders = {closing.lookup.order: order for closing, order in closings}
        locked = await commands.lock_payments(tx, {closing.payment_id for closing, _ in closings})
        applied = await apply_orders(tx, locked.values(), orders, self._clock, self._settings.decisions)
        await outbox.append(tx, applied.messages)


def _intent_id(payment_id: UUID) -> UUID:
    """One for each payment: cancelling twice is cancelling once."""
    return uuid5(payment_id, "terminate_order")


@retried
async def request_cancel(
    db: Database, cancellations: Cancellations, payment_id: UUID, origin: Origin, clock: Clock
) -> tuple[Payment, Intent | None]:
    """Store the request and record the intent; without an intent while the order does not exist yet."""
    async with db.begin() as tx:
        payment = (await commands.lock_payments(tx, [payment_id]))[payment_id]
        if payment.status is Status.CANCELLED:
            return payment, None
        if payment.status not in CANCELLABLE:
            raise PaymentNotCancellable(f"the payment is {payment.status}")
        now = clock.now()
        requested = msgspec.structs.replace(payment, cancel_requested=True, updated_at=now)
        await commands.save_payments(tx, [requested])
        await outbox.append(tx, [events.audit(requested, "payment.cancel.request", payment.status, now, origin=origin)])
        if payment.status is Status.CREATED:
            return requested, None
        [intent] = await cancellations.record(tx, [payment], leased=True)
        return requested, intent
