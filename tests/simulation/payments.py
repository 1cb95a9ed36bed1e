"""Payment's doors and consumers: its real domain and wire, on simulated tables and a simulated gateway."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived
from common import ids, outbox
from common.clock import Clock
from common.database import Database, Tx, is_transient, retried
from common.errors import DomainError
from common.guards import GATEWAY_KEY
from common.intents import Intent, Intents
from common.money import Money
from common.subscriptions import Subscription
from gateways import Customer, OrderSnapshot, PaymentAttempt, Unknown
from payment.domain import state_machine
from payment.domain.decisions import Decision
from payment.domain.errors import OrderStateUnknown
from payment.domain.orders import ObservedOrder, needs_list
from payment.domain.payments import Origin, Payment, Transition
from payment.domain.pricing import Credits, TaxRule, split_tax
from payment.domain.purchases import initial_transition
from payment.domain.states import CaptureStatus, Review
from payment.use_cases.announcements import messages_for

from .gateway import Gateway
from .process import Process

ORDER_LIFE = timedelta(minutes=30)
SWEEP_SECONDS = 3.0
# Slower than the product's: an idle poll costs as much as a busy one and finds nothing.
POLL_SECONDS = 1.5
# Longer than the slowest answer of the gateway.
LEASE_SECONDS = 6.0
# The price of a credit in the packs of the simulation, in minor units of any currency.
_CREDIT_MINOR = 10
_TAX = TaxRule(1800, True, "29")
_claim_of = msgspec.json.Decoder(PaymentAttempt).decode
_claim_text = msgspec.json.Encoder().encode


def placed(number: int, owner_id: str, amount: Money, clock: Clock) -> Payment:
    now = clock.now()
    _, tax = split_tax(amount, _TAX, "29")
    credits = Credits(amount.minor // _CREDIT_MINOR, number % 3)
    return Payment(
        id=ids.new(), merchant_id="mer_1", user_id=owner_id, order_id=f"ord_{number}", gateway="cashfree",
        gateway_account_id="gwa_cashfree",
        amount=amount, tax=tax, platform_fee=Money(0, amount.currency), credits=credits, owner_id=owner_id,
        place_of_supply="29", customer=Customer(), origin=Origin(actor_id=owner_id),
        created_at=now, expires_at=now + ORDER_LIFE, updated_at=now,
    )  # fmt: skip


def webhook_body(claim: PaymentAttempt) -> bytes:
    return _claim_text(claim)


class Payments:
    """One process of payment."""

    def __init__(self, db: Database, clock: Clock, gateway: Gateway, process: Process) -> None:
        self._db = db
        self._clock = clock
        self._gateway = gateway
        self._process = process
        self._has_one_key = db.guards.has(GATEWAY_KEY)
        self.intents: Intents[OrderSnapshot] = Intents(
            db,
            "order",
            self._create_order,
            self._record_outcomes,
            lease_seconds=LEASE_SECONDS,
            poll_seconds=POLL_SECONDS,
        )

    async def create(self, payment: Payment, *, waits: bool) -> None:
        """The door: a payment once for each order id, and the intent to make its order; made at once if one *waits*."""
        async with self._db.begin() as tx:
            connection: Any = tx.connection
            await connection.travel()
            fresh = await connection.insert("payments", payment.order_id, {"payment": payment})
            recorded: list[Intent] = []
            if fresh:
                await _history(tx, [initial_transition(payment)])
                recorded = await self.intents.record(tx, {payment.id: payment.order_id.encode()}, leased=waits)
        if waits:
            for intent in recorded:
                await self.intents.execute(intent)

    def subscriptions(self) -> list[Subscription]:
        return [Subscription("webhook.processing", WebhookReceived, _read, self._webhooks, fetch=self._ask_about)]

    async def sweep(self) -> None:
        """Ask about what is unresolved; webhooks may never come."""
        async with self._db.begin() as tx:
            connection: Any = tx.connection
            await connection.travel()
            wanted = sorted(
                row["payment"].order_id
                for _, row in connection.scan("payments")
                if row["payment"].unresolved and row["payment"].review is Review.NONE
            )
        if wanted:
            await _sync(self._db, wanted, await self._facts(dict.fromkeys(wanted, ())), self._clock)

    async def _ask_about(self, claims: Sequence[PaymentAttempt]) -> Mapping[str, ObservedOrder]:
        told: dict[str, tuple[PaymentAttempt, ...]] = {}
        for claim in claims:
            told[claim.order_id] = (*told.get(claim.order_id, ()), claim)
        return await self._facts(told)

    async def _webhooks(
        self, tx: Tx, claims: Sequence[PaymentAttempt], facts: Mapping[str, ObservedOrder]
    ) -> list[DomainError | None]:
        waiting = await apply_facts(tx, [claim.order_id for claim in claims], facts, self._clock)
        return [waiting.get(claim.order_id) for claim in claims]

    async def _facts(self, told: Mapping[str, tuple[PaymentAttempt, ...]]) -> dict[str, ObservedOrder]:
        found = {}
        paid = await self._paid()
        for order_id, claims in told.items():
            view = await self._gateway.read_order(self._process, order_id)
            if isinstance(view, Unknown):
                continue
            attempts = None
            if needs_list(view, claims) or order_id in paid:
                attempts = await self._gateway.read_payments(self._process, order_id)
                if isinstance(attempts, Unknown):
                    continue
            found[order_id] = ObservedOrder(view, claims, attempts)
        return found

    async def _paid(self) -> set[str]:
        """The product's command after a webhook that adds to a paid payment reads the list; here its retry does."""
        async with self._db.begin() as tx:
            connection: Any = tx.connection
            await connection.travel()
            return {key for key, row in connection.scan("payments") if row["payment"].paid_at is not None}

    async def _create_order(self, intent: Intent) -> OrderSnapshot:
        order_id = intent.payload.decode()
        row = self._db.engine.store.table("payments")[order_id]  # type: ignore[attr-defined]
        key = str(intent.id) if self._has_one_key else f"{intent.id}:{intent.attempt}"
        payment: Payment = row["payment"]
        return await self._gateway.create_order(
            self._process, key, order_id, payment.amount, ids.encode("pay", payment.id)
        )

    async def _record_outcomes(self, tx: Tx, outcomes: Sequence[tuple[Intent, OrderSnapshot]]) -> None:
        connection: Any = tx.connection
        await connection.travel()
        decisions = []
        for order_id, view in sorted((intent.payload.decode(), view) for intent, view in outcomes):
            row = await connection.lock("payments", order_id)
            await connection.put("outcomes", ids.new(), {"order_id": order_id})
            decisions.append(state_machine.decide_order_outcome(row["payment"], view, self._clock.now()))
        await _save(tx, decisions)


