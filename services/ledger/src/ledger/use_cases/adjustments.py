"""Journals that a person posts: reversals, and batches that a second person approves. A dry run posts nothing."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from common import approvals, ids, outbox
from common.approvals import Approval, ApprovalStatus, Verdict
from common.clock import Clock
from common.database import Database, Tx, retried
from ledger.domain import adjustments, controls, journals
from ledger.domain.adjustments import BatchKeyReused, BatchSummary, JournalNotFound, ManualBatch, Original
from ledger.domain.journals import Entry, FinancialEvent, Journal, Postings
from ledger.store import commands
from ledger.store import controls as store

KIND: Final = "ledger.manual"
EXPIRES_AFTER: Final = timedelta(days=3)


@retried
async def reverse_journal(
    db: Database,
    clock: Clock,
    merchant_id: str,
    journal_id: UUID,
    actor_id: str,
    reason: str,
    new_id: Callable[[], UUID] = ids.new,
) -> Journal:
    """Take a journal back, in the open period. Raises JournalNotFound, JournalReversed, AccountFrozen."""
    async with db.begin() as tx:
        original = await _original(tx, merchant_id, journal_id)
        journal = adjustments.reversal(original, actor_id, reason, clock.now(), new_id)
        await _post(tx, [journal])
    return journal


async def _original(tx: Tx, merchant_id: str, journal_id: UUID) -> Original:
    rows, entries = await store.journal_rows(tx, [journal_id])
    if not rows or rows[0].merchant_id != merchant_id:
        raise JournalNotFound("there is no such journal")
    row = rows[0]
    return Original(
        row.journal_id,
        row.merchant_id,
        row.asset,
        row.reference_prefix,
        row.reference,
        row.payment_id,
        row.owner_id,
        [Entry(each.account_id, each.debit, each.credit) for each in entries],
        row.is_reversed,
        row.reverses is not None,
    )


async def _post(tx: Tx, posted: Sequence[Journal]) -> None:
    """Post all of *posted* or raise AccountFrozen."""
    state = await commands.book_state(tx, posted)
    events = [journal.event for journal in posted]
    admitted = controls.admitted(Postings(list(posted), [None] * len(posted)), events, state)
    refusal = next((each for each in admitted.refusals if each), None)
    if refusal is not None:
        raise refusal
    await commands.post(tx, controls.new_journals(posted, state, tx.clock.now()))


def preview_event(event: FinancialEvent, new_id: Callable[[], UUID] = ids.new) -> list[Journal]:
    """The journals that *event* would cause; nothing is posted. Raises what posting it would be refused with."""
    return journals.journals_of(event, new_id)


def preview_batch(batch: ManualBatch, new_id: Callable[[], UUID] = ids.new) -> list[Journal]:
    """The journals that *batch* would post; nothing is. Raises what posting them would be refused with."""
    return adjustments.manual_journals(batch, new_id)


@retried
async def propose_journals(
    db: Database, batch: ManualBatch, new_id: Callable[[], UUID] = ids.new
) -> tuple[Approval, list[Journal]]:
    """Keep *batch* for another person to approve; the same batch under its key gives the same approval.

    Raises what posting would be refused with, BatchKeyReused for another batch of the key, ApprovalPending.
    """
    drafts = adjustments.manual_journals(batch, new_id)
    async with db.begin() as tx:
        if not await store.add_batch(tx, batch):
            before = await store.batch_of(tx, batch.batch_id)
            if before is None or before.journals != batch.journals:
                raise BatchKeyReused("the key was used for other journals")
            existing = (await approvals.of_subjects(tx, KIND, [batch.batch_id])).get(batch.batch_id)
            if existing is not None:
                return existing, drafts
        approval = Approval(
            id=new_id(),
            merchant_id=batch.merchant_id,
            kind=KIND,
            subject=batch.batch_id,
            detail=_summary(drafts, batch),
            proposed_by=batch.proposed_by,
            reason=batch.reason,
            proposed_at=batch.proposed_at,
            expires_at=batch.proposed_at + EXPIRES_AFTER,
        )
        await approvals.propose(tx, approval)
        await outbox.append(tx, [approvals.audited(approval, service=tx.service, at=batch.proposed_at)])
    return approval, drafts


def _summary(drafts: Sequence[Journal], batch: ManualBatch) -> dict[str, object]:
    sums: dict[str, int] = {}
    for journal in drafts:
        sums[journal.asset] = sums.get(journal.asset, 0) + sum(entry.debit for entry in journal.entries)
    summary: dict[str, object] = msgspec.to_builtins(BatchSummary(ids.encode("bat", batch.batch_id), len(drafts), sums))
    return summary


@retried
async def decide_journals(
    db: Database,
    clock: Clock,
    merchant_id: str,
    approval_id: UUID,
    verdict: Verdict,
    actor_id: str,
    reason: str,
    new_id: Callable[[], UUID] = ids.new,
) -> Approval:
    """Post a proposed batch, all of it or nothing, or reject it.

    Raises ApprovalNotFound, ApprovalByProposer, ApprovalClosed, AccountFrozen.
    """
    now = clock.now()
    async with db.begin() as tx:
        before = await approvals.lock(tx, approval_id, merchant_id)
        after = approvals.decided(before, verdict, actor_id, reason, now)
        if after.status is before.status:
            return after
        if after.status is ApprovalStatus.APPROVED:
            batch = await store.batch_of(tx, before.subject)
            assert batch is not None, "an approval has its batch"
            await _post(tx, adjustments.manual_journals(batch, new_id))
        await approvals.save(tx, after)
        await outbox.append(tx, [approvals.audited(after, service=tx.service, at=now)])
    return after


async def expire_proposals(db: Database, clock: Clock) -> None:
    """Close what nobody decided about in time."""
    async with db.begin() as tx:
        expired = await approvals.expire(tx, clock.now())
        await outbox.append(tx, [approvals.audited(each, service=tx.service, at=clock.now()) for each in expired])


async def list_proposals(
    db: Database, clock: Clock, merchant_id: str | None, limit: int, before: UUID | None
) -> list[Approval]:
    """A merchant's proposed batches, or for an operator (None) everybody's, newest first."""
    async with db.begin() as tx:
        return await approvals.page(tx, merchant_id, clock.now(), limit=limit, before=before)


async def read_proposal(db: Database, merchant_id: str | None, approval_id: UUID) -> tuple[Approval, list[Journal]]:
    """The journals that wait for a decision, or had one, with every line: what the decider answers for.

    *merchant_id* None: an operator's. Raises ApprovalNotFound.
    """
    async with db.begin() as tx:
        approval = await approvals.read(tx, approval_id, merchant_id)
        batch = await store.batch_of(tx, approval.subject)
    assert batch is not None, "an approval has its batch"
    return approval, adjustments.manual_journals(batch, ids.new)
