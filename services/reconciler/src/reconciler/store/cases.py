"""Writes of cases and their notes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from common.database import Tx
from reconciler.domain.cases import Note
from reconciler.domain.runs import Case, Finding
from reconciler.store import rows

# What a person has resolved stays so while the difference stays as it was: once it has gone, it may come back.
_OPEN = f"""
insert into reconciliation_cases (case_id, run_id, kind, reference, detail, status, opened_at, seen_at, payment_id,
                                  settlement_id, merchant_id, amount_minor, currency, evidence)
select case_id, :run_id, kind, reference, detail, 'OPEN', :now, :now, payment_id, settlement_id, merchant_id,
       amount_minor, currency, cast(evidence as jsonb)
from unnest(cast(:case_ids as uuid[]), cast(:kinds as text[]), cast(:refs as text[]), cast(:details as text[]),
            cast(:payment_ids as text[]), cast(:settlement_ids as text[]), cast(:merchant_ids as text[]),
            cast(:amounts as bigint[]), cast(:currencies as text[]), cast(:evidence as text[]))
     as row (case_id, kind, reference, detail, payment_id, settlement_id, merchant_id, amount_minor, currency, evidence)
where not exists (
    select from reconciliation_cases decided
    where decided.kind = row.kind and decided.reference = row.reference and decided.decision_stands
      and decided.detail = row.detail and decided.amount_minor = row.amount_minor)
order by kind, reference
on conflict (kind, reference) where status = 'OPEN' do update
set detail = excluded.detail, seen_at = excluded.seen_at, amount_minor = excluded.amount_minor,
    currency = excluded.currency, evidence = excluded.evidence
returning {rows.CASE_COLUMNS}
"""

# Only what this run was able to judge.
_RESOLVE = f"""
update reconciliation_cases
set status = 'RESOLVED', resolved_at = :now, resolved_run_id = :run_id
where status = 'OPEN'
  and (kind, reference) in (
      select * from unnest(cast(:kinds as text[]), cast(:refs as text[])) as judged (kind, reference))
returning {rows.CASE_COLUMNS}
"""

# All that was found about what was judged before, and was not found now.
_RESOLVE_REST = f"""
update reconciliation_cases opened
set status = 'RESOLVED', resolved_at = :now, resolved_run_id = :run_id
where status = 'OPEN'
  and (payment_id = any(cast(:payment_ids as text[])) and payment_id <> ''
       or settlement_id = any(cast(:settlement_ids as text[])) and settlement_id <> '')
  and not exists (
      select from unnest(cast(:kinds as text[]), cast(:refs as text[])) as wrong (kind, reference)
      where wrong.kind = opened.kind and wrong.reference = opened.reference)
returning {rows.CASE_COLUMNS}
"""

_END_DECISIONS = """
update reconciliation_cases set decision_stands = false
where decision_stands
  and (kind, reference) in (
      select * from unnest(cast(:kinds as text[]), cast(:refs as text[])) as judged (kind, reference))
"""

_END_OTHER_DECISIONS = """
update reconciliation_cases decided set decision_stands = false
where decision_stands
  and (payment_id = any(cast(:payment_ids as text[])) and payment_id <> ''
       or settlement_id = any(cast(:settlement_ids as text[])) and settlement_id <> '')
  and not exists (
      select from unnest(cast(:kinds as text[]), cast(:refs as text[])) as wrong (kind, reference)
      where wrong.kind = decided.kind and wrong.reference = decided.reference)
"""

_ASSIGN = f"""
update reconciliation_cases set owner = :owner where case_id = :case_id and status = 'OPEN'
returning {rows.CASE_COLUMNS}
"""

_RESOLVE_BY_HAND = f"""
update reconciliation_cases
set status = 'RESOLVED', resolved_at = :now, resolved_by = :actor, resolution = :reason, decision_stands = true
where case_id = :case_id and status = 'OPEN'
returning {rows.CASE_COLUMNS}
"""

_ADD_NOTE = """
insert into reconciliation_notes (note_id, case_id, author, note, created_at)
values (:note_id, :case_id, :author, :note, :now)
"""

_encode = msgspec.json.Encoder().encode


async def open_cases(
    tx: Tx, run_id: UUID, findings: Sequence[tuple[UUID, Finding]], now: datetime
) -> tuple[list[Case], list[Case]]:
    """Have a case open for each finding, under the id given with it unless there is one; returns (opened, all).

    None for what a person has resolved and is the same now.
    """
    if not findings:
        return [], []
    result = await tx.execute(
        _OPEN,
        run_id=run_id,
        now=now,
        case_ids=[case_id for case_id, _ in findings],
        kinds=[finding.kind for _, finding in findings],
        refs=[finding.reference for _, finding in findings],
        details=[finding.detail for _, finding in findings],
        payment_ids=[finding.payment_id for _, finding in findings],
        settlement_ids=[finding.settlement_id for _, finding in findings],
        merchant_ids=[finding.merchant_id for _, finding in findings],
        amounts=[finding.amount_minor for _, finding in findings],
        currencies=[finding.currency for _, finding in findings],
        evidence=[_encode(finding.evidence).decode() for _, finding in findings],
    )
    cases = [rows.case(row) for row in result]
    new_ids = {case_id for case_id, _ in findings}
    return [case for case in cases if case.case_id in new_ids], cases


async def resolve_cases(tx: Tx, run_id: UUID, judged: Collection[tuple[str, str]], now: datetime) -> list[Case]:
    """Close the open cases of those (kind, reference) that turned out right; decisions about them are over."""
    ordered = sorted(judged)
    named = {"kinds": [kind for kind, _ in ordered], "refs": [reference for _, reference in ordered]}
    await tx.execute(_END_DECISIONS, **named)
    result = await tx.execute(_RESOLVE, run_id=run_id, now=now, **named)
    return [rows.case(row) for row in result]


async def resolve_rest(
    tx: Tx,
    run_id: UUID,
    payment_ids: Sequence[str],
    settlement_ids: Sequence[str],
    findings: Sequence[Finding],
    now: datetime,
) -> list[Case]:
    """Close the open cases about these payments and settlements, except those of *findings*, and end decisions."""
    judged = {
        "payment_ids": list(payment_ids),
        "settlement_ids": list(settlement_ids),
        "kinds": [finding.kind for finding in findings],
        "refs": [finding.reference for finding in findings],
    }
    await tx.execute(_END_OTHER_DECISIONS, **judged)
    result = await tx.execute(_RESOLVE_REST, run_id=run_id, now=now, **judged)
    return [rows.case(row) for row in result]


async def assign_case(tx: Tx, case_id: UUID, owner: str) -> Case | None:
    """Give an open case to *owner*; None when it is not open."""
    row = (await tx.execute(_ASSIGN, case_id=case_id, owner=owner)).first()
    return rows.case(row) if row is not None else None


async def resolve_by_hand(tx: Tx, case_id: UUID, actor: str, reason: str, now: datetime) -> Case | None:
    """Close an open case for a person's reason; None when it is not open."""
    row = (await tx.execute(_RESOLVE_BY_HAND, case_id=case_id, actor=actor, reason=reason, now=now)).first()
    return rows.case(row) if row is not None else None


async def add_note(tx: Tx, case_id: UUID, note: Note) -> None:
    """Keep *note* with the case; notes are never changed."""
    await tx.execute(
        _ADD_NOTE, note_id=note.note_id, case_id=case_id, author=note.author, note=note.text, now=note.created_at
    )
