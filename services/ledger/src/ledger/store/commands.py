"""What is booked, as text, because it is hot: one statement per table and batch."""

from collections.abc import Iterator, Sequence
from typing import Any

from asyncpg import CheckViolationError, UniqueViolationError

from common.database import LostRace, Tx
from common.events import from_micros
from ledger.domain.audit import AuditRecord
from ledger.domain.controls import BookState
from ledger.domain.journals import Journal

# One probe of an index for each cause, whatever the planner thinks of the table. In the same round trip, what the book
# does not take of these merchants.
_STATE = """
select journal.cause_id, journal.template, '' as merchant_id, cast(null as timestamptz) as closed_until, 0 as account_id
from unnest(cast(:cause_ids as uuid[])) as given (cause_id)
cross join lateral (select cause_id, template from journals where cause_id = given.cause_id offset 0) journal
union all
select null, '', merchant_id, max(closed_until), 0 from closed_periods
where merchant_id = any(cast(:merchant_ids as text[])) group by merchant_id
union all
select null, '', merchant_id, null, account_id from account_freezes
where merchant_id = any(cast(:merchant_ids as text[])) and unfrozen_at is null
"""
_JOURNAL_COLUMNS = (
    "journal_id", "merchant_id", "template", "asset", "cause_id", "reference_prefix", "reference", "payment_id",
    "lines", "effective_at", "actor_id", "owner_id",
)  # fmt: skip
# Of journals that a person posts, or of a closed period.
_RARE_COLUMNS = ("accounted_at", "reverses", "reason")
_ENTRY_COLUMNS = ("journal_id", "line", "account_id", "debit", "credit")
# A period was closed, or an account frozen, after the look: the next try sees it.
_CONTROLS = ("period_is_open", "account_is_not_frozen")


async def book_state(tx: Tx, journals: Sequence[Journal]) -> BookState:
    """What is posted of *journals*, and what the book does not take of their merchants."""
    rows = await tx.execute(
        _STATE,
        cause_ids=list(dict.fromkeys(each.event.cause_id for each in journals)),
        merchant_ids=sorted({each.event.merchant_id for each in journals}),
    )
    posted, closed_until, frozen = set(), {}, dict[str, set[int]]()
    for row in rows:
        if row["cause_id"] is not None:
            posted.add((row["cause_id"].int, row["template"]))
        elif row["closed_until"] is not None:
            closed_until[row["merchant_id"]] = row["closed_until"]
        else:
            frozen.setdefault(row["merchant_id"], set()).add(row["account_id"])
    return BookState(posted, closed_until, {merchant: frozenset(numbers) for merchant, numbers in frozen.items()})


async def post(tx: Tx, journals: Sequence[Journal]) -> None:
    """Book *journals*, which are new and sorted by cause.

    They are added in the order given, which is the order in which two posters may wait for one another. Raises LostRace
    when another one booked the same cause, closed the period or froze an account between the look and the insert.
    """
    if not journals:
        return
    is_rare = any(each.accounted_at or each.reverses or each.reason for each in journals)
    columns = _JOURNAL_COLUMNS + _RARE_COLUMNS if is_rare else _JOURNAL_COLUMNS
    try:
        await tx.copy("journals", columns, map(_rare_journal_row if is_rare else _journal_row, journals))
        # In one statement, so that the trigger sees each journal whole.
        await tx.copy("ledger_entries", _ENTRY_COLUMNS, [row for journal in journals for row in _entry_rows(journal)])
    except UniqueViolationError as error:
        raise LostRace from error
    except CheckViolationError as error:
        if error.constraint_name in _CONTROLS:
            raise LostRace from error
        raise


def _journal_row(journal: Journal) -> tuple[Any, ...]:
    event = journal.event
    return (
        journal.journal_id, event.merchant_id, journal.template, journal.asset, event.cause_id,
        event.reference_prefix, event.reference, event.payment_id, len(journal.entries),
        from_micros(event.effective_unix_micros), event.actor_id, event.owner_id,
    )  # fmt: skip


def _rare_journal_row(journal: Journal) -> tuple[Any, ...]:
    return (*_journal_row(journal), journal.accounted_at, journal.reverses, journal.reason)


def _entry_rows(journal: Journal) -> Iterator[tuple[Any, ...]]:
    for line, entry in enumerate(journal.entries, start=1):
        yield journal.journal_id, line, entry.account, entry.debit, entry.credit


_ADD_AUDIT = """
insert into audit_logs (audit_id, merchant_id, actor_id, action, resource_type, resource_id, before_state, after_state,
                        ip_address, user_agent, trace_id, request_id, correlation_id, service, created_at)
select audit_id, merchant_id, nullif(actor_id, ''), action, resource_type, resource_id,
       cast(before_state as jsonb), cast(after_state as jsonb), nullif(ip_address, ''), nullif(user_agent, ''),
       trace_id, request_id, correlation_id, service, timestamptz 'epoch' + time_unix_micros * interval '1 microsecond'
from unnest(cast(:audit_ids as uuid[]), cast(:times as bigint[]), cast(:merchant_ids as text[]),
            cast(:actor_ids as text[]), cast(:actions as text[]), cast(:resource_types as text[]),
            cast(:resource_ids as text[]), cast(:before_states as text[]), cast(:after_states as text[]),
            cast(:ip_addresses as text[]), cast(:user_agents as text[]), cast(:trace_ids as text[]),
            cast(:request_ids as text[]), cast(:correlation_ids as text[]), cast(:services as text[]))
     as row (audit_id, time_unix_micros, merchant_id, actor_id, action, resource_type, resource_id, before_state,
             after_state, ip_address, user_agent, trace_id, request_id, correlation_id, service)
on conflict (audit_id) do nothing
"""
# Which array of the statement holds which field of the records.
_AUDIT_PARAMETERS = {
    "audit_id": "audit_ids",
    "time_unix_micros": "times",
    "merchant_id": "merchant_ids",
    "actor_id": "actor_ids",
    "action": "actions",
    "resource_type": "resource_types",
    "resource_id": "resource_ids",
    "before_state": "before_states",
    "after_state": "after_states",
    "ip_address": "ip_addresses",
    "user_agent": "user_agents",
    "trace_id": "trace_ids",
    "request_id": "request_ids",
    "correlation_id": "correlation_ids",
    "service": "services",
}
assert _AUDIT_PARAMETERS.keys() == set(AuditRecord.__struct_fields__), "every field of a record is kept"


async def add_audit(tx: Tx, records: Sequence[AuditRecord]) -> None:
    """Keep *records*, sorted by id, each once."""
    if records:
        columns = {
            parameter: [getattr(record, field) for record in records] for field, parameter in _AUDIT_PARAMETERS.items()
        }
        await tx.write("audit_logs", _ADD_AUDIT, **columns)