@retried
async def _sync(db: Database, order_ids: Sequence[str], facts: Mapping[str, ObservedOrder], clock: Clock) -> None:
    async with db.begin() as tx:
        await apply_facts(tx, order_ids, facts, clock)


async def apply_facts(
    tx: Tx, order_ids: Iterable[str], facts: Mapping[str, ObservedOrder], clock: Clock
) -> dict[str, OrderStateUnknown]:
    """Lock, decide, save, announce; which orders must be asked about again."""
    connection: Any = tx.connection
    await connection.travel()
    decisions, waiting = [], {}
    for order_id in sorted(set(order_ids)):
        payment = (await connection.lock("payments", order_id))["payment"]
        known = {key: row["confirmed"] for key, row in connection.scan("captures") if row["order_id"] == order_id}
        try:
            if order_id not in facts:
                raise OrderStateUnknown("the gateway does not tell")
            decision = state_machine.decide(payment, facts[order_id], clock.now(), ids.new, recorded=known)
            # Of an order over another amount the list is read for its receipts, which are not simulated.
            if decision.list_needed and facts[order_id].snapshot.amount == payment.amount:
                raise OrderStateUnknown("the list has to be read")
            decisions.append(decision)
        except OrderStateUnknown as error:
            waiting[order_id] = error
    await _save(tx, decisions)
    return waiting


async def _save(tx: Tx, decisions: Sequence[Decision]) -> None:
    connection: Any = tx.connection
    await connection.travel()
    messages = []
    for decision in decisions:
        payment = decision.payment
        await connection.put("payments", payment.order_id, {"payment": payment})
        for correction in decision.corrections:
            assert not correction.replaces, "nobody signs false webhooks here"
            row = {"order_id": payment.order_id, "status": CaptureStatus.CAPTURED, "confirmed": True}
            await connection.put("captures", correction.claimed_id, row)
        for taken in decision.transactions:
            row = {"order_id": payment.order_id, "status": taken.status, "confirmed": taken.confirmed}
            await connection.put("captures", taken.attempt.gateway_payment_id, row)
        await _history(tx, decision.transitions)
    messages += messages_for(decisions, "")
    await outbox.append(tx, [message for message in messages if isinstance(message, PaymentSucceeded)])


async def _history(tx: Tx, lines: Iterable[Transition]) -> None:
    connection: Any = tx.connection
    for line in lines:
        await connection.insert("history", (line.payment_id, line.seq), {"line": line})


def _read(event: WebhookReceived) -> PaymentAttempt:
    return _claim_of(event.body)


async def every(seconds: float, work: Any) -> None:
    """Again and again; a failure of the infrastructure does not end it."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception as error:
            if not is_transient(error):
                raise
