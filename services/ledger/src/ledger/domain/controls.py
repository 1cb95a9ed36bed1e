"""What the book takes: closed periods take nothing, frozen accounts nothing until they are unfrozen. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from common.errors import DomainError, FailedPrecondition, InvalidArgument, NotFound
from common.events import from_micros
from ledger.domain.chart import CHART
from ledger.domain.journals import FinancialEvent, Journal, Postings

_CODES = {account.number: account.code for account in CHART}


class AccountFrozen(FailedPrecondition):
    """An account that the journal needs is frozen."""

    fix = "Unfreeze the account; what waits is posted by the retry schedule, dead letters by a replay."


class AccountNotFrozen(FailedPrecondition):
    """The account is not frozen."""


class AccountNotFound(NotFound):
    """The chart has no such account."""

    fix = "Use an account that `GET /api/v1/ledger/accounts` lists."


class PeriodEndInvalid(InvalidArgument):
    """The end of a period lies in the future, or before that of the period closed last."""

    fix = "Close up to a moment that is over, later than the end of the last closed period."


class ClosedPeriod(Struct, frozen=True):
    """Everything that a merchant accounts for before *closed_until* can no longer change."""

    merchant_id: str
    closed_until: datetime
    closed_at: datetime
    closed_by: str
    reason: str


class Freeze(Struct, frozen=True):
    """An account of a merchant that takes no entry, or took none until it was unfrozen."""

    freeze_id: UUID
    merchant_id: str
    account: str
    frozen_at: datetime
    frozen_by: str
    reason: str
    unfrozen_at: datetime | None = None
    unfrozen_by: str | None = None
    unfreeze_reason: str | None = None


class BookState(Struct, frozen=True):
    """What the book knows of a batch: causes that are posted; by merchant, the end of the closed periods, and the
    frozen accounts."""

    posted: set[tuple[int, str]]
    closed_until: Mapping[str, datetime]
    frozen: Mapping[str, frozenset[int]]


def check_period_end(last: ClosedPeriod | None, until: datetime, now: datetime) -> None:
    """Raises PeriodEndInvalid."""
    if until > now or (last is not None and until <= last.closed_until):
        raise PeriodEndInvalid("a period is closed up to a moment that is over, and later than the last one")


def new_journals(journals: Sequence[Journal], state: BookState, now: datetime) -> list[Journal]:
    """Those that are not posted yet, in their order; what falls into a closed period counts *now*."""
    posted = set(state.posted)
    new = []
    for journal in journals:
        cause = journal.event.cause_id.int, journal.template
        if cause not in posted:
            posted.add(cause)
            new.append(_in_open_period(journal, state, now) if state.closed_until else journal)
    return new


def _in_open_period(journal: Journal, state: BookState, now: datetime) -> Journal:
    until = state.closed_until.get(journal.event.merchant_id)
    if until is None or from_micros(journal.event.effective_unix_micros) >= until:
        return journal
    return replace(journal, accounted_at=now)


def admitted(postings: Postings, events: Sequence[FinancialEvent], state: BookState) -> Postings:
    """*postings* without the events that need a frozen account; an event is posted whole or not at all."""
    refused: dict[int, AccountFrozen] = {}
    for journal in postings.journals:
        cause = journal.event.cause_id.int
        frozen = state.frozen.get(journal.event.merchant_id, frozenset())
        number = next((entry.account for entry in journal.entries if entry.account in frozen), None)
        if number is not None and (cause, journal.template) not in state.posted:
            refused[cause] = AccountFrozen(f"{_CODES[number]} is frozen")
    if not refused:
        return postings
    refusals: list[DomainError | None] = [
        refusal or refused.get(event.cause_id.int) for event, refusal in zip(events, postings.refusals, strict=True)
    ]
    return Postings([each for each in postings.journals if each.event.cause_id.int not in refused], refusals)
