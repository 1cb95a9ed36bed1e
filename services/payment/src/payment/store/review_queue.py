"""The review queue: which payments are in it, and what people decided. It reads what payments and receipts say."""

from collections.abc import Collection
from uuid import UUID

import msgspec

from common.database import Row, Tx
from payment.domain.review_queue import RecordedDecision, ReviewAction, ReviewFilter, ReviewKind

# Each kind reads its own partial index, and at most a page of it. A receipt that is not settled keeps its payment in
# the queue.
_QUARANTINED = """
(select id from payments where review = 'QUARANTINED' {of_payment} order by 1 desc limit :limit)
union
(select distinct r.payment_id from receipts r join payments p on p.id = r.payment_id
 where r.applied_minor + r.refunded_minor < r.amount_minor and r.reason <> 'FLAGGED' and p.paid_at is null {of_receipt}
 order by 1 desc limit :limit)
"""
_FLAGGED = """
(select id from payments
 where review = 'FLAGGED' and status not in ('FAILED', 'EXPIRED', 'CANCELLED') {of_payment}
 order by 1 desc limit :limit)
union
(select distinct r.payment_id from receipts r join payments p on p.id = r.payment_id
 where r.applied_minor + r.refunded_minor < r.amount_minor and r.reason = 'FLAGGED' and p.paid_at is null {of_receipt}
 order by 1 desc limit :limit)
"""
_DUPLICATE = """
(select distinct r.payment_id from receipts r join payments p on p.id = r.payment_id
 where r.applied_minor + r.refunded_minor < r.amount_minor and p.paid_at is not null {of_receipt}
 order by 1 desc limit :limit)
"""
_BY_KIND = {
    ReviewKind.QUARANTINED: _QUARANTINED,
    ReviewKind.FLAGGED: _FLAGGED,
    ReviewKind.DUPLICATE: _DUPLICATE,
}
assert _BY_KIND.keys() == set(ReviewKind), "every kind has its list"

_ADD_DECISION = """
insert into review_decisions (id, payment_id, merchant_id, version, action, reason, actor_id, receipt_id,
    gateway_refund_id, at)
values (:id, :payment_id, :merchant_id, :version, :action, :reason, :actor_id, :receipt_id, :gateway_refund_id, :at)
"""
_DECISIONS = "select * from review_decisions where payment_id = any(cast(:ids as uuid[])) order by id"


def _page(kinds: Collection[ReviewKind], *, one_merchant: bool, later: bool) -> str:
    of_payment = (" and merchant_id = :merchant_id" if one_merchant else "") + (" and id < :before" if later else "")
    of_receipt = (" and r.merchant_id = :merchant_id" if one_merchant else "") + (
        " and r.payment_id < :before" if later else ""
    )
    parts = "union".join(_BY_KIND[kind].format(of_payment=of_payment, of_receipt=of_receipt) for kind in kinds)
    return f"select id from ({parts}) as queued (id) order by id desc limit :limit"


async def queued_payments(tx: Tx, filter: ReviewFilter) -> list[UUID]:
    """The payments of one page, newest first."""
    kinds = [filter.kind] if filter.kind else list(ReviewKind)
    one_merchant, later = filter.merchant_id is not None, filter.before is not None
    values: dict[str, object] = {"limit": filter.limit}
    values |= {"merchant_id": filter.merchant_id} if one_merchant else {}
    values |= {"before": filter.before} if later else {}
    return list((await tx.execute(_page(kinds, one_merchant=one_merchant, later=later), **values)).scalars())


async def add_decision(tx: Tx, decision: RecordedDecision) -> None:
    await tx.execute(_ADD_DECISION, **msgspec.structs.asdict(decision) | {"action": decision.action.value})


async def decisions_of(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, list[RecordedDecision]]:
    """What was decided about these payments, oldest first."""
    decisions: dict[UUID, list[RecordedDecision]] = {}
    if payment_ids:
        for row in await tx.execute(_DECISIONS, ids=sorted(payment_ids)):
            decisions.setdefault(row.payment_id, []).append(_decision(row))
    return decisions


def _decision(row: Row) -> RecordedDecision:
    return RecordedDecision(
        id=row.id,
        payment_id=row.payment_id,
        merchant_id=row.merchant_id,
        version=row.version,
        action=ReviewAction(row.action),
        reason=row.reason,
        actor_id=row.actor_id,
        receipt_id=row.receipt_id,
        gateway_refund_id=row.gateway_refund_id,
        at=row.at,
    )
