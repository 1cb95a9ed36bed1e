"""Reads of reconciliation and billing analytics. Pages are built with Core, the rest is text."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Table, select, tuple_

from common import statements
from common.database import Tx
from reconciler.domain.billing import BillingDay
from reconciler.domain.books import Comparison, Difference
from reconciler.domain.cases import Note, OpenCases
from reconciler.domain.deliveries import MissingDelivery, Unclaimed
from reconciler.domain.runs import Case, CaseStatus, FinishedRun, Position, Run, Scope
from reconciler.store import rows, tables

MISSING_MAX = 20_000

_CURSOR = "select checked_until from delivery_cursors where producer = :producer"

_UNCLAIMED = """
select envelope_id, queue, producer, attempts, next_at from missing_deliveries where claimed_at is null
order by next_at, envelope_id limit :limit
"""

_UNCLAIMED_COUNTS = """
select producer, queue, count(*) filter (where claimed_at is null and attempts > 0) as number
from missing_deliveries group by producer, queue
"""

_DIFFERENCES = "select kind, reference, left_value, right_value, since from reconciliation_differences"

_OPEN_CASES = "select count(*) from reconciliation_cases where status = 'OPEN'"

_OPEN_KINDS = "select kind, count(*) as number from reconciliation_cases where status = 'OPEN' group by kind"

_CASE = f"select {rows.CASE_COLUMNS} from reconciliation_cases where case_id = :case_id"

_CASES_BEFORE = f"""
select {rows.CASE_COLUMNS} from reconciliation_cases
where kind = :kind and reference = :reference and opened_at < :opened_at order by opened_at desc limit 100
"""

_CASES_OF_RUN = f"""
select {rows.CASE_COLUMNS} from reconciliation_cases where run_id = :run_id or resolved_run_id = :run_id
order by opened_at, case_id limit :limit
"""

_NOTES = """
select note_id, author, note, created_at from reconciliation_notes where case_id = :case_id order by note_id
"""

_OPEN_AGES = """
select kind, currency, count(*) as number, sum(amount_minor) as minor,
       case when cast(:now as timestamptz) - opened_at < interval '3 days' then '0-2'
            when cast(:now as timestamptz) - opened_at < interval '8 days' then '3-7'
            when cast(:now as timestamptz) - opened_at < interval '31 days' then '8-30'
            else '31+' end as age
from reconciliation_cases where status = 'OPEN' group by kind, currency, age
"""

# The newest rows of an index; a run that compares everything is among the last few hundred.
_LAST_FINISHED = """
select finished_at, totals from reconciliation_runs
where scope = :scope and status in ('SUCCEEDED', 'PARTIAL') order by started_at desc limit 1
"""

_BILLING_DAYS = """
select day, currency, created, succeeded, failed, created_minor, succeeded_minor, failed_minor, duration_micros, late,
       refunds, refunds_minor
from billing_daily
where merchant_id = :merchant_id and day between :first and :last and currency <> ''
order by day, currency
"""

_WEBHOOK_FAILURES = """
select coalesce(sum(webhook_failures), 0) from billing_daily where day between :first and :last
"""

_BILLING_COUNTS = """
select coalesce(sum(created), 0) as created, coalesce(sum(succeeded), 0) as succeeded,
       coalesce(sum(failed), 0) as failed, coalesce(sum(refunds), 0) as refunds,
       coalesce(sum(webhook_failures), 0) as webhooks
