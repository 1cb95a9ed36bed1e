"""Acts that need a second person: one proposes, another approves or rejects, before the proposal expires.

An approval is a row in the schema of the service whose act it is. That service decides what needs one and who may
decide, and carries an approved act out in the same transaction. Proposer and decider are never the same person: the
type says so, and the table's CHECK.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import CheckConstraint, Column, DateTime, Index, MetaData, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import ids
from common.database import Row, Tx
from common.errors import Conflict, FailedPrecondition, NotFound, PermissionDenied
from common.events import Origin, audit
from common.texts import Reason

PREFIX: Final = "apr"
# What of an act is shown to the decider; compact JSON.
DETAIL_BYTES_MAX: Final = 4096


class ApprovalNotFound(NotFound):
    """There is no such approval, or it is not the caller's to see."""


class ApprovalClosed(FailedPrecondition):
    """The approval was decided otherwise, or has expired."""

    fix = "Read the approval; propose the act again if it is still needed."


class ApprovalPending(Conflict):
    """The same act waits for an approval already."""

    fix = "Have the approval that waits decided, or let it expire, before you propose the act again."


class ApprovalByProposer(PermissionDenied):
    """The person who proposed an act does not decide about it."""

    fix = "Ask another person who has the right to decide."


class ApprovalStatus(StrEnum):
    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Approval(Struct, frozen=True, kw_only=True):
    """One act that waits for, or had, a second person's decision. *kind* and *subject* name the act for its service."""

    id: UUID
    merchant_id: str
    kind: str
    subject: UUID
    # What the decider must know; no personal data.
    detail: Mapping[str, object]
    proposed_by: str
    reason: str
    proposed_at: datetime
    expires_at: datetime
    status: ApprovalStatus = ApprovalStatus.PENDING
    decided_by: str | None = None
    decision_reason: str | None = None
    decided_at: datetime | None = None

    @property
    def text_id(self) -> str:
        return ids.encode(PREFIX, self.id)

    def at(self, now: datetime) -> "Approval":
        """The approval as it is *now*: one that nobody decided in time has expired, also before its row says so."""
        if self.status is ApprovalStatus.PENDING and now >= self.expires_at:
            return replace(self, status=ApprovalStatus.EXPIRED, decided_at=self.expires_at)
        return self


class Verdict(StrEnum):
    APPROVE = "APPROVE"
    REJECT = "REJECT"


_ACTION: Final = {
    ApprovalStatus.PENDING: "approval.propose",
    ApprovalStatus.APPROVED: "approval.approve",
    ApprovalStatus.REJECTED: "approval.reject",
    ApprovalStatus.EXPIRED: "approval.expire",
}
assert _ACTION.keys() == set(ApprovalStatus), "every status is some act"
_STATUS: Final = {Verdict.APPROVE: ApprovalStatus.APPROVED, Verdict.REJECT: ApprovalStatus.REJECTED}
assert _STATUS.keys() == set(Verdict), "every verdict gives a status"


