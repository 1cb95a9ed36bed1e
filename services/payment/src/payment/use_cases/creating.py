"""Create a payment: its row and the intent to make the gateway's order in one transaction, then the order itself."""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from common import idempotency, ids, outbox
from common.batching import Batcher
from common.clock import Clock
from common.database import Database, Tx
from common.errors import Unresolved
from common.idempotency import Answered, Completion, Key
from common.intents import Intent, Intents, Later
from common.redis import Hints
from gateways import Gateway, OrderRequest
from payment import domain, store
from payment.domain import (
    Decision,
    FeeRule,
    GatewayRefused,
    OrderRefused,
    OrderSnapshot,
    Payment,
    PaymentUnresolved,
    Purchase,
    Review,
    Terms,
    Unknown,
)
from payment.gateways.fraud import FraudScores
from payment.gateways.packs import Packs
from payment.use_cases import measures
from payment.use_cases.cancelling import Termination, termination_id
from payment.use_cases.placing import Item, OrderOutcome, Placed, place_payments, unresolved
from payment.wire import events, views

ROUTE = "payments.create"
REPLAY_SECONDS = 86_400
# Somebody stands at the checkout: they hear soon after the gateway is back, however long it was away.
ORDER_PAUSE_SECONDS_MAX = 15

_encode = msgspec.json.Encoder().encode
_order_request = msgspec.json.Decoder(OrderRequest).decode


class Answer(msgspec.Struct, frozen=True):
    """A final answer: the whole body."""

    status: int
    body: bytes
    replayed: bool = False


