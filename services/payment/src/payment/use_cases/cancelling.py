"""Cancel an unpaid payment: close the gateway's order, and believe its answer rather than the request."""

from collections.abc import Sequence
from uuid import UUID, uuid5

import msgspec

from common import outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import Unresolved
from common.intents import Intent, Intents, Later
from gateways import Gateway, OrderReference
from payment import store
from payment.domain import (
    Facts,
    OrderMissing,
    Origin,
    Payment,
    PaymentNotCancellable,
    PaymentUnresolved,
    Status,
    Unknown,
)
from payment.use_cases.deciding import Inquiry, Policy, Question, apply_facts
from payment.wire import events

# PROCESSING is not among them: money may be on its way.
CANCELLABLE = frozenset({Status.CREATED, Status.PENDING, Status.AUTHORIZING})
# The gateway does not know the order yet; its creation is still on the way.
ORDER_MISSING_SECONDS = 30.0

_encode = msgspec.json.Encoder().encode


class Termination(msgspec.Struct, frozen=True):
    """The payload of the intent to close a gateway order."""

    payment_id: UUID
    order_id: str


_termination = msgspec.json.Decoder(Termination).decode


def termination_id(payment_id: UUID) -> UUID:
    """One for each payment: cancelling twice is cancelling once."""
    return uuid5(payment_id, "terminate_order")


class Cancellation:
    """Cancel payments. *orders* are the intents to close gateway orders."""

    def __init__(
        self, db: Database, clock: Clock, gateway: Gateway, inquiry: Inquiry, policy: Policy, *, timeout_seconds: float
    ) -> None:
        self._db = db
        self._clock = clock
        self._gateway = gateway
        self._inquiry = inquiry
        self._policy = policy
        self._timeout_seconds = timeout_seconds
        self.orders: Intents[Facts] = Intents(db, "terminate_order", self._terminate, self._record_outcomes)

    async def cancel(self, payment_id: UUID, origin: Origin) -> Payment:
        """The cancelled payment.

        Raises PaymentNotCancellable when it is paid, being paid, closed, or when the gateway will not close the order;
        PaymentUnresolved when the gateway's answer is not known yet (it is cancelled as soon as it is).
        """
        intent, payment = await request_cancel(self._db, self.orders, payment_id, origin, self._clock)
        if payment.status is Status.CANCELLED:
            return payment
        if intent is None:
            raise PaymentUnresolved("the order is still being made; it is closed as soon as it is there")
        try:
            await self.orders.carry_out(intent)
        except (Unresolved, Later) as error:
            raise PaymentUnresolved("the gateway has not confirmed it yet") from error
        async with self._db.begin() as tx:
            [after] = await store.by_ids(tx, [payment_id])
        if after.status is Status.CANCELLED:
            return after
        raise PaymentNotCancellable(f"the payment is {after.status}")

    async def _terminate(self, intent: Intent) -> Facts:
        """Close the order and say what it is then. Raises when nobody knows."""
        wanted = _termination(intent.payload)
        view = await self._gateway.close_order(OrderReference(wanted.order_id), self._timeout_seconds)
        if isinstance(view, OrderMissing):
            raise Later(ORDER_MISSING_SECONDS, "order_missing")
        if isinstance(view, Unknown):
            raise PaymentUnresolved(f"the gateway's answer is not known: {view.reason}")
        facts = await self._inquiry.complete(view, Question(wanted.order_id))
        if isinstance(facts, Unknown):
            raise PaymentUnresolved(f"the gateway's answer is not known: {facts.reason}")
        return facts

    async def _record_outcomes(self, tx: Tx, outcomes: Sequence[tuple[Intent, Facts]]) -> None:
        facts = {found.view.order_id: found for _, found in outcomes}
        locked = await store.lock(tx, {_termination(intent.payload).payment_id for intent, _ in outcomes})
        applied = await apply_facts(tx, locked.values(), facts, self._clock, self._policy)
        await outbox.append(tx, applied.messages)


@retried
async def request_cancel(
    db: Database, orders: Intents[Facts], payment_id: UUID, origin: Origin, clock: Clock
) -> tuple[Intent | None, Payment]:
    """Note the wish and record the intent; without an intent while the order itself is not there yet."""
    async with db.begin() as tx:
        payment = (await store.lock(tx, [payment_id]))[payment_id]
        if payment.status is Status.CANCELLED:
            return None, payment
        if payment.status not in CANCELLABLE:
            raise PaymentNotCancellable(f"the payment is {payment.status}")
        wished = msgspec.structs.replace(payment, cancel_requested=True, updated_at=clock.now())
        await store.save(tx, [wished])
        await outbox.append(
            tx, [events.audit(wished, "payment.cancel.request", payment.status, clock.now(), origin=origin)]
        )
        if payment.status is Status.CREATED:
            return None, wished
        payload = _encode(Termination(payment.id, payment.order_id))
        [intent] = await orders.record(tx, {termination_id(payment.id): payload}, leased=True, again=True)
        return intent, wished
