"""The order of a payment at its gateway: recorded as an intent, made outside any transaction, its outcome recorded.

Recording the outcome moves the payment, announces it and stores the answer of its idempotency key; the bytes that are
stored are the ones that the waiting request sends.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

import msgspec

from common import idempotency, ids, outbox
from common.clock import Clock
from common.database import Database, Tx
from common.errors import Unresolved
from common.idempotency import Completion, Key
from common.intents import Intent, Intents, RetryLater
from common.runtime import Workers
from common.seals import EMAIL, NAME, PHONE, Sealer
from gateways import (
    CreateOrderResult,
    Customer,
    Gateway,
    Gateways,
    OrderReference,
    OrderRefused,
    OrderRequest,
    OrderSnapshot,
    Unknown,
)
from payment.domain import state_machine
from payment.domain.errors import GatewayRefused, PaymentUnresolved
from payment.domain.payments import Payment
from payment.domain.routing import Reason
from payment.store import commands, queries
from payment.use_cases import metrics
from payment.use_cases.account_moves import AccountMoves, Move
from payment.use_cases.announcements import messages_for
from payment.use_cases.cancellations import Cancellations
from payment.wire import views
from payment.wire.views import CheckoutKeys

OrderOutcome: TypeAlias = OrderSnapshot | OrderRefused

ROUTE = "payments.create"
# A customer is waiting at checkout: cap the backoff so that they hear within 15 s of the gateway's recovery.
BACKOFF_SECONDS_MAX = 15
NO_KEYS = CheckoutKeys()
# By then at least 12 s have passed since the last call to make the order ended or timed out: it is not on its way any
# more when the gateway says that it has no such order.
LEAVE_AT_ATTEMPT = 5

_encode = msgspec.json.Encoder().encode


class OrderSettings(msgspec.Struct, frozen=True):
    public_url: str
    timeout_seconds: float


class OrderIntent(msgspec.Struct, frozen=True):
    """The payload of the intent to make an order."""

    gateway_account_id: str
    request: OrderRequest


_order_intent = msgspec.json.Decoder(OrderIntent).decode


class CreateResponse(msgspec.Struct, frozen=True):
    """The final answer to a create request: its status and whole body."""

    status: int
    body: bytes
    replayed: bool = False


class OrderResult(msgspec.Struct):
    """The gateway's answer. Mutable: the transaction that records it adds the response that it stores."""

    outcome: OrderOutcome
    gateway_account_id: str
    response: CreateResponse | None = None


