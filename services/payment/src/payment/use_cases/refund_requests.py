"""Ask for a refund: once for each key and for each business act, under the payment's lock; preview one."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from common import approvals, context, idempotency, ids, outbox
from common.approvals import Approval, ApprovalPending, ApprovalStatus
from common.authorization import Authorizer
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from common.idempotency import Answered, Claim, Completion, Fresh, Resumed
from common.intents import Intent, RetryLater
from common.money import Money
from common.tokens import Caller
from payment.domain import refund_requests
from payment.domain import refunds as rules
from payment.domain.errors import PaymentNotFound
from payment.domain.payments import Payment
from payment.domain.refund_errors import RefundAwaitsApproval, RefundCreditsSpent
from payment.domain.refund_requests import APPROVAL_KIND, RefundLimits, RefundOrder, RefundPreview
from payment.domain.refunds import Refund, RefundStatus
from payment.domain.spent_credits import SpentCreditsPolicy
from payment.gateways.wallet import CreditHold, HoldOrder, WalletHolds
from payment.store import commands, disputes, queries, refunds
from payment.use_cases.refund_books import RefundBook, RefundSettings
from payment.use_cases.refund_flow import RefundFlow
from payment.wire import events, refund_events, views

# Who may ask, by the token, and confirmed by identity (Authorize): up to a limit, or of any amount.
CREATE: Final = "refunds.create"
CREATE_UNLIMITED: Final = "refunds.create_unlimited"

# What a request is answered with: the body of a refund and its payment.
Encode = Callable[[Refund, Payment], bytes]


class RefundAnswer(msgspec.Struct, frozen=True):
    """Status and whole body of the final answer to a request."""

    status: int
    body: bytes
    replayed: bool = False


class _Begun(msgspec.Struct, frozen=True):
    """What the transaction of a request came to: a refund, with its hold to be executed when it is new."""

    refund_id: UUID
    hold: Intent | None = None


class RefundRequests:
    """Ask for refunds and preview them, for staff and for operators."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        authorizer: Authorizer,
        flow: RefundFlow,
        wallet: WalletHolds,
        settings: RefundSettings,
        limits: RefundLimits,
    ) -> None:
        self.db = db
        self.clock = clock
        self._authorizer = authorizer
        self.flow = flow
        self._wallet = wallet
        self.settings = settings
        self.limits = limits

    async def preview(self, merchant_id: str, payment_id: UUID, amount: Money | None) -> RefundPreview:
        """What a refund would do now.

        Raises PaymentNotFound, PaymentNotRefundable, RefundAmountInvalid, CalleeUnavailable without the wallet.
        """
        async with self.db.begin() as tx:
            payment = _of_merchant(await queries.payments_by_id(tx, [payment_id]), merchant_id)
            others = (await refunds.refunds_of(tx, [payment_id])).get(payment_id, [])
            lost_minor = (await disputes.lost(tx, [payment_id])).get(payment_id, 0)
        amount = rules.check_refundable(payment, others, lost_minor, amount)
        tax, credits = rules.split(payment, others, amount)
        policy = self.settings.policy_of(payment.merchant_id)
        hold = CreditHold()
        if credits.paid or credits.bonus:
            # A refusal says nothing of how much is missing: what BLOCK would refuse is asked for as ABSORB.
            asked = SpentCreditsPolicy.ABSORB
            hold = await self._wallet.preview(HoldOrder.of("", payment, credits, asked))
        return RefundPreview(
            payment=payment,
            amount=amount,
            left=rules.refundable(payment, others, lost_minor),
            tax=tax,
            credits=credits,
            policy=policy,
            held=hold.held,
            missing=hold.missing,
            needs_approval=refund_requests.refunded_by_staff(others) + amount.minor > self.limits.approval_above_minor,
        )

    async def request_for(self, caller: Caller, order: RefundOrder, encode: Encode) -> RefundAnswer:
        """As `request`, for a person. Raises what identity refuses them with, and CalleeUnavailable, too."""
        limited = CREATE_UNLIMITED not in caller.permissions
        await self._authorizer.require(caller, CREATE if limited else CREATE_UNLIMITED)
        return await self.request(msgspec.structs.replace(order, is_limited=limited), encode)

    async def request(self, order: RefundOrder, encode: Encode) -> RefundAnswer:
        """The final answer to *order*, or the one that the same key or the same act got before.

        Raises PaymentNotFound, PaymentNotRefundable, RefundAmountInvalid, RefundLimitExceeded, RefundAwaitsApproval,
        and what idempotency keys are refused with.
        """
        begun = await request_refund(self.db, self, order)
        if isinstance(begun, Answered):
            return RefundAnswer(begun.status, begun.response, replayed=True)
        if isinstance(begun, DomainError):
            raise begun
        refund, payment = await self.carried_out(begun.refund_id, begun.hold)
        answer = self._answer(refund, payment, encode)
        if order.key is not None:
            async with self.db.begin() as tx:
                completion = Completion(order.key, refund.id, answer.status, answer.body)
                await idempotency.complete(tx, [completion])
        return answer

    async def request_one(self, order: RefundOrder) -> Refund:
        """The refund that *order* asks for, as it is now. Raises as `request`, and RefundCreditsSpent."""
        begun = await request_refund(self.db, self, order)
        if isinstance(begun, DomainError):
            raise begun
        if isinstance(begun, Answered):
            return (await self.carried_out(begun.subject, None))[0]
        refund, payment = await self.carried_out(begun.refund_id, begun.hold)
        answer = self._answer(refund, payment, lambda refund, _: refund.text_id.encode())
        if order.key is not None:
            async with self.db.begin() as tx:
                await idempotency.complete(tx, [Completion(order.key, refund.id, answer.status, answer.body)])
        if answer.status != 201:
            raise RefundCreditsSpent("credits that the payment bought are spent", refundId=refund.text_id)
        return refund

    async def carried_out(self, refund_id: UUID, hold: Intent | None) -> tuple[Refund, Payment]:
        """The refund once its hold was tried: where the wallet does not answer, its worker goes on."""
        if hold is not None:
            try:
                await self.flow.holds.execute(hold)
            except (DomainError, RetryLater):
                pass
        async with self.db.begin() as tx:
            refund = (await refunds.refunds_by_id(tx, [refund_id]))[refund_id]
            [payment] = await queries.payments_by_id(tx, [refund.payment_id])
        context.note(payment_id=ids.encode("pay", payment.id), order_id=payment.order_id)
        return refund, payment

    def _answer(self, refund: Refund, payment: Payment, encode: Encode) -> RefundAnswer:
        if refund.status is RefundStatus.FAILED and refund.failure_reason == "credits_spent":
            refusal = RefundCreditsSpent("credits that the payment bought are spent", refundId=refund.text_id)
            return RefundAnswer(*views.refused_body(refusal, context.current().request_id))
        return RefundAnswer(201, encode(refund, payment))

    async def make(self, tx: Tx, book: RefundBook, order: RefundOrder, amount: Money, refund_id: UUID) -> Intent:
        """Make the refund of a checked *amount*, and save the book; the intent to hold its credits, for the caller."""
        payment = book.payment(order.payment_id)
        before = rules.refundable(payment, book.refunds(payment.id), book.lost_minor(payment.id))
        policy = self.settings.policy_of(payment.merchant_id)
        refund = refund_requests.new_refund(
            payment, book.refunds(payment.id), order, amount, policy, refund_id, book.now
        )
        book.add(refund)
        book.messages.append(refund_events.audit_requested(payment, refund, before.minor, book.now))
        [intent] = await self.flow.save(tx, book, leased=True)
        return intent


