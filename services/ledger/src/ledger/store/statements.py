"""Balances at a past instant and statements, by the time at which a journal counts.

Balances begin at the end of the last closed period before the instant, which is final, and add what came since.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from common import ids
from common.database import Row, Tx
from ledger.domain.chart import AccountBalance
from ledger.domain.journals import BookedEntry, BookedJournal
from ledger.domain.statements import Position, StatementFilter, StatementLine

# How much younger than its own time a journal's id may seem: ids are made before the transaction, by other clocks.
MARGIN = timedelta(minutes=10)
# Journals that one page looks at, at most: a page of an account that is rarely used ends short of its limit.
SCANNED_MAX = 20_000

# When a journal counts is its own time, or that of its posting when its own was in a closed period. Both by an index.
_COUNTED = """
    select journal_id from journals
    where merchant_id = :merchant_id and accounted_at is null and effective_at >= :first and effective_at < :until
    union all
    select journal_id from journals
    where merchant_id = :merchant_id and accounted_at >= :first and accounted_at < :until
"""
_SINCE = f"""
    select account_id, sum(debit) as debit, sum(credit) as credit from ({_COUNTED}) counted
    cross join lateral (
        select account_id, debit, credit from ledger_entries where journal_id = counted.journal_id offset 0
    ) entry
    group by account_id
"""
_BEGINNING = """
select max(closed_until) from closing_balances where merchant_id = :merchant_id and closed_until <= :until
"""
_AT = f"""
select code, asset, cast(coalesce(sum(debit), 0) as bigint) as debit, cast(coalesce(sum(credit), 0) as bigint) as credit
from accounts left join (
    select account_id, debit, credit from closing_balances
    where merchant_id = :merchant_id and closed_until = :first
    union all {_SINCE}
) sums using (account_id)
group by account_id, code, asset order by account_id
"""
_NEVER = ids.timestamp(UUID(int=0))


async def balances_at(tx: Tx, merchant_id: str, until: datetime) -> list[AccountBalance]:
    """Debits and credits of every account, of what counts before *until*."""
    first = (await tx.execute(_BEGINNING, merchant_id=merchant_id, until=until)).scalar_one() or _NEVER
    rows = await tx.execute(_AT, merchant_id=merchant_id, first=first, until=until)
    return [AccountBalance(row.code, row.asset, row.debit, row.credit) for row in rows]


_NEXT_CLOSING = """
select merchant_id, closed_until from closed_periods period
where not exists (
    select from closing_balances where merchant_id = period.merchant_id and closed_until = period.closed_until
)
order by closed_until, merchant_id limit 1
"""
_KEEP_CLOSING = f"""
insert into closing_balances (merchant_id, closed_until, account_id, debit, credit)
select :merchant_id, :until, account_id, coalesce(sum(debit), 0), coalesce(sum(credit), 0)
from accounts left join (
    select account_id, debit, credit from closing_balances
    where merchant_id = :merchant_id and closed_until = :first
    union all {_SINCE}
) sums using (account_id)
group by account_id
on conflict do nothing
"""


async def keep_next_closing_balances(tx: Tx) -> bool:
    """Sum up the oldest closed period that has no balances yet; False when there is none."""
    row = (await tx.execute(_NEXT_CLOSING)).first()
    if row is None:
        return False
    merchant_id, until = row.merchant_id, row.closed_until
    first = (await tx.execute(_BEGINNING, merchant_id=merchant_id, until=until)).scalar_one() or _NEVER
    await tx.execute(_KEEP_CLOSING, merchant_id=merchant_id, first=first, until=until)
    return True


_SCANNED = """
select journal_id from journals where journal_id > :after and journal_id < :end order by journal_id
offset :rows - 1 limit 1
"""
_LINES = """
select journal_id, template, journals.asset, cause_id, reference_prefix, reference, actor_id, owner_id, reason,
       effective_at, booked_at, coalesce(accounted_at, effective_at) as counted_at, line, code as account, debit, credit
from journals
cross join lateral (
    select line, account_id, debit, credit from ledger_entries
    where journal_id = journals.journal_id and (cast(:account_id as integer) is null or account_id = :account_id)
    offset 0
) entry
join accounts using (account_id)
where (journal_id, line) > (:after, cast(:after_line as smallint)) and journal_id >= :after and journal_id <= :last
  and merchant_id = :merchant_id and (cast(:owner_id as text) is null or owner_id = :owner_id)
  and coalesce(accounted_at, effective_at) >= :since and coalesce(accounted_at, effective_at) < :until
order by journal_id, line limit :limit
"""
_CLOSED_AT = """
select min(closed_at) from closed_periods where merchant_id = :merchant_id and closed_until >= :until
"""


async def statement_lines(tx: Tx, filter: StatementFilter) -> tuple[list[StatementLine], Position | None]:
    """Entries in the order in which they were booked, and where to go on; None at the end."""
    closed_at = (await tx.execute(_CLOSED_AT, merchant_id=filter.merchant_id, until=filter.until)).scalar_one()
    # After the period was closed nothing joined it any more.
    end = ids.lower_bound(closed_at + MARGIN) if closed_at else UUID(int=2**128 - 1)
    after = filter.after or Position(ids.lower_bound(max(filter.since - MARGIN, _NEVER)), 0)
    scanned = (await tx.execute(_SCANNED, after=after.journal_id, end=end, rows=SCANNED_MAX)).first()
    rows = await tx.execute(
        _LINES,
        account_id=filter.account_id,
        after=after.journal_id,
        after_line=after.line,
        last=scanned.journal_id if scanned else end,
        merchant_id=filter.merchant_id,
        owner_id=filter.owner_id,
        since=filter.since,
        until=filter.until,
        limit=filter.limit + 1,
    )
    lines = [_line(row) for row in rows[: filter.limit]]
    if len(rows) > filter.limit:
        return lines, Position(lines[-1].journal_id, lines[-1].line)
    return lines, Position(scanned.journal_id, 32_767) if scanned else None


def _line(row: Row) -> StatementLine:
    return StatementLine(**{name: row[name] for name in StatementLine.__struct_fields__})


_PAGE = """
select journal_id, merchant_id, template, journals.asset, cause_id, reference_prefix, reference, effective_at, actor_id,
       reason, reverses, entry.codes, entry.debits, entry.credits
from journals cross join lateral (
    select array_agg(code order by line) as codes, array_agg(debit order by line) as debits,
           array_agg(credit order by line) as credits
    from ledger_entries join accounts using (account_id) where journal_id = journals.journal_id
) entry
where merchant_id = :merchant_id and (cast(:before as uuid) is null or journal_id < :before)
  and (cast(:journal_id as uuid) is null or journal_id = :journal_id)
  and (cast(:template as text) is null or template = :template)
order by journal_id desc limit :limit
"""


async def page_of_journals(
    tx: Tx,
    merchant_id: str,
    limit: int,
    *,
    before: UUID | None = None,
    template: str | None = None,
    journal_id: UUID | None = None,
) -> Sequence[BookedJournal]:
    """A merchant's journals, booked last first."""
    rows = await tx.execute(
        _PAGE, merchant_id=merchant_id, before=before, template=template, journal_id=journal_id, limit=limit
    )
    return [
        BookedJournal(
            row.journal_id,
            row.merchant_id,
            row.template,
            row.asset,
            row.cause_id,
            row.reference_prefix,
            row.reference,
            row.effective_at,
            row.actor_id,
            [BookedEntry(*each) for each in zip(row.codes, row.debits, row.credits, strict=True)],
        )
        for row in rows
    ]