class GatewayOrders:
    """Make the gateway orders of new payments. The request makes its order at once; the worker is the guarantee."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        gateways: Gateways,
        cancellations: Cancellations,
        moves: AccountMoves,
        settings: OrderSettings,
    ) -> None:
        self._db = db
        self._clock = clock
        self._gateways = gateways
        self._cancellations = cancellations
        self._moves = moves
        self._settings = settings
        self.intents: Intents[OrderResult] = Intents(
            db,
            "create_order",
            self._execute,
            self._record_outcomes,
            # A read and a create, each with its time-out, and some: a request that comes again under the key of a
            # process that died waits no longer than this.
            lease_seconds=3 * settings.timeout_seconds,
            pause_seconds_max=BACKOFF_SECONDS_MAX,
        )

    @property
    def workers(self) -> Workers:
        return Workers(intents=(self.intents,))

    async def record(self, tx: Tx, payments: Sequence[Payment]) -> dict[UUID, Intent]:
        """Record the intents to make these payments' orders, leased to the caller; by payment."""
        payloads = {
            payment.id: _encode(OrderIntent(payment.gateway_account_id, _request(payment))) for payment in payments
        }
        return {intent.id: intent for intent in await self.intents.record(tx, payloads, leased=True)}

    async def make(self, payment: Payment, intent: Intent) -> CreateResponse:
        """Make the order that *intent* asks for; the answer to the request that created *payment*.

        Raises PaymentUnresolved when the gateway's answer is not known yet.
        """
        try:
            result = await self.intents.execute(intent)
        except (Unresolved, RetryLater) as error:
            await self._release_lease(payment)
            raise unresolved(payment) from error
        return result.response or await self._stored_response(payment, result.outcome)

    async def _stored_response(self, payment: Payment, outcome: OrderOutcome) -> CreateResponse:
        """The worker of another process has recorded the outcome before: its response is the one that was stored."""
        if payment.idempotency_key:
            async with self._db.begin() as tx:
                stored = await queries.stored_response(tx, key_of(payment), payment.id)
            if stored is not None:
                return CreateResponse(*stored)
        return self._response(payment, outcome)

    def answer_again(self, payment: Payment) -> CreateResponse | None:
        """The final answer to the request that made *payment*, from the payment alone; None while there is none."""
        if payment.session_id:
            return self._response_made(payment, payment.session_id, payment.gateway_order_id)
        if payment.failure_reason == state_machine.GATEWAY_REFUSED:
            refusal = GatewayRefused("the gateway refused the order")
            return CreateResponse(*views.refused_body(refusal, payment.origin.request_id))
        return None

    async def _release_lease(self, payment: Payment) -> None:
        if payment.idempotency_key:
            async with self._db.begin() as tx:
                await commands.release_lease(tx, key_of(payment))

    async def _execute(self, intent: Intent) -> OrderResult:
        """Make the order, or find the one that an attempt whose answer was lost has made. Raises when unknown.

        Only a gateway that refused the order, or confirmed that it has none, is left for another account.
        """
        payload = _order_intent(intent.payload)
        customer = _opened(payload.request.customer, self._db.sealer)
        request = msgspec.structs.replace(payload.request, customer=customer, attempt=intent.attempt)
        account_id, tried = payload.gateway_account_id, dict[str, Reason]()
        while True:
            gateway = self._gateways.get(account_id)
            if gateway is None:
                raise PaymentUnresolved("the payment's gateway account is not configured")
            outcome: CreateOrderResult | None = None
            if intent.attempt > 1 and not tried:
                outcome = await self._read_made(gateway, request)
                if outcome is None and self._is_left(account_id, intent.attempt):
                    tried[account_id] = Reason.NO_ORDER_MADE
                    if next_id := await self._move(intent, account_id, tried):
                        account_id = next_id
                        continue
            if outcome is None:
                outcome = await gateway.create_order(request, self._settings.timeout_seconds)
            if isinstance(outcome, Unknown):
                raise _unknown(outcome)
            if isinstance(outcome, OrderSnapshot):
                return OrderResult(_refuse_foreign(request, outcome), account_id)
            tried[account_id] = Reason.ORDER_REFUSED
            next_id = await self._move(intent, account_id, tried)
            if next_id is None:
                return OrderResult(outcome, account_id)
            account_id = next_id

    async def _read_made(self, gateway: Gateway, request: OrderRequest) -> OrderSnapshot | None:
        """The order that an earlier attempt made; None when the gateway has none. Raises when unknown."""
        existing = await gateway.read_order(OrderReference(request.order_id), self._settings.timeout_seconds)
        if isinstance(existing, Unknown):
            raise _unknown(existing)
        return existing if isinstance(existing, OrderSnapshot) else None

    def _is_left(self, account_id: str, attempt: int) -> bool:
        """Whether an account that has no order is left: its calls fail, and none of ours can be on its way to it."""
        return attempt >= LEAVE_AT_ATTEMPT and self._moves.calls_fail(account_id)

    async def _move(self, intent: Intent, account_id: str, tried: Mapping[str, Reason]) -> str | None:
        """The account that is to make the order instead; None to leave it at that. Raises when overtaken."""

        async def redirect(tx: Tx, to_account: str) -> bool:
            payload = msgspec.structs.replace(_order_intent(intent.payload), gateway_account_id=to_account)
            return await self.intents.replace(tx, intent, _encode(payload))

        return await self._moves.move(Move(intent.id, account_id, dict(tried), redirect))

    async def _record_outcomes(self, tx: Tx, outcomes: Sequence[tuple[Intent, OrderResult]]) -> None:
        """PENDING with its session, or FAILED; announce it; store the response under the idempotency key."""
        now = self._clock.now()
        payments = await commands.lock_payments(tx, {intent.id for intent, _ in outcomes})
        decisions = []
        # A worker that was overtaken: the payment is at another account by now, and this answer is not about it.
        outcomes = [each for each in outcomes if payments[each[0].id].gateway_account_id == each[1].gateway_account_id]
        for intent, result in outcomes:
            payment = payments[intent.id]
            decisions.append(state_machine.decide_order_outcome(payment, result.outcome, now))
            result.response = self._response(payment, result.outcome)
        await commands.save_payments(tx, [decision.payment for decision in decisions])
        await commands.add_history(tx, [transition for decision in decisions for transition in decision.transitions])
        await self._cancellations.record(
            tx, [d.payment for d in decisions if d.payment.cancel_requested and d.payment.unresolved]
        )
        await idempotency.complete(tx, _completions(payments, outcomes))
        await outbox.append(tx, messages_for(decisions, self._settings.public_url))
        metrics.moved(decisions, now)

    def _response(self, payment: Payment, outcome: OrderOutcome) -> CreateResponse:
        if isinstance(outcome, OrderRefused):
            refusal = GatewayRefused("the gateway refused the order", reason=outcome.code)
            return CreateResponse(*views.refused_body(refusal, payment.origin.request_id))
        return self._response_made(payment, outcome.session_id, outcome.gateway_order_id)

    def _response_made(self, payment: Payment, session_id: str, gateway_order_id: str) -> CreateResponse:
        keys = self._checkout_keys(payment.gateway_account_id, gateway_order_id)
        return CreateResponse(201, views.created_body(payment, session_id, self._settings.public_url, keys))

    def _checkout_keys(self, gateway_account_id: str, gateway_order_id: str) -> CheckoutKeys:
        gateway = self._gateways.get(gateway_account_id)
        if gateway is None or not gateway.capabilities.signs_checkout:
            return NO_KEYS
        return CheckoutKeys(gateway_order_id, gateway.account.key_id)


