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
    """One line of a template: the account's code may hold `{gateway}`; the amount is the sum of these fields.

    The amount of a signed line may be below zero: it is then booked on the other side.
    """

    side: Side
    account: str
    amounts: tuple[str, ...]
    is_signed: bool = False


class Template(Struct, frozen=True):
    name: str
    asset: str
    lines: tuple[Line, ...]


def _debit(account: str, *amounts: str, signed: bool = False) -> Line:
    return Line(Side.DEBIT, account, amounts, signed)


def _credit(account: str, *amounts: str, signed: bool = False) -> Line:
    return Line(Side.CREDIT, account, amounts, signed)


def _reversed(template: Template, name: str) -> Template:
    """The same lines on their other sides."""
    other = {Side.DEBIT: Side.CREDIT, Side.CREDIT: Side.DEBIT}
    lines = tuple(Line(other[line.side], line.account, line.amounts, line.is_signed) for line in template.lines)
    return Template(name, template.asset, lines)


# Money that went back. Of its net price, what the held credits still carried was deferred, and the rest was earned:
# that is taken from revenue, unless the merchant bears it. It may be a paisa below zero: the payment and its lots
# are divided apart, each to the paisa.
_REFUNDED = Template(
    "payment.refunded",
    INR,
    (
        _debit("liability:deferred_credits", "held"),
        _debit("revenue:credits", "earned", signed=True),
        _debit("expense:clawback_absorbed", "absorbed", signed=True),
        _debit("liability:gst:cgst", "cgst"),
        _debit("liability:gst:sgst", "sgst"),
        _debit("liability:gst:igst", "igst"),
        _credit("asset:gateway:{gateway}", "refunded"),
    ),
)
_DISPUTED = Template(
    "payment.disputed", INR, (_debit("asset:disputed", "disputed"), _credit("asset:gateway:{gateway}", "disputed"))
)
_LOCKED = Template(
    "wallet.locked",
    CREDIT,
    (
        _debit("wallets:paid", "credits_paid"),
        _debit("wallets:bonus", "credits_bonus"),
        _credit("wallets:locked", "credits_paid", "credits_bonus"),
    ),
)

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
    "payment.refunded": (_REFUNDED,),
    "refund.reversed": (_reversed(_REFUNDED, "refund.reversed"),),
    "payment.disputed": (_DISPUTED,),
    "payment.dispute.won": (_reversed(_DISPUTED, "payment.dispute.won"),),
    "payment.dispute.lost": (
        Template(
            "payment.dispute.lost",
            INR,
            (
                _debit("liability:deferred_credits", "held"),
                _debit("expense:chargeback", "earned", signed=True),
                _debit("liability:gst:cgst", "cgst"),
                _debit("liability:gst:sgst", "sgst"),
                _debit("liability:gst:igst", "igst"),
                _credit("asset:disputed", "disputed"),
            ),
        ),
        Template(
            "payment.dispute.fee", INR, (_debit("expense:chargeback", "fee"), _credit("asset:gateway:{gateway}", "fee"))
        ),
    ),
    # What changed since the settlement was booked last: each amount may be below zero.
    "settlement.imported": (
        Template(
            "settlement.imported",
            INR,
            (
                _debit("asset:bank", "net", signed=True),
                _debit("expense:gateway_fee", "fee", signed=True),
                _debit("asset:gst_input", "fee_tax", signed=True),
                _debit("asset:settlement_suspense", "adjustment", signed=True),
                _credit("asset:gateway:{gateway}", "gross", signed=True),
            ),
        ),
    ),
    "wallet.locked": (_LOCKED,),
    "wallet.released": (_reversed(_LOCKED, "wallet.released"),),
    # The INR side of it is that of the refund or the dispute.
    "wallet.reversed": (
        Template(
            "wallet.reversed",
            CREDIT,
            (
                _debit("wallets:locked", "credits_paid", "credits_bonus"),
                _debit("debts", "debt"),
                _credit("issued", "credits_paid", "credits_bonus", "debt"),
            ),
        ),
    ),
    "wallet.debt.settled": (
        Template(
            "wallet.debt.settled",
            CREDIT,
            (
                _debit("wallets:paid", "credits_paid"),
                _debit("wallets:bonus", "credits_bonus"),
                _debit("issued", "forgiven"),
                _credit("debts", "credits_paid", "credits_bonus", "forgiven"),
            ),
        ),
        # What the credits carried that paid the debt is earned now, in place of those that were spent first.
        Template(
            "wallet.debt.settled.revenue",
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
    # Who acted: a person's account, an operator, or the service that decided by itself. A journal is the audit record
    # of its movement.
    actor_id: str = ""
    # Whose wallet or payment it is about.
    owner_id: str = ""


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
    # When it counts, if its own date is in a closed period.
    accounted_at: datetime | None = None
    # The journal that this one takes back, and why a person posted it.
    reverses: UUID | None = None
    reason: str = ""


class JournalUnbalanced(InvalidArgument):
    """The event's amounts do not add up, so that its journal would not be zero."""

    fix = "Correct the announcing service; then discard the dead letter and announce a corrected event."


class AmountNegative(InvalidArgument):
    """An amount in a financial event is below zero."""

    fix = "Announce what happened as an event of its own: only the lines marked as signed take a negative amount."


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
    is_signed: bool


def _compiled(line: Line, asset: str) -> _Posting:
    if line.account.endswith("{gateway}"):
        stem = line.account.removesuffix("{gateway}")
        numbers = {a.code.removeprefix(stem): a.number for a in CHART if a.code.startswith(stem) and a.asset == asset}
        return _Posting(0, numbers, line.side is Side.DEBIT, line.amounts, line.is_signed)
    account = ACCOUNTS[line.account]
    assert account.asset == asset, f"{line.account} does not hold {asset}"
    return _Posting(account.number, None, line.side is Side.DEBIT, line.amounts, line.is_signed)


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
            if part < 0 and not posting.is_signed:
                raise AmountNegative(f"{name} of {event.key} is {part}")
            amount += part
        if amount == 0:
            continue
        number = posting.number if posting.numbers is None else _by_gateway(posting.numbers, event)
        debit = amount if posting.debit else -amount
        balance += debit
        entries.append(Entry(number, debit, 0) if debit > 0 else Entry(number, 0, -debit))
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
    actor_id: str
    entries: list[BookedEntry]


class PaymentSum(Struct, frozen=True):
    """All entries of one payment on one account: of its own journals and of those that go back to it."""

    payment_id: UUID
    account: str
    asset: str
    debit: int
    credit: int
