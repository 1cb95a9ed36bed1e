"""How a run of matching goes on: windows of changes, and what is kept of a verdict."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from common import ids
from reconciler.domain.differences import HEALED_BY_SYNC, Verdict
from reconciler.domain.payment_sides import settled_at
from reconciler.domain.records import PaymentFacts, PaymentRecord, Settlement, SettlementFacts, day_in_india
from reconciler.domain.runs import Case
from reconciler.domain.settlement_rules import bank_line_of

# A case about a payment that payment can settle itself is announced to it for so long; then a person has to look.
HEAL_FOR: Final = timedelta(days=1)


class Feed(StrEnum):
    """What matching reads by the time of change."""

    SETTLEMENTS = "SETTLEMENTS"
    REFUNDS = "REFUNDS"
    PAYMENTS = "PAYMENTS"


class Window(Struct, frozen=True):
    """Everything that changed before *changed_until* has been judged; the window after it is read up to *page*."""

    changed_until: datetime
    window_until: datetime | None = None
    page: str = ""


class JudgedPayment(Struct, frozen=True):
    record: PaymentRecord
    paid_on: date | None
    settled_at: datetime | None
    recheck_at: datetime | None


class JudgedSettlement(Struct, frozen=True):
    settlement: Settlement
    bank_line_id: UUID | None
    recheck_at: datetime | None


def next_window(window: Window | None, first: datetime, now: datetime) -> Window:
    """The window to read now: the one at work if a run ended early, otherwise all since the last. *first* is where a
    feed begins."""
    if window is None:
        window = Window(first)
    if window.window_until is not None:
        return window
    return Window(window.changed_until, max(now, window.changed_until))


def window_read(window: Window, overlap: timedelta) -> Window:
    """The window once its last page is judged. The next reaches back by *overlap*: a change is committed later than
    its time says."""
    assert window.window_until is not None
    return Window(max(window.changed_until, window.window_until - overlap))


def judged_payment(facts: PaymentFacts, verdict: Verdict, now: datetime) -> JudgedPayment:
    """What is kept of a verdict. Whatever has a difference is judged again in every run."""
    record = facts.record
    return JudgedPayment(
        record,
        day_in_india(record.paid_since) if record.is_paid else None,
        settled_at(facts),
        now if verdict.findings else verdict.recheck_at,
    )


def judged_settlement(facts: SettlementFacts, verdict: Verdict, now: datetime) -> JudgedSettlement:
    line = bank_line_of(facts.settlement, facts.lines)
    return JudgedSettlement(
        facts.settlement,
        ids.decode("bnk", line.line_id) if line is not None else None,
        now if verdict.findings else verdict.recheck_at,
    )


def to_heal(cases: Sequence[Case], now: datetime) -> list[Case]:
    """Those that payment settles when it is asked to look the order up."""
    kinds = {str(kind) for kind in HEALED_BY_SYNC}
    return [case for case in cases if case.kind in kinds and now - case.opened_at < HEAL_FOR]