from billing_daily
"""


async def runs(tx: Tx, limit: int, after: Position | None = None) -> list[Run]:
    """At most *limit* runs, newest first, those after *after*."""
    columns = [column for column in tables.runs.c if column.name != "leased_until"]
    statement = _page(select(*columns), tables.runs, "started_at", "run_id", limit, after)
    return [rows.run(row) for row in await statements.run(tx, statement)]


async def cases(tx: Tx, status: CaseStatus | None, limit: int, after: Position | None = None) -> list[Case]:
    """At most *limit* cases, newest first, those after *after*."""
    columns = [tables.cases.c[name] for name in rows.CASE_COLUMNS.split(", ")]
    statement = _page(select(*columns), tables.cases, "opened_at", "case_id", limit, after)
    if status is not None:
        statement = statement.where(tables.cases.c.status == status)
    return [rows.case(row) for row in await statements.run(tx, statement)]


def _page(statement: Select[Any], table: Table, time: str, key: str, limit: int, after: Position | None) -> Select[Any]:
    order = (table.c[time], table.c[key])
    if after is not None:
        statement = statement.where(tuple_(*order) < tuple_(after.at, after.id))
    return statement.order_by(*(column.desc() for column in order)).limit(limit)


async def run(tx: Tx, run_id: UUID) -> Run | None:
    """The run of this id."""
    columns = [column for column in tables.runs.c if column.name != "leased_until"]
    row = (await statements.run(tx, select(*columns).where(tables.runs.c.run_id == run_id))).first()
    return rows.run(row) if row is not None else None


async def case(tx: Tx, case_id: UUID) -> Case | None:
    """The case of this id."""
    row = (await tx.execute(_CASE, case_id=case_id)).first()
    return rows.case(row) if row is not None else None


async def cases_before(tx: Tx, case: Case) -> list[Case]:
    """Earlier cases about the same, newest first."""
    result = await tx.execute(_CASES_BEFORE, kind=case.kind, reference=case.reference, opened_at=case.opened_at)
    return [rows.case(row) for row in result]


async def cases_of_run(tx: Tx, run_id: UUID, limit: int) -> list[Case]:
    """Cases that a run opened or resolved."""
    return [rows.case(row) for row in await tx.execute(_CASES_OF_RUN, run_id=run_id, limit=limit)]


async def notes(tx: Tx, case_id: UUID) -> list[Note]:
    """The notes on a case, oldest first."""
    return [
        Note(row.note_id, row.author, row.note, row.created_at) for row in await tx.execute(_NOTES, case_id=case_id)
    ]


async def open_cases_by_age(tx: Tx, now: datetime) -> list[OpenCases]:
    """Open cases and the money in question, by kind, age and currency."""
    return [
        OpenCases(row.kind, row.age, row.currency, int(row.number), int(row.minor))
        for row in await tx.execute(_OPEN_AGES, now=now)
    ]


async def open_cases_count(tx: Tx) -> int:
    return int((await tx.execute(_OPEN_CASES)).scalar_one())


async def open_cases_by_kind(tx: Tx) -> dict[str, int]:
    return {row.kind: row.number for row in await tx.execute(_OPEN_KINDS)}


async def last_finished(tx: Tx, scope: Scope) -> FinishedRun | None:
    """The newest run of *scope* that came to its end."""
    row = (await tx.execute(_LAST_FINISHED, scope=scope)).first()
    return FinishedRun(row.finished_at, row.totals) if row is not None else None


async def differences(tx: Tx) -> list[Difference]:
    """What did not agree in the last comparison."""
    return [
        Difference(Comparison(row.kind, row.reference, row.left_value, row.right_value), row.since)
        for row in await tx.execute(_DIFFERENCES)
    ]


async def cursor(tx: Tx, producer: str) -> datetime | None:
    """Up to when everything that *producer* announced has been checked."""
    checked_until: datetime | None = (await tx.execute(_CURSOR, producer=producer)).scalar()
    return checked_until


async def unclaimed(tx: Tx) -> list[MissingDelivery]:
    """What was missing when it was last checked, those that are due first, at most 20,000."""
    return [
        MissingDelivery(row.envelope_id, row.queue, row.producer, row.attempts, row.next_at)
        for row in await tx.execute(_UNCLAIMED, limit=MISSING_MAX)
    ]


async def unclaimed_counts(tx: Tx) -> list[Unclaimed]:
    """Of each producer and queue, how many are lost: announced again, and still not claimed."""
    return [Unclaimed(row.producer, row.queue, row.number) for row in await tx.execute(_UNCLAIMED_COUNTS)]


async def billing_days(tx: Tx, merchant_id: str, first: date, last: date) -> list[BillingDay]:
    """A merchant's days, both ends included, oldest first."""
    result = await tx.execute(_BILLING_DAYS, merchant_id=merchant_id, first=first, last=last)
    return [rows.billing_day(row) for row in result]


async def webhook_failures(tx: Tx, first: date, last: date) -> int:
    """Webhooks that were refused; they name no merchant that could be believed."""
    return int((await tx.execute(_WEBHOOK_FAILURES, first=first, last=last)).scalar_one())


async def billing_counts(tx: Tx) -> dict[str, int]:
    """How many events of each kind there are, from the counters."""
    row = (await tx.execute(_BILLING_COUNTS)).one()
    return {
        "billing.payments.created": int(row.created),
        "billing.payments.success": int(row.succeeded),
        "billing.payments.failed": int(row.failed),
        "billing.refunds.created": int(row.refunds),
        "billing.webhooks.failed": int(row.webhooks),
    }
