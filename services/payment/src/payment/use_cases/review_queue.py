"""The review queue: payments that wait for a decision; each decision needs a right and a reason, and is audited."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from common import ids, outbox
from common.authorization import Authorizer
from common.clock import Clock
from common.database import Database, Row, Tx, retried
from common.money import Money
from common.tokens import Caller
from payment.domain import reviews
from payment.domain.payments import Payment
from payment.domain.receipt_refunds import check_certain, new_refund
from payment.domain.receipts import Receipt
from payment.domain.refunds import RefundSource
from payment.domain.review_queue import (
    Case,
    Entry,
    Evidence,
    RecordedAttempt,
    RecordedDecision,
    RefundIdTaken,
    ReviewAction,
    ReviewChanged,
    ReviewFilter,
    ReviewNotFound,
    ReviewRequest,
)
from payment.store import commands, gateway_calls, queries, receipts, review_queue
from payment.use_cases import metrics, timelines
from payment.use_cases.announcements import messages_for
from payment.use_cases.decisions import save_decisions
from payment.use_cases.refund_books import RefundBook
from payment.use_cases.refund_flow import RefundFlow
from payment.wire import events

# Who may decide: by the token, and confirmed by identity (Authorize).
DECIDE: Final = "payment_reviews.decide"


class ReviewQueue:
    """List, show, decide. A merchant's staff see their merchant's payments, an operator all."""

    def __init__(self, db: Database, clock: Clock, authorizer: Authorizer, flow: RefundFlow) -> None:
        self._db = db
        self._clock = clock
        self._authorizer = authorizer
        self._flow = flow

    async def page(self, filter: ReviewFilter) -> list[Case]:
        """A page of what waits for a decision, newest payment first."""
        async with self._db.begin() as tx:
            payment_ids = await review_queue.queued_payments(tx, filter)
            payments = {payment.id: payment for payment in await queries.payments_by_id(tx, payment_ids)}
            cases = await _cases(tx, payments)
        return [cases[payment_id] for payment_id in payment_ids if payment_id in cases]

    async def show(self, merchant_id: str | None, payment_id: UUID) -> Evidence:
        """A payment with all evidence, whether it is in the queue or not. Raises ReviewNotFound."""
        async with self._db.begin() as tx:
            payments = {payment.id: payment for payment in await queries.payments_by_id(tx, [payment_id])}
            payment = _of_merchant(payments.get(payment_id), merchant_id)
            case = (await _cases(tx, payments))[payment_id]
            entries = _transitions(await queries.transitions_of(tx, payment_id))
            entries += _gateway_calls(await gateway_calls.calls_of(tx, payment.order_key))
            entries += [
                Entry(each.at, "decision", f"{each.action.lower()}: {each.reason}", each.actor_id)
                for each in case.decisions
            ]
            return Evidence(
                case,
                tuple(_attempt(row) for row in await queries.attempts_of(tx, payment_id)),
                tuple(sorted(entries, key=lambda each: each.at)),
            )

    async def decide_for(self, caller: Caller, request: ReviewRequest) -> Case:
        """As `decide`, for a person. Raises RightsOutdated, or CalleeUnavailable when identity does not answer, too."""
        await self._authorizer.require(caller, DECIDE)
        return await self.decide(request)

    async def decide(self, request: ReviewRequest) -> Case:
        """The payment as the decision leaves it; the same decision again changes nothing.

        Raises ReviewNotFound, RefundIdTaken, ReceiptRefundAmbiguous, and what `domain.reviews.decide` raises.
        """
        return await decide_review(self._db, self._clock, request, self._flow)


@retried
async def decide_review(db: Database, clock: Clock, request: ReviewRequest, flow: RefundFlow) -> Case:
    """See ReviewQueue.decide."""
    settings = flow.decisions
    now = clock.now()
    async with db.begin() as tx:
        locked = await commands.lock_payments(tx, [request.payment_id])
        payment = _of_merchant(locked.get(request.payment_id), request.merchant_id)
        case = (await _cases(tx, locked))[payment.id]
        same_version = next((each for each in case.decisions if each.version == request.version), None)
        if same_version is not None:
            if not same_version.repeats(request):
                raise ReviewChanged(f"it was decided meanwhile: {same_version.action.lower()}")
            return case
        refund_id = request.gateway_refund_id
        if refund_id and await receipts.refund_id_taken(tx, payment.gateway, refund_id):
            raise RefundIdTaken("another receipt names this refund")
        decision, receipt = reviews.decide(case, request, now, ids.new())
        await save_decisions(tx, [decision], locked, now, settings)
        recorded = RecordedDecision.of(request, payment, receipt, now, ids.new())
        await review_queue.add_decision(tx, recorded)
        after = case.after(decision, recorded)
        if receipt is not None and request.action is ReviewAction.REFUNDED:
            await receipts.mark_transaction(tx, next(each for each in after.receipts if each.id == receipt.id))
        if receipt is not None and request.action is ReviewAction.REFUND:
            book = await flow.open(tx, {payment.id: after.payment})
            await _refund(tx, flow, book, request, receipt)
            after = Case(after.payment, tuple(book.receipts(payment.id)), after.decisions)
        audit = events.audit_review(case, after, request, receipt, now)
        messages = [*messages_for([decision], settings.public_url), audit]
        if after.payment.fraud_review is not payment.fraud_review:
            messages.append(events.review_decided(after.payment, request.action, request.actor_id, now))
        await outbox.append(tx, messages)
        metrics.moved([decision], now)
    return after


async def _refund(tx: Tx, flow: RefundFlow, book: RefundBook, request: ReviewRequest, receipt: Receipt) -> None:
    """Begin the receipt's refund. Raises ReceiptClosed, ReceiptRefundPending, ReceiptRefundAmbiguous."""
    payment = book.payment(receipt.payment_id)
    check_certain(book.order(payment.id), names_payments=flow.names_payments(payment))
    refund = new_refund(
        payment,
        receipt,
        reason=request.reason,
        source=RefundSource.STAFF,
        requested_by=request.actor_id,
        policy=flow.policy_of(payment),
        refund_id=ids.new(),
        now=book.now,
    )
    book.add(refund)
    await flow.begin_receipt_refunds(tx, book, [refund])


def _of_merchant(payment: Payment | None, merchant_id: str | None) -> Payment:
    if payment is None or merchant_id not in (None, payment.merchant_id):
        raise ReviewNotFound("there is no such payment")
    return payment


async def _cases(tx: Tx, payments: dict[UUID, Payment]) -> dict[UUID, Case]:
    received = await receipts.receipts_of(tx, payments)
    decisions = await review_queue.decisions_of(tx, payments)
    return {
        payment_id: Case(payment, tuple(received.get(payment_id, ())), tuple(decisions.get(payment_id, ())))
        for payment_id, payment in payments.items()
    }


def _transitions(rows: Sequence[Row]) -> list[Entry]:
    return [Entry(row.at, "transition", timelines.transition_summary(row), row.actor) for row in rows]


def _gateway_calls(rows: Sequence[Row]) -> list[Entry]:
    return [Entry(row.at, "gateway_call", timelines.gateway_call_summary(row)) for row in rows]


def _attempt(row: Row) -> RecordedAttempt:
    amount = None if row.amount_minor is None else Money(row.amount_minor, row.currency)
    return RecordedAttempt(row.gateway_payment_id, row.status, row.reason, row.payment_method, amount, row.updated_at)
