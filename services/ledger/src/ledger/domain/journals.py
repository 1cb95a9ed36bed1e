"""How a financial event becomes journals.

A journal is what one event does to one asset: lines that add up to zero. Which lines serve which event is the
`TEMPLATES` table; nothing else decides where money goes in the books.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from common.errors import DomainError, InvalidArgument
from ledger.domain.chart import ACCOUNTS, CHART, CREDIT, INR, Side


class Line(Struct, frozen=True):
    """One line of a template: the account's code may hold `{gateway}`; the amount is the sum of these fields."""

    side: Side
    account: str
    amounts: tuple[str, ...]


class Template(Struct, frozen=True):
    name: str
    asset: str
    lines: tuple[Line, ...]


def _debit(account: str, *amounts: str) -> Line:
    return Line(Side.DEBIT, account, amounts)


def _credit(account: str, *amounts: str) -> Line:
    return Line(Side.CREDIT, account, amounts)


# Routing key of the event → its journals. Lines that come to zero are left out, journals without lines too.
TEMPLATES: dict[str, tuple[Template, ...]] = {
    "payment.success": (
        Template(
            "payment.success",
            INR,
            (
                # The gateway's money is booked once: here, or before as a receipt that this success now uses up.
                _debit("asset:gateway:{gateway}", "taken"),
                _debit("liability:unapplied_receipts", "applied"),
                _credit("liability:deferred_credits", "net"),
                _credit("liability:gst:cgst", "cgst"),
                _credit("liability:gst:sgst", "sgst"),
                _credit("liability:gst:igst", "igst"),
            ),
        ),
    ),
    "payment.received": (
        Template(
            "payment.received",
            INR,
            (_debit("asset:gateway:{gateway}", "received"), _credit("liability:unapplied_receipts", "received")),
        ),
    ),
    "payment.receipt.refunded": (
        Template(
            "payment.receipt.refunded",
            INR,
            (_debit("liability:unapplied_receipts", "refunded"), _credit("asset:gateway:{gateway}", "refunded")),
        ),
    ),
    "wallet.credited": (
        Template(
            "wallet.credited",
            CREDIT,
            (
                _debit("issued", "credits_paid", "credits_bonus"),
                _credit("wallets:paid", "credits_paid"),
                _credit("wallets:bonus", "credits_bonus"),
            ),
        ),
    ),
    "wallet.debited": (
        Template(
            "wallet.debited",
            CREDIT,
            (
                _debit("wallets:bonus", "credits_bonus"),
                _debit("wallets:paid", "credits_paid"),
                _credit("burned", "credits_paid", "credits_bonus"),
            ),
        ),
        # What the burnt credits still carried of their net price is earned now.
        Template(
            "wallet.debited.revenue",
            INR,
            (_debit("liability:deferred_credits", "value"), _credit("revenue:credits", "value")),
        ),
    ),
}


class FinancialEvent(Struct, frozen=True, gc=False):
    """What happened, as the ledger sees it: what it is about, and its amounts by name, in minor units or credits.

    `gc=False` here and below: many are made per batch and none can be part of a cycle, so the collector skips them.
    """

    # Its routing key, by which templates are found.
    key: str
    cause_id: UUID
    merchant_id: str
    reference_prefix: str
    reference: UUID
    # The payment that the reference goes back to, when it is not the reference itself.
    payment_id: UUID | None
    effective_unix_micros: int
    gateway: str
    currency: str
    amounts: Mapping[str, int]


class Entry(Struct, frozen=True, gc=False):
    """One line of a journal; exactly one of the two amounts is above zero."""

    account: int
    debit: int
    credit: int


class Journal(Struct, frozen=True, gc=False):
    journal_id: UUID
    template: str
    asset: str
    event: FinancialEvent
    entries: list[Entry]


class JournalUnbalanced(InvalidArgument):
    """The event's amounts do not add up, so that its journal would not be zero."""

    fix = "Correct the announcing service; then discard the dead letter and announce a corrected event."


class AmountNegative(InvalidArgument):
    """An amount in a financial event is below zero."""

    fix = "Announce what happened as an event of its own; amounts are never negative."