class Creation:
    """Create payments. *orders* are the intents to make gateway orders; the runtime works those that are left."""

    def __init__(
        self,
        db: Database,
        redis: Redis,
        clock: Clock,
        gateway: Gateway,
        packs: Packs,
        fraud: FraudScores,
        terms: Terms,
        fees: Callable[[], Sequence[FeeRule]],
        terminations: Intents[domain.Facts],
        *,
        public_url: str,
        timeout_seconds: float,
    ) -> None:
        self._db = db
        # The fast path, and a hint only: the answers of late; the table has the last word.
        self.answers = Hints(redis, "answers", seconds=REPLAY_SECONDS)
        self._clock = clock
        self._gateway = gateway
        self._packs = packs
        self._fraud = fraud
        self._terms = terms
        self._fees = fees
        self._terminations = terminations
        self._public_url = public_url
        self._timeout_seconds = timeout_seconds
        # Twice the gateway's time, for a read and a create, and some: whoever asks again under the key of a process
        # that died waits for no longer than this.
        self.orders: Intents[OrderOutcome] = Intents(
            db,
            "create_order",
            self._make_order,
            self._record_outcomes,
            lease_seconds=3 * timeout_seconds,
            pause_seconds_max=ORDER_PAUSE_SECONDS_MAX,
        )
        self.batcher: Batcher[Item, Placed | Answered] = Batcher(
            lambda items: place_payments(db, self.orders, items, clock.now()), name="create_payments", period_seconds=0
        )

    async def create(self, purchase: Purchase, fingerprint: bytes) -> Answer:
        """The answer to *purchase*: 201, or what the same key was answered before.

        Raises what the domain refuses, PaymentUnresolved when the gateway's answer is not known yet.
        """
        started = time.perf_counter()
        key = Key(purchase.merchant_id, purchase.user_id, ROUTE, purchase.idempotency_key)
        if purchase.idempotency_key and (known := await self._remembered(key, fingerprint)):
            return known
        pack = await self._packs.find(purchase.merchant_id, purchase.pack_id) if purchase.pack_id else None
        payment = domain.place(purchase, pack, self._terms, self._fees(), ids.new(), self._clock.now())
        verdict = await self._fraud.verdict(payment)
        if verdict.review:
            payment = domain.flagged(payment, Review.FLAGGED, verdict.reasons, verdict.score, payment.created_at)
        payment = msgspec.structs.replace(payment, fraud_score=verdict.score)
        placed = await self.batcher.submit(
            Item(payment, key if purchase.idempotency_key else None, fingerprint, verdict)
        )
        if isinstance(placed, Answered):
            return Answer(placed.status, placed.response, replayed=True)
        answer = await self._ordered(placed, started)
        if purchase.idempotency_key:
            self.answers.set(_redis_key(key), fingerprint + answer.status.to_bytes(2, "big") + answer.body)
        return answer

    async def _ordered(self, placed: Placed, started: float) -> Answer:
        payment = placed.payment
        try:
            outcome = await self.orders.carry_out(placed.intent)
        except (Unresolved, Later) as error:
            measures.created(time.perf_counter() - started, "unresolved")
            await self._let_go(payment)
            raise unresolved(payment) from error
        if isinstance(outcome, OrderRefused):
            measures.created(time.perf_counter() - started, "refused")
            raise refusal(outcome)
        measures.created(time.perf_counter() - started, "created")
        return Answer(201, views.created(payment, outcome.session_id, self._public_url))

    async def _let_go(self, payment: Payment) -> None:
        if payment.idempotency_key:
            async with self._db.begin() as tx:
                await store.let_go(tx, _key(payment))

    # ── The gateway's order: perform and settle ──────────────────────────────────────────────────────────────────

    async def _make_order(self, intent: Intent) -> OrderOutcome:
        """Make the order, or find it made by an attempt whose answer was lost. Raises when nobody knows."""
        request = _order_request(intent.payload)
        if intent.attempt > 1:
            there = await self._gateway.read_order(request.reference, self._timeout_seconds)
            if isinstance(there, OrderSnapshot):
                return ours(request, there)
            if isinstance(there, Unknown):
                raise _not_known(there)
        request = msgspec.structs.replace(request, attempt=intent.attempt)
        answer = await self._gateway.create_order(request, self._timeout_seconds)
        if isinstance(answer, Unknown):
            raise _not_known(answer)
        return ours(request, answer) if isinstance(answer, OrderSnapshot) else answer

    async def _record_outcomes(self, tx: Tx, outcomes: Sequence[tuple[Intent, OrderOutcome]]) -> None:
        """PENDING with its session, or FAILED; what is announced; the answer for the idempotency key."""
        now = self._clock.now()
        payments = await store.lock(tx, {intent.id for intent, _ in outcomes})
        decisions: list[Decision] = []
        completions: list[Completion] = []
        terminations: dict[UUID, bytes] = {}
        for intent, outcome in outcomes:
            payment = payments[intent.id]
            decision = domain.order_answered(payment, outcome, now)
            payments[intent.id] = decision.payment
            decisions.append(decision)
            if payment.idempotency_key:
                completions.append(self._completion(payment, outcome))
            if payment.cancel_requested and decision.payment.unresolved:
                terminations[termination_id(payment.id)] = _encode(Termination(payment.id, payment.order_id))
        await store.save(tx, [decision.payment for decision in decisions])
        await store.add_history(tx, [line for decision in decisions for line in decision.transitions])
        await self._terminations.record(tx, terminations, again=True)
        await idempotency.complete(tx, completions)
        await outbox.append(
            tx,
            [
                message
                for decision in decisions
                for happened in decision.announcements
                for message in events.announcements(happened, self._public_url)
            ],
        )
        measures.moved(((decision.payment, decision.transitions) for decision in decisions), now)

    def _completion(self, payment: Payment, outcome: OrderOutcome) -> Completion:
        if isinstance(outcome, OrderRefused):
            status, body = views.refused(refusal(outcome), payment.origin.request_id)
        else:
            status, body = 201, views.created(payment, outcome.session_id, self._public_url)
        return Completion(_key(payment), payment.id, status, body)

    async def _remembered(self, key: Key, fingerprint: bytes) -> Answer | None:
        """The stored answer, when Redis happens to have it for this very request."""
        found = await self.answers.get(_redis_key(key))
        if found is None or not found.startswith(fingerprint):
            return None
        rest = found[len(fingerprint) :]
        return Answer(int.from_bytes(rest[:2], "big"), rest[2:], replayed=True)


def _not_known(answer: Unknown) -> Exception:
    """A quota comes back at a known time; anything else is asked again with growing patience."""
    if answer.reason == "rate_limited":
        return Later(max(answer.retry_after_seconds, 1.0), "gateway_rate_limited")
    return PaymentUnresolved(f"the gateway's answer is not known: {answer.reason}")


def ours(request: OrderRequest, found: OrderSnapshot) -> OrderOutcome:
    """The order, unless somebody else made it under this id: merchants that share a gateway account may collide."""
    if found.payment_id != request.payment_id and (found.payment_id or found.amount != request.amount):
        return OrderRefused("order_already_exists")
    return found


def refusal(outcome: OrderRefused) -> GatewayRefused:
    return GatewayRefused("the gateway refused the order", reason=outcome.code)


def _key(payment: Payment) -> Key:
    return Key(payment.merchant_id, payment.user_id, ROUTE, payment.idempotency_key)


def _redis_key(key: Key) -> str:
    return f"idempotency:payment:{key.merchant_id}:{key.user_id}:{key.key}"
