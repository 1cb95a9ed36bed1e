"""A refund's way: hold its credits at the wallet, then ask the gateway; each step an intent, its outcome recorded.

Unknown is not failed: an intent is executed until its outcome is known. Both steps are safe to repeat, by the hold's
key and by the refund's id. The gateway is asked once the hold is recorded, so that a success finds its hold.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeAlias
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis

from common.clock import Clock
from common.database import Database, Tx
from common.errors import DomainError
from common.intents import Intent, Intents, RetryLater
from common.redis import best_effort
from common.runtime import Workers
from gateways import Gateway, Gateways, OrderReference, Unknown
from gateways.refunds import RefundRefused, RefundRequest, RefundSnapshot
from payment.domain.payments import Payment
from payment.domain.refund_errors import RefundUnresolved
from payment.domain.refund_schedule import FIRST_CHECK
from payment.domain.refund_takeovers import is_strange
from payment.domain.refunds import Refund, RefundSource, RefundStatus
from payment.domain.spent_credits import SpentCreditsPolicy
from payment.gateways.wallet import CREDITS_SPENT, CreditHold, HoldOrder, WalletHolds
from payment.store import commands, refunds
from payment.use_cases.decisions import DecisionSettings
from payment.use_cases.refund_books import GIVEN_BACK, Observed, RefundBook, RefundSettings

# Nobody waits at a checkout, and an outage may last: at most so long between two tries.
BACKOFF_SECONDS_MAX: Final = 300
IN_FLIGHT_SECONDS: Final = 2.0

_encode = msgspec.json.Encoder().encode


class HoldRefused(msgspec.Struct, frozen=True):
    """A definite no: nothing is held."""

    reason: str


class GivenBack(msgspec.Struct, frozen=True):
    """The gateway gave the capture back already, by itself or from its dashboard: nothing was asked for."""

    refunds: tuple[RefundSnapshot, ...]


HoldOutcome: TypeAlias = CreditHold | HoldRefused
GatewayOutcome: TypeAlias = RefundSnapshot | RefundRefused | GivenBack


class CreationIntent(msgspec.Struct, frozen=True):
    """The payload of the intent to make a refund at the gateway."""

    refund_id: UUID
    gateway_account_id: str
    request: RefundRequest
    is_of_receipt: bool = False


_hold_order = msgspec.json.Decoder(HoldOrder).decode
_creation = msgspec.json.Decoder(CreationIntent).decode


class RefundFlow:
    """Carry refunds out. The request executes the hold at once; workers are the guarantee of both steps."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        gateways: Gateways,
        wallet: WalletHolds,
        redis: Redis,
        settings: RefundSettings,
        *,
        timeout_seconds: float,
    ) -> None:
        self._clock = clock
        self._gateways = gateways
        self._wallet = wallet
        self._redis = redis
        self._settings = settings
        self._timeout_seconds = timeout_seconds
        self.holds: Intents[HoldOutcome] = Intents(
            db, "hold_refund", self._hold, self._record_holds, pause_seconds_max=BACKOFF_SECONDS_MAX
        )
        self.creations: Intents[GatewayOutcome] = Intents(
            db,
            "create_refund",
            self._create,
            self._record_creations,
            # The list before, a create, the read after a refusal, and some.
            lease_seconds=4 * timeout_seconds,
            pause_seconds_max=BACKOFF_SECONDS_MAX,
        )

    @property
    def workers(self) -> Workers:
        return Workers(intents=(self.holds, self.creations))

    async def open(self, tx: Tx, payments: Mapping[UUID, Payment]) -> RefundBook:
        """The book of refunds of *payments*, which *tx* holds locked."""
        return await RefundBook.open(tx, payments, self._clock.now(), self._settings)

    async def save(self, tx: Tx, book: RefundBook, *, leased: bool = False) -> list[Intent]:
        """Save *book*, and record the hold intents of the refunds that it adds: *leased* to the caller, or not."""
        await book.save(tx)
        holds = {
            refund.id: _encode(
                HoldOrder.of(f"refund:{refund.text_id}", book.payment(refund.payment_id), refund.credits, refund.policy)
            )
            for refund in book.added
            if refund.status is RefundStatus.INITIATED
        }
        return await self.holds.record(tx, holds, leased=leased) if holds else []

    async def apply(
        self,
        tx: Tx,
        payments: Mapping[UUID, Payment],
        observed: Mapping[UUID, Collection[RefundSnapshot]],
    ) -> dict[UUID, dict[str, Observed]]:
        """Apply what the gateway shows of these locked payments' refunds: what became of each, by the gateway's id."""
        book = await self.open(tx, payments)
        results = {
            payment_id: {each.gateway_refund_id: book.observe(payment_id, each) for each in snapshots}
            for payment_id, snapshots in observed.items()
        }
        await self.save(tx, book)
        return results

    def names_payments(self, payment: Payment) -> bool:
        """Whether a refund at the payment's gateway names the capture that goes back."""
        gateway = self._gateways.get(payment.gateway_account_id)
        return gateway is not None and gateway.capabilities.refunds_by_payment

    @property
    def decisions(self) -> DecisionSettings:
        return self._settings.decisions

    def policy_of(self, payment: Payment) -> SpentCreditsPolicy:
        return self._settings.policy_of(payment.merchant_id)

    async def begin_receipt_refunds(self, tx: Tx, book: RefundBook, begun: Collection[Refund]) -> None:
        """Save *book*, to which these refunds of receipts were added, and have the gateway asked for them."""
        for refund in begun:
            book.update(replace(refund, next_check_at=book.now + FIRST_CHECK))
        await self.save(tx, book)
        await self._ask(tx, book, begun)

    # ── First step: the hold ─────────────────────────────────────────────────────────────────────────────────────

    async def _hold(self, intent: Intent) -> HoldOutcome:
        """Reserve the credits. Raises what `WalletHolds.hold` raises but for credits that are spent."""
        try:
            return await self._wallet.hold(_hold_order(intent.payload))
        except DomainError as error:
            if error.code == CREDITS_SPENT:
                return HoldRefused("credits_spent")
            raise

    async def _record_holds(self, tx: Tx, outcomes: Sequence[tuple[Intent, HoldOutcome]]) -> None:
        book = await self._locked(tx, {intent.id for intent, _ in outcomes})
        asked = []
        for intent, outcome in outcomes:
            refund = book.refund(intent.id)
            if refund.status is not RefundStatus.INITIATED:
                continue
            if isinstance(outcome, HoldRefused):
                book.move(refund, RefundStatus.FAILED, outcome.reason)
                continue
            held = replace(refund, hold_id=outcome.hold_id, held=outcome.held, value_held=outcome.value.minor)
            moved = book.move(held, RefundStatus.PROCESSING, "held")
            if moved.source is RefundSource.GATEWAY:
                # The gateway has it already: it is looked up at once.
                book.update(replace(moved, next_check_at=book.now))
            else:
                book.update(replace(moved, next_check_at=book.now + FIRST_CHECK))
                asked.append(moved)
        await self.save(tx, book)
        await self._ask(tx, book, asked)

    # ── Second step: the gateway ─────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, tx: Tx, book: RefundBook, asked: Collection[Refund]) -> None:
        creations = {
            uuid5(refund.id, "create"): _encode(_creation_of(book.payment(refund.payment_id), refund))
            for refund in asked
        }
        if creations:
            await self.creations.record(tx, creations)

    async def _create(self, intent: Intent) -> GatewayOutcome:
        """Make the refund, or find the one that an earlier try has made. Raises while that is unknown.

        Before a receipt is given back the order's refunds are read: some gateways give second and late captures back by
        themselves.
        """
        creation = _creation(intent.payload)
        request = replace(creation.request, attempt=intent.attempt)
        gateway = self._gateways.get(creation.gateway_account_id)
        if gateway is None:
            raise RefundUnresolved("the payment's gateway account is not configured")
        # Kept while a call is under way: another worker, whose lease began after this one's was over, waits for it.
        key = f"refund:request:{request.refund_id}"
        seconds = max(1, int(2 * self._timeout_seconds))
        if not await best_effort(self._redis.set(key, str(intent.attempt), nx=True, ex=seconds), True):
            raise RetryLater(IN_FLIGHT_SECONDS, "refund_in_flight")
        try:
            given_back = await self._given_back(gateway, request) if creation.is_of_receipt else None
            outcome = given_back or await gateway.create_refund(request, self._timeout_seconds)
        finally:
            await best_effort(self._redis.delete(key), 0)
        if isinstance(outcome, Unknown):
            if outcome.reason == "rate_limited":
                raise RetryLater(max(outcome.retry_after_seconds, 1.0), "gateway_rate_limited")
            raise RefundUnresolved(f"the gateway's answer is not known: {outcome.reason}")
        return outcome

    async def _given_back(self, gateway: Gateway, request: RefundRequest) -> GivenBack | Unknown | None:
        """The order's refunds, when one of them gives this capture back and is none of ours."""
        listed = await gateway.read_refunds(request.order, self._timeout_seconds)
        if isinstance(listed, Unknown):
            return listed
        others = [each for each in listed if each.gateway_payment_id == request.gateway_payment_id]
        return GivenBack(tuple(listed)) if any(is_strange(each) for each in others) else None

    async def _record_creations(self, tx: Tx, outcomes: Sequence[tuple[Intent, GatewayOutcome]]) -> None:
        by_refund = {_creation(intent.payload).refund_id: outcome for intent, outcome in outcomes}
        book = await self._locked(tx, by_refund.keys())
        for refund_id, outcome in by_refund.items():
            refund = book.refund(refund_id)
            if isinstance(outcome, RefundSnapshot):
                book.observe(refund.payment_id, outcome)
            elif isinstance(outcome, GivenBack):
                if refund.status is RefundStatus.PROCESSING:
                    book.move(refund, RefundStatus.FAILED, GIVEN_BACK)
                for snapshot in outcome.refunds:
                    book.observe(refund.payment_id, snapshot)
            elif refund.status is RefundStatus.PROCESSING:
                book.move(refund, RefundStatus.FAILED, outcome.reason)
        await self.save(tx, book)

    async def _locked(self, tx: Tx, refund_ids: Collection[UUID]) -> RefundBook:
        """The book of these refunds' payments, locked."""
        payment_ids = (await refunds.payments_of(tx, refund_ids)).values()
        return await self.open(tx, await commands.lock_payments(tx, set(payment_ids)))


def _creation_of(payment: Payment, refund: Refund) -> CreationIntent:
    request = RefundRequest(
        refund_id=refund.text_id,
        order=OrderReference(payment.order_id, payment.gateway_order_id),
        gateway_payment_id=refund.gateway_payment_id,
        amount=refund.amount,
        note=refund.reason,
        speed=refund.speed,
    )
    return CreationIntent(refund.id, payment.gateway_account_id, request, refund.receipt_id is not None)