@retried
async def request_refund(db: Database, requests: RefundRequests, order: RefundOrder) -> _Begun | Answered | DomainError:
    """See RefundRequests.request."""
    async with db.begin() as tx:
        locked = await commands.lock_payments(tx, [order.payment_id])
        payment = _of_merchant(list(locked.values()), order.merchant_id)
        refund_id = ids.new()
        if order.key is not None:
            [claimed] = await idempotency.claim(tx, [Claim(order.key, order.fingerprint, refund_id)])
            if isinstance(claimed, Resumed):
                refund_id = claimed.subject
            elif not isinstance(claimed, Fresh):
                return claimed
        book = await requests.flow.open(tx, locked)
        own, lost_minor = book.refunds(payment.id), book.lost_minor(payment.id)
        earlier = next((each for each in own if each.id == refund_id), None)
        earlier = earlier or refund_requests.earlier_request(order, payment, own, lost_minor, book.now, requests.limits)
        if earlier is not None:
            if order.key is not None and earlier.id != refund_id:
                await idempotency.adopt(tx, {order.key: earlier.id})
            return _Begun(earlier.id)
        amount = rules.check_refundable(payment, own, lost_minor, order.amount)
        if refund_requests.check_limits(order, amount, own, requests.limits):
            approval = await _proposed(tx, requests, payment, order, amount, refund_id, book.now)
            if order.key is not None:
                await commands.release_lease(tx, order.key)
            return RefundAwaitsApproval(
                "a second person has to approve it", approvalId=approval.text_id, status=approval.status
            )
        return _Begun(refund_id, await requests.make(tx, book, order, amount, refund_id))


async def _proposed(
    tx: Tx,
    requests: RefundRequests,
    payment: Payment,
    order: RefundOrder,
    amount: Money,
    refund_id: UUID,
    now: datetime,
) -> Approval:
    """The approval that the refund waits for; the same request again is the same proposal. Raises ApprovalPending."""
    detail = {
        "paymentId": ids.encode("pay", payment.id),
        "refundId": ids.encode(rules.PREFIX, refund_id),
        "amount": amount.minor,
        "currency": amount.currency,
        "speed": order.speed.value,
    }
    approval = Approval(
        id=ids.new(),
        merchant_id=payment.merchant_id,
        kind=APPROVAL_KIND,
        subject=payment.id,
        detail=detail,
        proposed_by=order.requested_by,
        reason=order.reason,
        proposed_at=now,
        expires_at=now + requests.limits.approval_life,
    )
    existing = (await approvals.of_subjects(tx, APPROVAL_KIND, [payment.id])).get(payment.id)
    if existing is not None and existing.at(now).status is ApprovalStatus.PENDING:
        if (existing.detail["amount"], existing.reason) == (amount.minor, order.reason):
            return existing
        raise ApprovalPending("another refund of this payment waits for an approval")
    await approvals.propose(tx, approval)
    await outbox.append(tx, [approvals.audited(approval, service=events.SERVICE, at=now)])
    return approval


def _of_merchant(payments: list[Payment], merchant_id: str | None) -> Payment:
    for payment in payments:
        if merchant_id in (None, payment.merchant_id):
            return payment
    raise PaymentNotFound("there is no such payment")
