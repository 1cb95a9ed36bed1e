"""Refunds above the limit: a second person approves or rejects what the first proposed, before it expires."""

from typing import Final
from uuid import UUID

from common import approvals, ids, outbox
from common.approvals import Approval, ApprovalNotFound, ApprovalStatus, DecisionBody, Verdict
from common.authorization import Authorizer
from common.clock import Clock
from common.database import Database, retried
from common.intents import Intent
from common.money import Money
from common.tokens import Caller
from gateways.refunds import RefundSpeed
from payment.domain import refunds as rules
from payment.domain.refund_requests import APPROVAL_KIND, RefundOrder
from payment.store import commands
from payment.use_cases.refund_requests import RefundRequests
from payment.wire import events

# Who may decide: by the token, and confirmed by identity (Authorize).
APPROVE: Final = "refunds.approve"
EXPIRE_SECONDS: Final = 60
BATCH_MAX: Final = 200


class RefundApprovals:
    """List what waits, decide about it, close what nobody decided in time."""

    def __init__(self, db: Database, clock: Clock, authorizer: Authorizer, requests: RefundRequests) -> None:
        self.db = db
        self.clock = clock
        self._authorizer = authorizer
        self.requests = requests

    async def page(
        self, merchant_id: str, *, limit: int, before: UUID | None = None, pending: bool = False
    ) -> list[Approval]:
        async with self.db.begin() as tx:
            return await approvals.page(tx, merchant_id, self.clock.now(), limit=limit, before=before, pending=pending)

    async def decide(self, caller: Caller, approval_id: UUID, body: DecisionBody) -> Approval:
        """Approve, which makes the refund, or reject.

        Raises ApprovalNotFound, ApprovalClosed, ApprovalByProposer, what a request for the refund raises, and what
        identity refuses the caller with.
        """
        await self._authorizer.require(caller, APPROVE)
        approval, hold = await decide_approval(self.db, self, caller, approval_id, body)
        if hold is not None:
            await self.requests.carried_out(_refund_id(approval), hold)
        return approval

    async def run(self) -> int:
        """Close what expired; how many that were. Safe to run N times."""
        return await expire_approvals(self.db, self.clock)


@retried
async def decide_approval(
    db: Database, service: RefundApprovals, caller: Caller, approval_id: UUID, body: DecisionBody
) -> tuple[Approval, Intent | None]:
    """See RefundApprovals.decide; the intent to hold the credits when the refund was made now."""
    now = service.clock.now()
    async with db.begin() as tx:
        subject = (await approvals.lock(tx, approval_id, caller.merchant_id)).subject
    async with db.begin() as tx:
        # The payment first, as everybody locks it.
        locked = await commands.lock_payments(tx, [subject])
        approval = await approvals.lock(tx, approval_id, caller.merchant_id)
        if approval.kind != APPROVAL_KIND:
            raise ApprovalNotFound("there is no such approval")
        after = approvals.decided(approval, body.verdict, caller.user_id, body.reason, now)
        if after is approval:
            return approval, None
        await approvals.save(tx, after)
        await outbox.append(tx, [approvals.audited(after, service=events.SERVICE, at=now)])
        if body.verdict is Verdict.REJECT:
            return after, None
        book = await service.requests.flow.open(tx, locked)
        order = _order_of(after)
        amount = rules.check_refundable(
            book.payment(subject), book.refunds(subject), book.lost_minor(subject), order.amount
        )
        return after, await service.requests.make(tx, book, order, amount, _refund_id(after))


@retried
async def expire_approvals(db: Database, clock: Clock) -> int:
    """See RefundApprovals.run."""
    now = clock.now()
    async with db.begin() as tx:
        expired = await approvals.expire(tx, now, BATCH_MAX)
        await outbox.append(tx, [approvals.audited(each, service=events.SERVICE, at=now) for each in expired])
    assert all(each.status is ApprovalStatus.EXPIRED for each in expired), "only what expired is closed"
    return len(expired)


def _order_of(approval: Approval) -> RefundOrder:
    detail = approval.detail
    return RefundOrder(
        payment_id=approval.subject,
        merchant_id=approval.merchant_id,
        amount=Money(int(str(detail["amount"])), str(detail["currency"])),
        reason=approval.reason,
        speed=RefundSpeed(str(detail["speed"])),
        requested_by=approval.proposed_by,
    )


def _refund_id(approval: Approval) -> UUID:
    return ids.decode(rules.PREFIX, str(approval.detail["refundId"]))
