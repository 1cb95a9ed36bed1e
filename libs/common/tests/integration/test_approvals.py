"""Approvals on PostgreSQL: what the table holds to, over a table that exists for these tests alone."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import MetaData

from common import approvals, ids
from common.approvals import Approval, ApprovalNotFound, ApprovalPending, ApprovalStatus, Verdict
from common.database import Database

NOW = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def table(owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute(approvals.DDL)
    await owner.execute("grant select, insert, update, delete on approvals to payment")
    await owner.close()


def proposal(subject: UUID | None = None, at: datetime = NOW, merchant_id: str = "mer_1") -> Approval:
    return Approval(
        id=ids.new(),
        merchant_id=merchant_id,
        kind="refund",
        subject=subject or ids.new(),
        detail={"amount": 50_000, "why": "ordered twice"},
        proposed_by="usr_maker",
        reason="ordered twice",
        proposed_at=at,
        expires_at=at + timedelta(hours=1),
    )


async def propose(db: Database, approval: Approval) -> Approval:
    async with db.begin() as tx:
        return await approvals.propose(tx, approval)


async def decide(db: Database, approval_id: UUID, decider: str, verdict: Verdict = Verdict.APPROVE) -> Approval:
    async with db.begin() as tx:
        approval = approvals.decided(await approvals.lock(tx, approval_id), verdict, decider, "seen", NOW)
        await approvals.save(tx, approval)
        return approval


async def stored(db: Database, approval_id: UUID) -> Approval:
    async with db.begin() as tx:
        return await approvals.lock(tx, approval_id)


async def test_a_proposal_is_read_as_it_was_made_and_decided_once(db: Database) -> None:
    made = await propose(db, proposal())
    assert await stored(db, made.id) == made
    results = await asyncio.gather(
        *(decide(db, made.id, f"usr_{number}") for number in range(5)), return_exceptions=True
    )
    [approved] = [each for each in results if isinstance(each, Approval)]
    assert await stored(db, made.id) == approved
    async with db.begin() as tx:
        assert await approvals.of_subjects(tx, "refund", [made.subject]) == {made.subject: approved}
        with pytest.raises(ApprovalNotFound):
            await approvals.lock(tx, made.id, "mer_2")


async def test_an_act_waits_once_and_again_after_it_expired(db: Database) -> None:
    first = await propose(db, proposal())
    with pytest.raises(ApprovalPending):
        await propose(db, proposal(first.subject))
    again = await propose(db, proposal(first.subject, NOW + timedelta(hours=1)))
    assert (await stored(db, first.id)).status is ApprovalStatus.EXPIRED
    async with db.begin() as tx:
        assert [each.id for each in await approvals.expire(tx, NOW + timedelta(hours=2))] == [again.id]
        assert not await approvals.expire(tx, NOW + timedelta(hours=2))


async def test_the_table_itself_refuses_the_proposer(db: Database) -> None:
    made = await propose(db, proposal())
    for by in ("usr_maker", None):
        with pytest.raises(asyncpg.CheckViolationError):
            async with db.begin() as tx:
                await tx.execute(
                    "update approvals set status = 'APPROVED', decided_by = :by, decided_at = now()"
                    " where approval_id = :id",
                    id=made.id,
                    by=by,
                )


async def test_a_page_holds_what_can_still_be_decided(db: Database) -> None:
    made = [await propose(db, proposal(merchant_id=merchant)) for merchant in ("mer_1", "mer_2", "mer_1")]
    await decide(db, made[2].id, "usr_checker", Verdict.REJECT)
    async with db.begin() as tx:
        every = await approvals.page(tx, None, NOW, limit=10)
        assert [each.id for each in every] == [each.id for each in reversed(made)]
        pending = await approvals.page(tx, "mer_1", NOW, limit=10, pending=True)
        assert [each.id for each in pending] == [made[0].id]
        assert not await approvals.page(tx, None, NOW + timedelta(hours=1), limit=10, pending=True)
        assert [each.id for each in await approvals.page(tx, None, NOW, limit=10, before=made[1].id)] == [made[0].id]


async def test_the_description_is_what_the_migration_makes(db: Database) -> None:
    described = approvals.table(MetaData())
    async with db.begin() as tx:
        rows = await tx.execute("select column_name from information_schema.columns where table_name = 'approvals'")
    assert {row.column_name for row in rows} == set(described.columns.keys())