class DecisionBody(Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """What the decider sends."""

    verdict: Verdict
    reason: Reason


def decided(approval: Approval, verdict: Verdict, decider: str, reason: str, now: datetime) -> Approval:
    """The approval with the decision; the same decision by the same person again changes nothing.

    Raises ApprovalByProposer, and ApprovalClosed when it was decided otherwise or has expired.
    """
    if decider == approval.proposed_by:
        raise ApprovalByProposer("you proposed it: another person decides")
    current, status = approval.at(now), _STATUS[verdict]
    if current.status is ApprovalStatus.PENDING:
        return replace(current, status=status, decided_by=decider, decision_reason=reason, decided_at=now)
    if (current.status, current.decided_by) == (status, decider):
        return current
    raise ApprovalClosed(f"it is {current.status}")


def audited(approval: Approval, *, service: str, at: datetime, origin: Origin | None = None) -> AuditRecorded:
    """The line of the audit log about *approval* as it is now: proposed, approved, rejected or expired."""
    proposed = approval.status is ApprovalStatus.PENDING
    return audit(
        _ACTION[approval.status],
        ("approval", approval.text_id),
        service=service,
        at=at,
        merchant_id=approval.merchant_id,
        actor_id=approval.proposed_by if proposed else approval.decided_by or f"service:{service}",
        before=None if proposed else {"status": ApprovalStatus.PENDING},
        after={
            "status": approval.status,
            "kind": approval.kind,
            "reason": approval.reason if proposed else approval.decision_reason or "",
            **approval.detail,
        },
        origin=origin,
    )


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────


def table(metadata: MetaData) -> Table:
    """The approvals of a service that has some, as its migration makes them (DDL)."""
    moment = DateTime(timezone=True)
    return Table(
        "approvals",
        metadata,
        Column("approval_id", Uuid, primary_key=True),
        Column("merchant_id", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("subject", Uuid, nullable=False),
        Column("detail", JSONB, nullable=False),
        Column("proposed_by", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("proposed_at", moment, nullable=False),
        Column("expires_at", moment, nullable=False),
        Column("status", Text, nullable=False, server_default=text("'PENDING'")),
        Column("decided_by", Text),
        Column("decision_reason", Text),
        Column("decided_at", moment),
        CheckConstraint("status in ('PENDING', 'APPROVED', 'REJECTED', 'EXPIRED')"),
        CheckConstraint("expires_at > proposed_at"),
        CheckConstraint("decided_by <> proposed_by", name="approvals_maker_is_not_checker"),
        CheckConstraint("(status in ('APPROVED', 'REJECTED')) = (decided_by is not null)"),
        CheckConstraint("(status = 'PENDING') = (decided_at is null)"),
        Index("approvals_pending", "kind", "subject", unique=True, postgresql_where=text("status = 'PENDING'")),
        Index("approvals_of_subjects", "subject"),
        Index("approvals_of_merchants", "merchant_id", "approval_id"),
    )


# For the migration of a service that has approvals: `op.execute(DDL)`. It never changes: a later shape is a migration.
DDL: Final = """
create table approvals (
    approval_id uuid primary key,
    merchant_id text not null,
    kind text not null,
    subject uuid not null,
    detail jsonb not null,
    proposed_by text not null,
    reason text not null,
    proposed_at timestamptz not null,
    expires_at timestamptz not null,
    status text not null default 'PENDING',
    decided_by text,
    decision_reason text,
    decided_at timestamptz,
    check (status in ('PENDING', 'APPROVED', 'REJECTED', 'EXPIRED')),
    check (expires_at > proposed_at),
    constraint approvals_maker_is_not_checker check (decided_by <> proposed_by),
    check ((status in ('APPROVED', 'REJECTED')) = (decided_by is not null)),
    check ((status = 'PENDING') = (decided_at is null))
);
create unique index approvals_pending on approvals (kind, subject) where status = 'PENDING';
create index approvals_of_subjects on approvals (subject);
create index approvals_of_merchants on approvals (merchant_id, approval_id);
"""

_COLUMNS = """approval_id, merchant_id, kind, subject, cast(detail as text) as detail, proposed_by, reason, proposed_at,
    expires_at, status, decided_by, decision_reason, decided_at"""
_PROPOSE = """
insert into approvals (approval_id, merchant_id, kind, subject, detail, proposed_by, reason, proposed_at, expires_at)
values (:id, :merchant_id, :kind, :subject, cast(cast(:detail as text) as jsonb), :proposed_by, :reason, :proposed_at,
    :expires_at)
on conflict (kind, subject) where status = 'PENDING' do nothing returning approval_id
"""
_READ = f"select {_COLUMNS} from approvals where approval_id = :id"
_LOCK = f"""
select {_COLUMNS} from approvals where approval_id = any(cast(:ids as uuid[])) order by approval_id for no key update
"""
_SAVE = """
update approvals set status = :status, decided_by = :decided_by, decision_reason = :decision_reason,
    decided_at = :decided_at
where approval_id = :id and status = 'PENDING'
"""
_EXPIRE = f"""
update approvals set status = 'EXPIRED', decided_at = expires_at
where approval_id in (
    select approval_id from approvals where status = 'PENDING' and expires_at <= :now
    order by approval_id limit :rows for no key update skip locked)
returning {_COLUMNS}
"""
_EXPIRE_SUBJECT = """
update approvals set status = 'EXPIRED', decided_at = expires_at
where kind = :kind and subject = :subject and status = 'PENDING' and expires_at <= :now
"""
_PAGE = f"""
select {_COLUMNS} from approvals
where (cast(:merchant_id as text) is null or merchant_id = :merchant_id)
  and (cast(:before as uuid) is null or approval_id < :before)
  and (not :pending or (status = 'PENDING' and expires_at > :now))
order by approval_id desc limit :rows
"""

_OF_SUBJECTS = f"""
select distinct on (subject) {_COLUMNS} from approvals
where kind = :kind and subject = any(cast(:subjects as uuid[])) order by subject, approval_id desc
"""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, object]).decode


async def propose(tx: Tx, approval: Approval) -> Approval:
    """Keep the proposal. Raises ApprovalPending when the same act waits for a decision already."""
    detail = _encode(approval.detail)
    assert len(detail) <= DETAIL_BYTES_MAX, "what a decider must know is short"
    await tx.execute(_EXPIRE_SUBJECT, kind=approval.kind, subject=approval.subject, now=approval.proposed_at)
    kept = await tx.execute(
        _PROPOSE,
        id=approval.id,
        merchant_id=approval.merchant_id,
        kind=approval.kind,
        subject=approval.subject,
        detail=detail.decode(),
        proposed_by=approval.proposed_by,
        reason=approval.reason,
        proposed_at=approval.proposed_at,
        expires_at=approval.expires_at,
    )
    if kept.first() is None:
        raise ApprovalPending("the same act waits for an approval already")
    return approval


async def read(tx: Tx, approval_id: UUID, merchant_id: str | None = None) -> Approval:
    """The approval as it is. Raises ApprovalNotFound."""
    return _found((await tx.execute(_READ, id=approval_id)).first(), merchant_id)


async def lock(tx: Tx, approval_id: UUID, merchant_id: str | None = None) -> Approval:
    """The approval as it is; nobody else may decide until *tx* ends. Raises ApprovalNotFound."""
    return _found((await tx.execute(_LOCK, ids=[approval_id])).first(), merchant_id)


async def save(tx: Tx, approval: Approval) -> None:
    """Keep the decision of an approval that *tx* holds locked."""
    await tx.execute(
        _SAVE,
        id=approval.id,
        status=approval.status.value,
        decided_by=approval.decided_by,
        decision_reason=approval.decision_reason,
        decided_at=approval.decided_at,
    )


async def expire(tx: Tx, now: datetime, rows: int = 200) -> Sequence[Approval]:
    """Close up to *rows* proposals that nobody decided in time, and return them: their acts do not happen."""
    return [_approval(row) for row in await tx.execute(_EXPIRE, now=now, rows=rows)]


async def page(
    tx: Tx, merchant_id: str | None, now: datetime, *, limit: int, before: UUID | None = None, pending: bool = False
) -> list[Approval]:
    """A merchant's approvals, or everybody's (None), newest first; *pending*: only those that can still be decided."""
    rows = await tx.execute(_PAGE, merchant_id=merchant_id, before=before, pending=pending, now=now, rows=limit)
    return [_approval(row) for row in rows]


async def of_subjects(tx: Tx, kind: str, subjects: Collection[UUID]) -> dict[UUID, Approval]:
    """The latest approval of each subject that ever had one."""
    rows = await tx.execute(_OF_SUBJECTS, kind=kind, subjects=list(subjects))
    return {row.subject: _approval(row) for row in rows}


def _found(row: Row | None, merchant_id: str | None) -> Approval:
    if row is None or merchant_id not in (None, row.merchant_id):
        raise ApprovalNotFound("there is no such approval")
    return _approval(row)


def _approval(row: Row) -> Approval:
    return Approval(
        id=row.approval_id,
        merchant_id=row.merchant_id,
        kind=row.kind,
        subject=row.subject,
        detail=_decode(row.detail),
        proposed_by=row.proposed_by,
        reason=row.reason,
        proposed_at=row.proposed_at,
        expires_at=row.expires_at,
        status=ApprovalStatus(row.status),
        decided_by=row.decided_by,
        decision_reason=row.decision_reason,
        decided_at=row.decided_at,
    )
