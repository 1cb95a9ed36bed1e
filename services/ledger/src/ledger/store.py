"""The tables of the books and the audit log; the only SQL. Nothing here changes or deletes a booked row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from asyncpg import UniqueViolationError

from common.database import LostRace, Tx
from ledger.domain import AccountBalance, AuditRecord, BookedEntry, BookedJournal, Journal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# One probe of an index for each cause, whatever the planner thinks of the table.
_POSTED = """
select journal.cause_id, journal.template
from unnest(cast(:cause_ids as uuid[])) as asked (cause_id)
cross join lateral (select cause_id, template from journals where cause_id = asked.cause_id offset 0) journal
"""
_JOURNAL_COLUMNS = (
    "journal_id", "merchant_id", "template", "asset", "cause_id", "reference_prefix", "reference", "payment_id",
    "lines", "effective_at",
)  # fmt: skip
_ENTRY_COLUMNS = ("journal_id", "line", "account_id", "debit", "credit")


async def post(tx: Tx, journals: Sequence[Journal]) -> int:
    """Book *journals*, sorted by cause, each once per cause and template; says how many are new.

    They are added in the order given, which is the order in which two posters may wait for one another. Raises LostRace
    when another one booked the same cause between the look and the insert.
    """
    known = await tx.execute(_POSTED, cause_ids=list(dict.fromkeys(each.occurrence.cause_id for each in journals)))
    posted = {(cause_id.int, template) for cause_id, template in known}
    new = []
    for journal in journals:
        cause = journal.occurrence.cause_id.int, journal.template
        if cause not in posted:
            posted.add(cause)
            new.append(journal)
    if not new:
        return 0
    try:
        await tx.copy("journals", _JOURNAL_COLUMNS, map(_journal_row, new))
    except UniqueViolationError as error:
        raise LostRace from error
    # In one statement, so that the trigger sees each journal whole.
    await tx.copy("ledger_entries", _ENTRY_COLUMNS, [row for journal in new for row in _entry_rows(journal)])
    return len(new)


def _journal_row(journal: Journal) -> tuple[Any, ...]:
    occurrence = journal.occurrence
    return (
        journal.journal_id, occurrence.merchant_id, journal.template, journal.asset, occurrence.cause_id,
        occurrence.reference_prefix, occurrence.reference, occurrence.payment_id, len(journal.entries),
        _EPOCH + timedelta(microseconds=occurrence.effective_unix_micros),
    )  # fmt: skip


def _entry_rows(journal: Journal) -> Iterator[tuple[Any, ...]]:
    for line, (account, debit, credit) in enumerate(journal.entries, start=1):
        yield journal.journal_id, line, account, debit, credit


_ADD_AUDIT = """
insert into audit_logs (audit_id, merchant_id, actor_id, action, resource_type, resource_id, before_state, after_state,
                        ip_address, user_agent, trace_id, request_id, service, created_at)
select audit_id, merchant_id, nullif(actor_id, ''), action, resource_type, resource_id,
       cast(before_state as jsonb), cast(after_state as jsonb), nullif(ip_address, ''), nullif(user_agent, ''),
       trace_id, request_id, service, timestamptz 'epoch' + time_unix_micros * interval '1 microsecond'
from unnest(cast(:audit_ids as uuid[]), cast(:times as bigint[]), cast(:merchant_ids as text[]),
            cast(:actor_ids as text[]), cast(:actions as text[]), cast(:resource_types as text[]),
            cast(:resource_ids as text[]), cast(:before_states as text[]), cast(:after_states as text[]),
            cast(:ip_addresses as text[]), cast(:user_agents as text[]), cast(:trace_ids as text[]),
            cast(:request_ids as text[]), cast(:services as text[]))
     as row (audit_id, time_unix_micros, merchant_id, actor_id, action, resource_type, resource_id, before_state,
             after_state, ip_address, user_agent, trace_id, request_id, service)