def _completions(payments: Mapping[UUID, Payment], outcomes: Sequence[tuple[Intent, OrderResult]]) -> list[Completion]:
    completions = []
    for intent, result in outcomes:
        payment = payments[intent.id]
        if payment.idempotency_key and result.response is not None:
            completions.append(Completion(key_of(payment), payment.id, result.response.status, result.response.body))
    return completions


def _request(payment: Payment) -> OrderRequest:
    return OrderRequest(
        order_id=payment.order_id,
        payment_id=ids.encode("pay", payment.id),
        amount=payment.amount,
        customer_id=payment.user_id,
        customer=payment.customer,
        return_url=payment.return_url,
        note=payment.description,
        method_hint=payment.method_hint,
        expires_at=payment.expires_at,
    )


def _opened(customer: Customer, sealer: Sealer) -> Customer:
    """The customer in plain, for the gateway call; the intent holds it sealed."""
    return Customer(
        sealer.open(EMAIL, customer.email), sealer.open(PHONE, customer.phone), sealer.open(NAME, customer.name)
    )


def _refuse_foreign(request: OrderRequest, snapshot: OrderSnapshot) -> OrderOutcome:
    """Another user of the account may have made an order under this id: without our tag it is not ours."""
    return snapshot if snapshot.payment_id == request.payment_id else OrderRefused("order_already_exists")


def _unknown(answer: Unknown) -> Exception:
    """A quota comes back at a known time; anything else is tried again with backoff."""
    if answer.reason == "rate_limited":
        return RetryLater(max(answer.retry_after_seconds, 1.0), "gateway_rate_limited")
    return PaymentUnresolved(f"the gateway's answer is not known: {answer.reason}")


def unresolved(payment: Payment) -> PaymentUnresolved:
    return PaymentUnresolved(
        "the gateway's answer is not known yet; ask for the payment's status",
        paymentId=ids.encode("pay", payment.id),
        orderId=payment.order_id,
    )


def key_of(payment: Payment) -> Key:
    return Key(payment.merchant_id, payment.user_id, ROUTE, payment.idempotency_key)