class AccountUnknown(InvalidArgument):
    """The chart of accounts has no account for what the event names."""

    fix = "Add the account to the chart with a migration, then replay the dead letter."


class AssetUnknown(InvalidArgument):
    """The event's currency is not the asset of its template."""

    fix = "Add accounts and a template for the currency, then replay the dead letter."


class _Posting(Struct, frozen=True):
    """A template line with its account found: `numbers` by gateway, or one number for all."""

    number: int
    numbers: Mapping[str, int] | None
    debit: bool
    amounts: tuple[str, ...]


def _compiled(line: Line, asset: str) -> _Posting:
    if line.account.endswith("{gateway}"):
        stem = line.account.removesuffix("{gateway}")
        numbers = {a.code.removeprefix(stem): a.number for a in CHART if a.code.startswith(stem) and a.asset == asset}
        return _Posting(0, numbers, line.side is Side.DEBIT, line.amounts)
    account = ACCOUNTS[line.account]
    assert account.asset == asset, f"{line.account} does not hold {asset}"
    return _Posting(account.number, None, line.side is Side.DEBIT, line.amounts)


_POSTINGS: dict[str, tuple[tuple[Template, tuple[_Posting, ...]], ...]] = {
    key: tuple((template, tuple(_compiled(line, template.asset) for line in template.lines)) for template in templates)
    for key, templates in TEMPLATES.items()
}


def journals_of(event: FinancialEvent, new_id: Callable[[], UUID]) -> list[Journal]:
    """The journals that *event* causes. Raises the errors above when the book cannot take it."""
    journals = []
    for template, postings in _POSTINGS[event.key]:
        entries = _entries(event, template, postings)
        if entries:
            journals.append(Journal(new_id(), template.name, template.asset, event, entries))
    return journals


def _entries(event: FinancialEvent, template: Template, postings: tuple[_Posting, ...]) -> list[Entry]:
    amounts, entries, balance = event.amounts, [], 0
    for posting in postings:
        amount = 0
        for name in posting.amounts:
            part = amounts[name]
            if part < 0:
                raise AmountNegative(f"{name} of {event.key} is {part}")
            amount += part
        if amount == 0:
            continue
        number = posting.number if posting.numbers is None else _by_gateway(posting.numbers, event)
        if posting.debit:
            balance += amount
            entries.append(Entry(number, amount, 0))
        else:
            balance -= amount
            entries.append(Entry(number, 0, amount))
    if balance:
        raise JournalUnbalanced(f"{template.name} is off by {balance} {template.asset}")
    if entries and template.asset != CREDIT and template.asset != event.currency:
        raise AssetUnknown(f"{template.name} is in {template.asset}, the event in {event.currency or 'nothing'}")
    return entries


def _by_gateway(numbers: Mapping[str, int], event: FinancialEvent) -> int:
    try:
        return numbers[event.gateway]
    except KeyError:
        raise AccountUnknown(f"no account for the gateway {event.gateway!r}") from None


class Postings(Struct, frozen=True):
    """What a batch of events comes to: its journals in the order of their causes, and for each event, in the order
    given, why the book cannot take it, or None."""

    journals: list[Journal]
    refusals: list[DomainError | None]


def journals_of_each(events: Sequence[FinancialEvent], new_id: Callable[[], UUID]) -> Postings:
    """The journals of a batch; an event that the book cannot take does not hold up the rest."""
    journals: list[Journal] = []
    refusals: list[DomainError | None] = [None] * len(events)
    for index in sorted(range(len(events)), key=lambda index: events[index].cause_id.int):
        try:
            journals += journals_of(events[index], new_id)
        except DomainError as error:
            refusals[index] = error
    return Postings(journals, refusals)


class BookedEntry(Struct, frozen=True):
    """A line as it stands in the book."""

    account: str
    debit: int
    credit: int


class BookedJournal(Struct, frozen=True):
    """A journal as it stands in the book."""

    journal_id: UUID
    merchant_id: str
    template: str
    asset: str
    cause_id: UUID
    reference_prefix: str
    reference: UUID
    effective_at: datetime
    entries: list[BookedEntry]