on conflict (audit_id) do nothing
"""
_AUDIT_COLUMNS = (
    "audit_ids",
    "times",
    "merchant_ids",
    "actor_ids",
    "actions",
    "resource_types",
    "resource_ids",
    "before_states",
    "after_states",
    "ip_addresses",
    "user_agents",
    "trace_ids",
    "request_ids",
    "services",
)


async def add_audit(tx: Tx, records: Sequence[AuditRecord]) -> None:
    """Keep *records*, sorted by id, each once."""
    if records:
        await tx.write(_ADD_AUDIT, **dict(zip(_AUDIT_COLUMNS, zip(*records, strict=True), strict=True)))


# Horizons above the oldest running transaction are from before a restore into a younger cluster: not to be trusted.
_HORIZON = """
select max(horizon) from balance_snapshots where horizon <= pg_snapshot_xmin(pg_current_snapshot())
"""

# Only the tail is read, by its journals: an entry and its journal are of one transaction. Each journal probes for its
# entries (`offset 0` keeps the sub-select what it is): joined otherwise, the whole book would be read for every tail.
_WITH_ENTRIES = """journals cross join lateral (
        select account_id, debit, credit from ledger_entries where journal_id = journals.journal_id offset 0
    ) entry"""
_OF_MERCHANT = "merchant_id = :merchant_id"
_TRIAL_BALANCE = f"""
with snapshot as (select coalesce(({_HORIZON}), cast('0' as xid8)) as horizon),
sums as (
    select account_id, debit, credit from balance_snapshots
    where horizon = (select horizon from snapshot)
      and (cast(:merchant_id as text) is null or merchant_id = :merchant_id)
    union all
    select account_id, sum(debit), sum(credit) from {_WITH_ENTRIES}
    where xid >= (select horizon from snapshot) and {{merchant}}
    group by account_id
)
select code, asset, cast(coalesce(sum(debit), 0) as bigint) as debit, cast(coalesce(sum(credit), 0) as bigint) as credit
from accounts left join sums using (account_id)
group by account_id, code, asset
order by account_id
"""


async def trial_balance(tx: Tx, merchant_id: str | None = None) -> list[AccountBalance]:
    """Debits and credits of every account at one moment, of one merchant or of all."""
    if merchant_id is None:
        rows = await tx.execute(_TRIAL_BALANCE.format(merchant="true"), merchant_id=None)
    else:
        rows = await tx.execute(_TRIAL_BALANCE.format(merchant=_OF_MERCHANT), merchant_id=merchant_id)
    return [AccountBalance._make(row) for row in rows]


_JOURNAL_COUNTS = f"""
with snapshot as (select coalesce(({_HORIZON}), cast('0' as xid8)) as horizon),
counts as (
    select template, journals from journal_snapshots where horizon = (select horizon from snapshot)
    union all
    select template, count(*) from journals where xid >= (select horizon from snapshot) group by template
)
select template, cast(sum(journals) as bigint) as journals from counts group by template order by template
"""

_ENTRY_COUNT = f"""
with snapshot as (select coalesce(({_HORIZON}), cast('0' as xid8)) as horizon)
select cast((select coalesce(sum(entries), 0) from balance_snapshots where horizon = (select horizon from snapshot))
     + (select count(*) from {_WITH_ENTRIES} where xid >= (select horizon from snapshot)) as bigint)
"""

# A snapshot is only taken over journals that are right, so that a wrong one stays in the tail and stays visible.
#
# Ids are in the order of time, so the tail's entries are one range of their index, from its first journal on; entries
# of others in between add up to no lines. Not a join: there is no way to go wrong about in a union.
_BROKEN = f"""
with snapshot as (select coalesce(({_HORIZON}), cast('0' as xid8)) as horizon),
tail as materialized (
    select journal_id, lines from journals where xid >= (select horizon from snapshot)
)
select count(*) from (
    select from (
        select journal_id, lines, 0 as entries, 0 as difference from tail
        union all
        select journal_id, 0, 1, debit - credit from ledger_entries
        where journal_id >= (select journal_id from tail order by journal_id limit 1)
    ) row
    group by journal_id
    having sum(lines) > 0 and (sum(entries) <> sum(lines) or sum(difference) <> 0)
) broken
"""


async def journal_counts(tx: Tx) -> dict[str, int]:
    """How many journals there are of each template."""
    return {row.template: row.journals for row in await tx.execute(_JOURNAL_COUNTS)}


async def entry_count(tx: Tx) -> int:
    return int((await tx.execute(_ENTRY_COUNT)).scalar_one())


async def broken_journals(tx: Tx) -> int:
    """Journals that are not zero or not whole; anything but 0 means that somebody went around the triggers."""
    return int((await tx.execute(_BROKEN)).scalar_one())


async def claim_snapshots(tx: Tx) -> bool:
    """Whether *tx* is the only one that takes a snapshot now."""
    claimed = await tx.execute("select pg_try_advisory_xact_lock(hashtextextended('ledger.snapshots', 0))")
    return bool(claimed.scalar_one())


# Every transaction below the horizon is over: what it booked is visible, and no row can join it later.
_CUT = f"""
select cast(pg_snapshot_xmin(pg_current_snapshot()) as text) as horizon,
       cast(coalesce(({_HORIZON}), cast('0' as xid8)) as text) as last
