"""Post journals, keep audit records, read and sum up the book."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from loguru import logger

from common import ids
from common.database import Database, Tx
from common.delivery import Timeline
from common.errors import DomainError
from ledger.domain import chart, controls, journals
from ledger.domain.audit import AuditFilter, AuditRecord
from ledger.domain.chart import AccountBalance
from ledger.domain.journals import TEMPLATES, BookedJournal, FinancialEvent, PaymentSum
from ledger.store import audit_origins, commands, queries, snapshots
from ledger.wire import messages

TIMELINE_ENTRIES_MAX = 200


async def post_journals(
    tx: Tx, events: Sequence[FinancialEvent], new_id: Callable[[], UUID] = ids.new
) -> list[DomainError | None]:
    """Book what each event causes, once per cause, or say why the book cannot take it.

    What falls into a closed period counts now, and keeps its own date.
    """
    postings = journals.journals_of_each(events, new_id)
    state = await commands.book_state(tx, postings.journals)
    if state.frozen:
        postings = controls.admitted(postings, events, state)
    await commands.post(tx, controls.new_journals(postings.journals, state, tx.clock.now()))
    return postings.refusals


async def keep_audit(tx: Tx, records: Sequence[AuditRecord]) -> None:
    """Add *records* to the audit log, each once, whatever order they come in."""
    await commands.add_audit(tx, await audit_origins.sealed(tx, sorted(records, key=_id)))


def _id(record: AuditRecord) -> int:
    return record.audit_id.int


async def take_snapshot(db: Database) -> bool:
    """Sum up the book as far as it can no longer change, unless another replica is at it or a journal is broken."""
    async with db.begin() as tx:
        if not await snapshots.claim_snapshots(tx):
            return False
        broken = await queries.broken_journals(tx)
        if broken:
            logger.error("no snapshot: {} journals are not zero or not whole", broken)
            return False
        return await snapshots.take_snapshot(tx)


async def trial_balance(db: Database, merchant_id: str | None) -> list[AccountBalance]:
    """Debits and credits of every account at one moment, of one merchant or of all."""
    async with db.begin() as tx:
        return await queries.trial_balance(tx, merchant_id)


async def list_journals(db: Database, reference: UUID, limit: int) -> list[BookedJournal]:
    """The journals of a payment (those of its grant too) or of a wallet transaction, oldest first."""
    async with db.begin() as tx:
        return await queries.journals_about(tx, reference, limit)


async def list_payment_sums(db: Database, payment_ids: Sequence[UUID]) -> list[PaymentSum]:
    """What was booked about each payment, by account."""
    async with db.begin() as tx:
        return await queries.payment_sums(tx, payment_ids)


async def list_audit(db: Database, filter: AuditFilter) -> list[AuditRecord]:
    """What was done to a resource or by an actor, newest first."""
    async with db.begin() as tx:
        return await queries.audit_records(tx, filter)


async def totals(tx: Tx) -> Mapping[str, int]:
    """Named sums of the book, for reconciliation: see the README for the names."""
    balances = await queries.trial_balance(tx)
    counts = await queries.journal_counts(tx)
    named = {
        "journals.count": sum(counts.values()),
        "entries.count": await queries.entry_count(tx),
        "journals.unbalanced": await queries.broken_journals(tx),
    }
    named |= {f"journals.{template}.count": counts.get(template, 0) for template in _TEMPLATE_NAMES}
    for balance in balances:
        named[f"ledger.{balance.asset}.{balance.account}.debit"] = balance.debit
        named[f"ledger.{balance.asset}.{balance.account}.credit"] = balance.credit
    named |= {f"ledger.{asset}.difference": value for asset, value in chart.out_of_balance(balances).items()}
    return named


async def timeline(tx: Tx, reference: str) -> Timeline:
    """The journals and the audit of a payment, a wallet transaction or a user."""
    booked = []
    if messages.is_journal_reference(reference):
        booked = await queries.journals_about(tx, messages.journal_reference(reference), TIMELINE_ENTRIES_MAX)
    records = await queries.audit_records(tx, AuditFilter(TIMELINE_ENTRIES_MAX, either=reference))
    return messages.timeline(booked, records)


_TEMPLATE_NAMES = tuple(template.name for templates in TEMPLATES.values() for template in templates)
