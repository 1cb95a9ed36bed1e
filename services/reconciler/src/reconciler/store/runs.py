"""Runs, their cases, and the differences that the last one left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from common.database import Tx
from reconciler.domain import Case, CaseStatus, Difference, Finding, Run, RunStatus, Scope

_ABANDON = """
update reconciliation_runs set status = 'FAILED', finished_at = :now where status = 'RUNNING' and leased_until < :now
"""

_BEGIN = """
insert into reconciliation_runs (run_id, scope, status, actor, started_at, leased_until)
select :run_id, cast(:scope as text), 'RUNNING', :actor, :now, :leased_until
where not exists (
    select from reconciliation_runs
    where started_at > cast(:not_since as timestamptz) and scope in (cast(:scope as text), 'ALL') and status <> 'FAILED'
)
on conflict do nothing
returning run_id
"""

_FINISH = """
update reconciliation_runs
set status = :status, finished_at = :finished_at, envelopes_checked = :checked, envelopes_republished = :republished,
    cases_opened = :opened, cases_resolved = :resolved, totals = cast(cast(:totals as text) as jsonb),
    unasked = cast(:unasked as text[])
where run_id = :run_id and status = 'RUNNING'
returning run_id
"""

_RUNS = """
select run_id, scope, status, actor, started_at, finished_at, envelopes_checked, envelopes_republished, cases_opened,
       cases_resolved, cast(totals as text) as totals, unasked
from reconciliation_runs
where cast(:scope as text) is null or scope = :scope
order by started_at desc, run_id desc limit :limit
"""


async def abandon_stale(tx: Tx, now: datetime) -> None:
    """Close the run of a process that is gone."""
    await tx.execute(_ABANDON, now=now)


async def begin_run(tx: Tx, run: Run, leased_until: datetime, not_since: datetime | None) -> bool:
    """Take the one place there is for a run; False when another is at work, or one began after *not_since*."""
    begun = await tx.execute(
        _BEGIN,
        run_id=run.run_id,
        scope=run.scope,
        actor=run.actor,
        now=run.started_at,
        leased_until=leased_until,
        not_since=not_since,
    )
    return bool(begun)


async def finish_run(tx: Tx, run: Run) -> bool:
    """Close *run*; False when it was abandoned meanwhile."""
    finished = await tx.execute(
        _FINISH,
        run_id=run.run_id,
        status=run.status,
        finished_at=run.finished_at,
        checked=run.envelopes_checked,
        republished=run.envelopes_republished,
        opened=run.cases_opened,
        resolved=run.cases_resolved,
        totals=msgspec.json.encode(run.totals).decode(),
        unasked=list(run.unasked),
    )
    return bool(finished)


async def runs(tx: Tx, limit: int, scope: Scope | None = None) -> list[Run]:
    """The last runs, newest first."""
    return [
        Run(
            row.run_id,
            Scope(row.scope),
            RunStatus(row.status),
            row.actor,
            row.started_at,
            row.finished_at,
            row.envelopes_checked,
            row.envelopes_republished,
            row.cases_opened,
            row.cases_resolved,
            msgspec.json.decode(row.totals, type=dict[str, int]),
            row.unasked,
        )
        for row in await tx.execute(_RUNS, limit=limit, scope=scope)
    ]


_OPEN = """
insert into reconciliation_cases (case_id, run_id, kind, reference, detail, status, opened_at, seen_at)
select case_id, :run_id, kind, reference, detail, 'OPEN', :now, :now
from unnest(cast(:case_ids as uuid[]), cast(:kinds as text[]), cast(:refs as text[]), cast(:details as text[]))
     as row (case_id, kind, reference, detail)
order by kind, reference
on conflict (kind, reference) where status = 'OPEN' do update set detail = excluded.detail, seen_at = excluded.seen_at
returning case_id, run_id, kind, reference, detail, status, opened_at, resolved_at
"""

# Only what this run was able to judge.
_RESOLVE = """
update reconciliation_cases
set status = 'RESOLVED', resolved_at = :now, resolved_run_id = :run_id
where status = 'OPEN'
  and (kind, reference) in (
      select * from unnest(cast(:kinds as text[]), cast(:refs as text[])) as judged (kind, reference))
returning case_id, run_id, kind, reference, detail, status, opened_at, resolved_at
"""

_CASES = """
select case_id, run_id, kind, reference, detail, status, opened_at, resolved_at from reconciliation_cases
where cast(:status as text) is null or status = :status
order by opened_at desc, case_id desc limit :limit
"""


async def open_cases(
    tx: Tx, run_id: UUID, findings: Sequence[tuple[UUID, Finding]], now: datetime
) -> tuple[list[Case], list[Case]]:
    """Have a case open for each finding, under the id given with it unless there is one; returns (opened, all)."""
    rows = await tx.execute(
        _OPEN,
        run_id=run_id,
        now=now,
        case_ids=[case_id for case_id, _ in findings],
        kinds=[finding.kind for _, finding in findings],
        refs=[finding.reference for _, finding in findings],
        details=[finding.detail for _, finding in findings],
    )
    found = [_case(row) for row in rows]
    fresh = {case_id for case_id, _ in findings}
    return [case for case in found if case.case_id in fresh], found


async def resolve_cases(tx: Tx, run_id: UUID, judged: Collection[tuple[str, str]], now: datetime) -> list[Case]:
    """Close the open cases of those (kind, reference) that turned out right."""
    ordered = sorted(judged)
    rows = await tx.execute(
        _RESOLVE,
        run_id=run_id,
        now=now,
        kinds=[kind for kind, _ in ordered],
        refs=[reference for _, reference in ordered],
    )
    return [_case(row) for row in rows]


async def cases(tx: Tx, status: CaseStatus | None, limit: int) -> list[Case]:
    """The last cases, newest first."""
    return [_case(row) for row in await tx.execute(_CASES, status=status, limit=limit)]


async def open_count(tx: Tx) -> int:
    return int((await tx.execute("select count(*) from reconciliation_cases where status = 'OPEN'")).scalar_one())


def _case(row: Any) -> Case:
    return Case(
        row.case_id,
        row.run_id,
        row.kind,
        row.reference,
        row.detail,
        CaseStatus(row.status),
        row.opened_at,
        row.resolved_at,
    )


async def differences(tx: Tx) -> list[Difference]:
    """What did not agree in the last comparison."""
    rows = await tx.execute("select kind, reference, left_value, right_value, since from reconciliation_differences")
    return [Difference._make(row) for row in rows]


_KEEP_DIFFERENCES = """
insert into reconciliation_differences (kind, reference, left_value, right_value, since)
select * from unnest(cast(:kinds as text[]), cast(:refs as text[]), cast(:lefts as bigint[]), cast(:rights as bigint[]),
                     cast(:sinces as timestamptz[]))
"""


async def keep_differences(tx: Tx, compared: Collection[tuple[str, str]], found: Sequence[Difference]) -> None:
    """Remember *found* in place of what was known of all that was *compared*."""
    await tx.execute(
        "delete from reconciliation_differences where (kind, reference) in"
        " (select * from unnest(cast(:kinds as text[]), cast(:refs as text[])) as compared (kind, reference))",
        kinds=[kind for kind, _ in compared],
        refs=[reference for _, reference in compared],
    )
    await tx.execute(
        _KEEP_DIFFERENCES,
        kinds=[each.kind for each in found],
        refs=[each.reference for each in found],
        lefts=[each.left for each in found],
        rights=[each.right for each in found],
        sinces=[each.since for each in found],
    )