"""

_SNAPSHOT_BALANCES = f"""
insert into balance_snapshots (horizon, merchant_id, account_id, debit, credit, entries)
select cast(cast(:horizon as text) as xid8), merchant_id, account_id, sum(debit), sum(credit), sum(entries)
from (
    select merchant_id, account_id, debit, credit, entries from balance_snapshots
    where horizon = cast(cast(:last as text) as xid8)
    union all
    select merchant_id, account_id, sum(debit), sum(credit), count(*)
    from {_WITH_ENTRIES}
    where xid >= cast(cast(:last as text) as xid8) and xid < cast(cast(:horizon as text) as xid8)
    group by merchant_id, account_id
) sums
group by merchant_id, account_id
"""

_SNAPSHOT_JOURNALS = """
insert into journal_snapshots (horizon, merchant_id, template, journals)
select cast(cast(:horizon as text) as xid8), merchant_id, template, sum(journals)
from (
    select merchant_id, template, journals from journal_snapshots
    where horizon = cast(cast(:last as text) as xid8)
    union all
    select merchant_id, template, count(*) from journals
    where xid >= cast(cast(:last as text) as xid8) and xid < cast(cast(:horizon as text) as xid8)
    group by merchant_id, template
) counts
group by merchant_id, template
"""

_FORGET = "delete from {table} where horizon <> cast(cast(:horizon as text) as xid8)"


async def take_snapshot(tx: Tx) -> bool:
    """Sum up the book as far as it can no longer change; False when there is nothing to cut since the last time."""
    cut = (await tx.execute(_CUT)).one()
    if int(cut.horizon) <= int(cut.last):
        return False
    for statement in (_SNAPSHOT_BALANCES, _SNAPSHOT_JOURNALS):
        await tx.execute(statement, horizon=cut.horizon, last=cut.last)
    # What is below is used up, what is above was taken in another cluster's time and must not come to life later.
    for table in ("balance_snapshots", "journal_snapshots"):
        await tx.execute(_FORGET.format(table=table), horizon=cut.horizon)
    return True


_JOURNALS_OF = """
select journal_id, merchant_id, template, journal.asset, cause_id, reference_prefix, reference, effective_at,
       array_agg(code order by line) as codes, array_agg(debit order by line) as debits,
       array_agg(credit order by line) as credits
from (
    select * from journals
    where reference = :reference and reference <> cause_id or cause_id = :reference and reference = cause_id
        or payment_id = :reference
    order by effective_at, journal_id limit :limit
) journal
join ledger_entries using (journal_id)
join accounts using (account_id)
group by journal_id, merchant_id, template, journal.asset, cause_id, reference_prefix, reference, effective_at
order by effective_at, journal_id
"""


async def journals_about(tx: Tx, reference: UUID, limit: int) -> list[BookedJournal]:
    """The journals of a payment (those of its grant too) or of a wallet transaction, oldest first."""
    rows = await tx.execute(_JOURNALS_OF, reference=reference, limit=limit)
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
            [BookedEntry._make(line) for line in zip(row.codes, row.debits, row.credits, strict=True)],
        )
        for row in rows
    ]


_AUDIT = """
select audit_id, cast(extract(epoch from created_at) * 1000000 as bigint), merchant_id, coalesce(actor_id, ''), action,
       resource_type, resource_id, cast(before_state as text), cast(after_state as text), coalesce(ip_address, ''),
       coalesce(user_agent, ''), trace_id, request_id, service
from audit_logs
where (cast(:resource_id as text) is null or resource_id = :resource_id)
  and (cast(:actor_id as text) is null or actor_id = :actor_id)
  and (cast(:either as text) is null or resource_id = :either or actor_id = :either)
order by audit_id desc
limit :limit
"""


async def audit(
    tx: Tx, *, resource_id: str | None = None, actor_id: str | None = None, either: str | None = None, limit: int
) -> list[AuditRecord]:
    """What was done to a resource, by an actor, or by or to *either*; newest first."""
    rows = await tx.execute(_AUDIT, resource_id=resource_id, actor_id=actor_id, either=either, limit=limit)
    return [AuditRecord._make(row) for row in rows]
