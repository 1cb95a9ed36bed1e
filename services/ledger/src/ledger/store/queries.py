"""What is read: balances, counts, journals and the audit log."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Text, cast, or_, select

from common import statements
from common.database import Row, Tx
from common.events import micros
from ledger.domain.audit import AuditFilter, AuditRecord
from ledger.domain.chart import AccountBalance
from ledger.domain.journals import BookedEntry, BookedJournal, PaymentSum
from ledger.store import audit_origins
from ledger.store.tables import audit_logs

# Horizons above the oldest running transaction are from before a restore into a younger cluster: not to be trusted.
HORIZON = """
select max(horizon) from balance_snapshots where horizon <= pg_snapshot_xmin(pg_current_snapshot())
"""

# Only the tail is read, by its journals: an entry and its journal are of one transaction. Each journal probes for its
# entries (`offset 0` keeps the sub-select what it is): joined otherwise, the whole book would be read for every tail.
WITH_ENTRIES = """journals cross join lateral (
        select account_id, debit, credit from ledger_entries where journal_id = journals.journal_id offset 0
    ) entry"""
_OF_MERCHANT = "merchant_id = :merchant_id"
_TRIAL_BALANCE = f"""
with snapshot as (select coalesce(({HORIZON}), cast('0' as xid8)) as horizon),
sums as (
    select account_id, debit, credit from balance_snapshots
    where horizon = (select horizon from snapshot)
      and (cast(:merchant_id as text) is null or merchant_id = :merchant_id)
    union all
    select account_id, sum(debit), sum(credit) from {WITH_ENTRIES}
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
    return [AccountBalance(row["code"], row["asset"], row["debit"], row["credit"]) for row in rows]


_JOURNAL_COUNTS = f"""
with snapshot as (select coalesce(({HORIZON}), cast('0' as xid8)) as horizon),
counts as (
    select template, journals from journal_snapshots where horizon = (select horizon from snapshot)
    union all
    select template, count(*) from journals where xid >= (select horizon from snapshot) group by template
)
select template, cast(sum(journals) as bigint) as journals from counts group by template order by template
"""

_ENTRY_COUNT = f"""
with snapshot as (select coalesce(({HORIZON}), cast('0' as xid8)) as horizon)
select cast((select coalesce(sum(entries), 0) from balance_snapshots where horizon = (select horizon from snapshot))
     + (select count(*) from {WITH_ENTRIES} where xid >= (select horizon from snapshot)) as bigint)
"""

# A snapshot is only taken over journals that are right, so that a wrong one stays in the tail and stays visible.
#
# Ids are in the order of time, so the tail's entries are one range of their index, from its first journal on; entries
# of others in between add up to no lines. Not a join: there is no way to go wrong about in a union.
_BROKEN = f"""
with snapshot as (select coalesce(({HORIZON}), cast('0' as xid8)) as horizon),
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
    return {row["template"]: row["journals"] for row in await tx.execute(_JOURNAL_COUNTS)}


async def entry_count(tx: Tx) -> int:
    return int((await tx.execute(_ENTRY_COUNT)).scalar_one())


async def broken_journals(tx: Tx) -> int:
    """Journals that are not zero or not whole; anything but 0 means that somebody went around the triggers."""
    return int((await tx.execute(_BROKEN)).scalar_one())


_JOURNALS_OF = """
select journal_id, merchant_id, template, journal.asset, cause_id, reference_prefix, reference, effective_at, actor_id,
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
group by journal_id, merchant_id, template, journal.asset, cause_id, reference_prefix, reference, effective_at,
         actor_id
order by effective_at, journal_id
"""

# A probe of an index for each payment, its own journals and those that go back to it, and for the entries of each.
_PAYMENT_SUMS = """
select payment.payment_id, code, asset, cast(sum(debit) as bigint) as debit, cast(sum(credit) as bigint) as credit
from unnest(cast(:payment_ids as uuid[])) as payment (payment_id)
cross join lateral (
    select journal_id from journals where reference = payment.payment_id and reference <> cause_id
    union all select journal_id from journals where payment_id = payment.payment_id offset 0
) journal
cross join lateral (
    select account_id, debit, credit from ledger_entries where journal_id = journal.journal_id offset 0
) entry
join accounts using (account_id)
group by payment.payment_id, account_id, code, asset
order by payment.payment_id, account_id
"""


async def payment_sums(tx: Tx, payment_ids: Sequence[UUID]) -> list[PaymentSum]:
    """What was booked about each payment, by account; nothing for a payment without a journal."""
    rows = await tx.execute(_PAYMENT_SUMS, payment_ids=sorted(set(payment_ids)))
    return [PaymentSum(row["payment_id"], row["code"], row["asset"], row["debit"], row["credit"]) for row in rows]


async def journals_about(tx: Tx, reference: UUID, limit: int) -> list[BookedJournal]:
    """The journals of a payment (those of its grant too) or of a wallet transaction, oldest first."""
    rows = await tx.execute(_JOURNALS_OF, reference=reference, limit=limit)
    return [_booked_journal(row) for row in rows]


def _booked_journal(row: Row) -> BookedJournal:
    lines = zip(row["codes"], row["debits"], row["credits"], strict=True)
    return BookedJournal(
        row["journal_id"],
        row["merchant_id"],
        row["template"],
        row["asset"],
        row["cause_id"],
        row["reference_prefix"],
        row["reference"],
        row["effective_at"],
        row["actor_id"],
        [BookedEntry(account, debit, credit) for account, debit, credit in lines],
    )


async def audit_records(tx: Tx, filter: AuditFilter) -> list[AuditRecord]:
    """What was done to a resource, by an actor, or by or to either; newest first."""
    logs = audit_logs.c
    statement = select(
        logs.audit_id, logs.created_at, logs.merchant_id, logs.actor_id, logs.action, logs.resource_type,
        logs.resource_id, cast(logs.before_state, Text).label("before_text"),
        cast(logs.after_state, Text).label("after_text"), logs.ip_address, logs.user_agent, logs.trace_id,
        logs.request_id, logs.correlation_id, logs.service,
    ).order_by(logs.audit_id.desc()).limit(filter.limit)  # fmt: skip
    if filter.resource_id:
        statement = statement.where(logs.resource_id == filter.resource_id)
    if filter.actor_id:
        statement = statement.where(logs.actor_id == filter.actor_id)
    for column, value in ((logs.merchant_id, filter.merchant_id), (logs.action, filter.action)):
        if value:
            statement = statement.where(column == value)
    if filter.since:
        statement = statement.where(logs.created_at >= filter.since)
    if filter.until:
        statement = statement.where(logs.created_at < filter.until)
    if filter.before:
        statement = statement.where(logs.audit_id < filter.before)
    if filter.either:
        statement = statement.where(or_(logs.resource_id == filter.either, logs.actor_id == filter.either))
    return await audit_origins.opened(tx, [_audit_record(row) for row in await statements.run(tx, statement)])


def _audit_record(row: Row) -> AuditRecord:
    return AuditRecord(
        row["audit_id"],
        micros(row["created_at"]),
        row["merchant_id"],
        row["actor_id"] or "",
        row["action"],
        row["resource_type"],
        row["resource_id"],
        row["before_text"],
        row["after_text"],
        row["ip_address"] or "",
        row["user_agent"] or "",
        row["trace_id"],
        row["request_id"],
        row["correlation_id"],
        row["service"],
    )
