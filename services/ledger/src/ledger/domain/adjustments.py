"""Journals that a person posts: those that take another one back, and those of their own making. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from msgspec import Struct

from common.errors import FailedPrecondition, InvalidArgument, KeyReused, NotFound
from common.events import micros
from ledger.domain.chart import ACCOUNTS
from ledger.domain.journals import AccountUnknown, Entry, FinancialEvent, Journal, JournalUnbalanced

REVERSAL, MANUAL = "journal.reversal", "journal.manual"
JOURNALS_MAX = 100
LINES_MAX = 50


class JournalNotFound(NotFound):
    """There is no such journal."""


class JournalReversed(FailedPrecondition):
    """The journal was taken back already, or takes another one back itself."""

    fix = "Post a manual journal when a reversal was wrong."


class JournalDateInvalid(InvalidArgument):
    """A manual journal is dated in the future."""


class EventUnknown(InvalidArgument):
    """No template books an event of this name."""

    fix = "Use a name of the table in the ledger's README."


class BatchKeyReused(KeyReused):
    """The key was used for other journals."""

    fix = "Use a new key for other journals; the same key repeats the same ones."


class ManualLine(Struct, frozen=True):
    """One line: an account of the chart, and exactly one of the two amounts above zero."""

    account: str
    debit: int = 0
    credit: int = 0


class ManualJournal(Struct, frozen=True):
    """A journal as a person writes it."""

    # None: when it is proposed.
    effective_at: datetime | None
    lines: list[ManualLine]
    reason: str
    owner_id: str = ""


class ManualBatch(Struct, frozen=True):
    """Journals that one person proposes under a key, and another has posted, all or none."""

    batch_id: UUID
    merchant_id: str
    key: str
    journals: list[ManualJournal]
    proposed_by: str
    reason: str
    proposed_at: datetime


class BatchSummary(Struct, frozen=True, rename="camel"):
    """What the decider sees of a batch at a glance: how many journals, and the sum of their debits by asset."""

    batch_id: str
    journals: int
    debits: dict[str, int]


def batch_id_of(merchant_id: str, key: str) -> UUID:
    """The same for the same key of a merchant: what is posted under it is posted once."""
    return uuid5(NAMESPACE_URL, f"commdesk:ledger:manual:{merchant_id}:{key}")


def manual_journals(batch: ManualBatch, new_id: Callable[[], UUID]) -> list[Journal]:
    """The journals of *batch*, sorted by cause. Raises JournalUnbalanced, AccountUnknown, JournalDateInvalid."""
    journals = [_manual(batch, index, journal, new_id) for index, journal in enumerate(batch.journals)]
    return sorted(journals, key=lambda journal: journal.event.cause_id.int)


def _manual(batch: ManualBatch, index: int, journal: ManualJournal, new_id: Callable[[], UUID]) -> Journal:
    effective_at = journal.effective_at or batch.proposed_at
    if effective_at > batch.proposed_at:
        raise JournalDateInvalid(f"journal {index + 1} is dated in the future")
    entries, assets = [], set()
    for line in journal.lines:
        account = ACCOUNTS.get(line.account)
        if account is None:
            raise AccountUnknown(f"journal {index + 1}: no account {line.account}")
        if (line.debit > 0) == (line.credit > 0) or min(line.debit, line.credit) < 0:
            raise JournalUnbalanced(f"journal {index + 1}: a line has exactly one side above zero")
        assets.add(account.asset)
        entries.append(Entry(account.number, line.debit, line.credit))
    if len(assets) != 1 or sum(entry.debit - entry.credit for entry in entries) != 0:
        raise JournalUnbalanced(f"journal {index + 1} does not come to zero in one asset")
    [asset] = assets
    event = FinancialEvent(
        MANUAL,
        uuid5(batch.batch_id, str(index)),
        batch.merchant_id,
        "bat",
        batch.batch_id,
        None,
        micros(effective_at),
        "",
        asset,
        {},
        batch.proposed_by,
        journal.owner_id,
    )
    return Journal(new_id(), MANUAL, asset, event, entries, reason=journal.reason)


class Original(Struct, frozen=True):
    """A journal in the book that is to be taken back."""

    journal_id: UUID
    merchant_id: str
    asset: str
    reference_prefix: str
    reference: UUID
    payment_id: UUID | None
    owner_id: str
    entries: Sequence[Entry]
    is_reversed: bool
    is_reversal: bool


def reversal(original: Original, actor_id: str, reason: str, now: datetime, new_id: Callable[[], UUID]) -> Journal:
    """The journal that takes *original* back: its lines on the other sides, now. Raises JournalReversed."""
    if original.is_reversed or original.is_reversal:
        raise JournalReversed("it was taken back already, or takes another one back")
    event = FinancialEvent(
        REVERSAL,
        original.journal_id,
        original.merchant_id,
        original.reference_prefix,
        original.reference,
        original.payment_id,
        micros(now),
        "",
        original.asset,
        {},
        actor_id,
        original.owner_id,
    )
    entries = [Entry(entry.account, entry.credit, entry.debit) for entry in original.entries]
    return Journal(new_id(), REVERSAL, original.asset, event, entries, reverses=original.journal_id, reason=reason)
