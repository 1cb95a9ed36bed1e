"""Post journals, keep audit records, sum up the book."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from loguru import logger

from common import ids
from common.database import Database, Tx
from common.delivery import Story
from common.errors import DomainError
from ledger import domain, store, wire
from ledger.domain import AuditRecord, Occurrence

STORY_LINES_MAX = 200


async def post_journals(
    tx: Tx, occurrences: Sequence[Occurrence], new_id: Callable[[], UUID] = ids.new
) -> list[tuple[Occurrence, DomainError]]:
    """Book what *occurrences* cause, once per cause; returns those that the book cannot take, with the reason."""
    journals, refused = domain.journals_of_each(occurrences, new_id)
    await store.post(tx, journals)
    return refused


async def keep_audit(tx: Tx, records: Sequence[AuditRecord]) -> None:
    """Add *records* to the audit log, each once, whatever order they come in."""
    await store.add_audit(tx, sorted(records, key=_id))


def _id(record: AuditRecord) -> int:
    return record.audit_id.int


async def take_snapshot(db: Database) -> bool:
    """Sum up the book as far as it can no longer change, unless another replica is at it or a journal is broken."""
    async with db.begin() as tx:
        if not await store.claim_snapshots(tx):
            return False
        broken = await store.broken_journals(tx)
        if broken:
            logger.error("no snapshot: {} journals are not zero or not whole", broken)
            return False
        return await store.take_snapshot(tx)


async def totals(tx: Tx) -> dict[str, int]:
    """Named sums of the book, for reconciliation: see the README for the names."""
    balances = await store.trial_balance(tx)
    counts = await store.journal_counts(tx)
    named = {
        "journals.count": sum(counts.values()),
        "entries.count": await store.entry_count(tx),
        "journals.unbalanced": await store.broken_journals(tx),
    }
    named |= {f"journals.{template}.count": counts.get(template, 0) for template in _TEMPLATE_NAMES}
    for balance in balances:
        named[f"ledger.{balance.asset}.{balance.account}.debit"] = balance.debit
        named[f"ledger.{balance.asset}.{balance.account}.credit"] = balance.credit
    named |= {f"ledger.{asset}.difference": value for asset, value in domain.out_of_balance(balances).items()}
    return named


async def story(tx: Tx, reference: str) -> Story:
    """The journals and the audit of a payment, a wallet transaction or a user."""
    journals = []
    if wire.is_journal_reference(reference):
        journals = await store.journals_about(tx, wire.journal_reference(reference), STORY_LINES_MAX)
    return wire.story(journals, await store.audit(tx, either=reference, limit=STORY_LINES_MAX))


_TEMPLATE_NAMES = tuple(template.name for served in domain.TEMPLATES.values() for template in served)
