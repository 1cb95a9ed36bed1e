"""What must agree, when a difference counts, what a lost delivery is. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple
from uuid import UUID

from common.errors import Conflict
from common.topology import Contract


class Scope(StrEnum):
    DELIVERIES = "DELIVERIES"
    ALL = "ALL"


class RunStatus(StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    # Some services did not answer: what they would have said is not known.
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"


class CaseStatus(StrEnum):
    OPEN = "OPEN"
    RESOLVED = "RESOLVED"


class RunInProgress(Conflict):
    """Another run is at work; there is one at a time."""

    fix = "Wait for the run that is at work, then start another if it is still needed."


# ── Books ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Term(NamedTuple):
    """A service's total, or all whose names match when *name* holds a `*`; *sign* is 1 or -1."""

    service: str
    name: str
    sign: int = 1


class Check(NamedTuple):
    """Two sums that must be the same."""

    kind: str
    reference: str
    left: tuple[Term, ...]
    right: tuple[Term, ...]


# A payment that was once paid is in one of these states.
_PAID = ("success", "settled", "partially_refunded", "refunded", "disputed")


def _paid(total: str) -> tuple[Term, ...]:
    return tuple(Term("payment", f"payments.{status}.{total}") for status in _PAID)


def _balance(account: str, normal: str = "credit") -> tuple[Term, ...]:
    """What an account stands at: its normal side less the other."""
    other = {"credit": "debit", "debit": "credit"}[normal]
    return (Term("ledger", f"ledger.{account}.{normal}"), Term("ledger", f"ledger.{account}.{other}", -1))


_NOTHING: tuple[Term, ...] = ()

# What the services must agree on. `kind` names the case, `reference` what exactly differs.
CHECKS: tuple[Check, ...] = (
    Check("payment_grant_mismatch", "credits", _paid("credits"), (Term("wallet", "grants.credits"),)),
    Check("payment_grant_mismatch", "count", _paid("count"), (Term("wallet", "grants.count"),)),
    Check("payment_invoice_mismatch", "count", _paid("count"), (Term("payment", "invoices.count"),)),
    Check("payment_ledger_mismatch", "gateway", _paid("minor"), (Term("ledger", "ledger.INR.asset:gateway:*.debit"),)),
    Check("payment_ledger_mismatch", "gst", _paid("gst_minor"), (Term("ledger", "ledger.INR.liability:gst:*.credit"),)),
    Check("wallet_ledger_mismatch", "paid", (Term("wallet", "lots.remaining.paid"),), _balance("CREDIT.wallets:paid")),
    Check(
        "wallet_ledger_mismatch", "bonus", (Term("wallet", "lots.remaining.bonus"),), _balance("CREDIT.wallets:bonus")
    ),
    Check("wallet_ledger_mismatch", "burned", (Term("wallet", "consumed.credits"),), _balance("CREDIT.burned")),
    Check(
        "wallet_ledger_mismatch",
        "deferred",
        (Term("wallet", "lots.value_minor"),),
        _balance("INR.liability:deferred_credits"),
    ),
    Check(
        "wallet_inconsistent",
        "lots",
        (Term("wallet", "wallets.available"), Term("wallet", "wallets.locked")),
        (Term("wallet", "lots.remaining.paid"), Term("wallet", "lots.remaining.bonus")),
    ),
    Check("wallet_inconsistent", "wallets", (Term("wallet", "wallets.mismatched"),), _NOTHING),
    Check("ledger_unbalanced", "INR", (Term("ledger", "ledger.INR.difference"),), _NOTHING),
    Check("ledger_unbalanced", "CREDIT", (Term("ledger", "ledger.CREDIT.difference"),), _NOTHING),
    Check("ledger_unbalanced", "journals", (Term("ledger", "journals.unbalanced"),), _NOTHING),
)
assert len({(check.kind, check.reference) for check in CHECKS}) == len(CHECKS), "a case belongs to one check"

BOOK_KEEPERS = tuple(sorted({term.service for check in CHECKS for term in check.left + check.right}))

Totals = Mapping[str, Mapping[str, int]]


class Comparison(NamedTuple):
    kind: str
    reference: str
    left: int
    right: int

    @property
    def agrees(self) -> bool:
        return self.left == self.right


def compare(totals: Totals, checks: Iterable[Check] = CHECKS) -> list[Comparison]:
    """Every check whose services have answered. A total that a service does not name is zero."""
    return [
        Comparison(check.kind, check.reference, _sum(totals, check.left), _sum(totals, check.right))
        for check in checks
        if all(term.service in totals for term in check.left + check.right)
    ]


def _sum(totals: Totals, terms: Iterable[Term]) -> int:
    return sum(
        term.sign * value for term in terms for name, value in totals[term.service].items() if _matches(name, term.name)
    )


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or ("*" in pattern and fnmatchcase(name, pattern))


class Difference(NamedTuple):
    """A comparison that did not agree, and since when it has stood at the same two values."""

    kind: str
    reference: str
    left: int
    right: int
    since: datetime


def standing(comparisons: Iterable[Comparison], before: Iterable[Difference], now: datetime) -> list[Difference]:
    """The differences there are now; one that has not moved since an earlier run keeps its beginning.

    What is still on its way makes differences that move; one that stands still while time passes is a mismatch.
    """
    known = {Comparison(each.kind, each.reference, each.left, each.right): each.since for each in before}
    return [Difference(*comparison, known.get(comparison, now)) for comparison in comparisons if not comparison.agrees]


def mismatches(differences: Iterable[Difference], now: datetime, settle: timedelta) -> list[Difference]:
    """Those that have stood still over an earlier run at least *settle* ago."""
    return [difference for difference in differences if difference.since < now and now - difference.since >= settle]


# ── Deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────


class Published(NamedTuple):
    """An envelope that a producer has announced."""

    envelope_id: UUID
    exchange: str
    routing_key: str
    confirmed: bool


_RUNG = re.compile(r"retry\.(\d+)ms")


def expected(contract: Contract, envelopes: Iterable[Published]) -> dict[tuple[str, str], list[Published]]:
    """(owner, queue) → the envelopes that it must have claimed: by the binding table, or addressed to it alone."""
    homes = {queue.name: queue for queue in contract.queues}
    found: dict[tuple[str, str], list[Published]] = {}
    for envelope in envelopes:
        if envelope.exchange and not _RUNG.fullmatch(envelope.exchange):
            queues = contract.listeners(envelope.exchange, envelope.routing_key)
        else:
            # A hop of one event back to its home queue. What goes to the dead letters is claimed by no consumer.
            queues = tuple(homes[key] for key in (envelope.routing_key,) if key in homes)
        for queue in queues:
            found.setdefault((queue.owner, queue.name), []).append(envelope)
    return found


def lost_at(envelope: Published, now: datetime, settle: timedelta) -> datetime:
    """From when on an unclaimed *envelope* counts as lost.

    One that is not confirmed is its producer's sweeper's to publish, one on a retry rung has to wait there.
    """
    if not envelope.confirmed:
        return now + settle
    rung = _RUNG.fullmatch(envelope.exchange)
    return now + timedelta(milliseconds=int(rung[1])) + settle if rung else now


class Missing(NamedTuple):
    """An envelope that a queue's owner had not claimed when it should have."""

    envelope_id: UUID
    queue: str
    producer: str
    attempts: int
    next_at: datetime


def due(missing: Iterable[Missing], now: datetime) -> list[Missing]:
    """Those whose time has come to be announced once more."""
    return [each for each in missing if each.next_at <= now]


# Announced once more at once, then ever more rarely: a consumer that is down has its queue, and needs no second one.
GAP_SECONDS_MAX = 3600


def next_attempt(attempts: int, now: datetime, settle: timedelta) -> datetime:
    """When to announce it again after *attempts* times."""
    seconds = max(settle.total_seconds(), 1) * 2 ** min(attempts, 16)
    return now + timedelta(seconds=min(seconds, GAP_SECONDS_MAX))


DELIVERY_LOST = "delivery_lost"


def pair(producer: str, queue: str) -> str:
    """The reference of a delivery case."""
    return f"{producer} > {queue}"


# ── Cases and runs ───────────────────────────────────────────────────────────────────────────────────────────────


class Finding(NamedTuple):
    """What must be an open case while it is so."""

    kind: str
    reference: str
    detail: str


def lost(unclaimed: Mapping[tuple[str, str], int]) -> list[Finding]:
    """(producer, queue) → how many → what to open."""
    return [
        Finding(
            DELIVERY_LOST,
            pair(producer, queue),
            f"{count} envelopes of {producer} are not claimed by {queue}; they are announced again",
        )
        for (producer, queue), count in sorted(unclaimed.items())
        if count
    ]


def disagreements(found: Iterable[Difference]) -> list[Finding]:
    return [
        Finding(
            each.kind,
            each.reference,
            f"{_said(each, 'left')} is {each.left}, {_said(each, 'right')} is {each.right}:"
            f" off by {each.left - each.right}",
        )
        for each in found
    ]


def _said(each: Difference, side: str) -> str:
    check = next(check for check in CHECKS if (check.kind, check.reference) == (each.kind, each.reference))
    terms: tuple[Term, ...] = getattr(check, side)
    if not terms:
        return "what it must be"
    names = [f"{'-' if term.sign < 0 else ''}{qualified(term.service, term.name)}" for term in terms]
    return names[0] if len(names) == 1 else f"the sum of {', '.join(names)}"


def qualified(service: str, name: str) -> str:
    """A total's name among all services': its own, under the service's unless it says so already."""
    return name if name.startswith(f"{service}.") else f"{service}.{name}"


@dataclass(frozen=True, slots=True)
class Case:
    case_id: UUID
    run_id: UUID
    kind: str
    reference: str
    detail: str
    status: CaseStatus
    opened_at: datetime
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it is kept: what was looked at, what came of it, and who could not be asked."""

    run_id: UUID
    scope: Scope
    status: RunStatus
    actor: str
    started_at: datetime
    finished_at: datetime | None = None
    envelopes_checked: int = 0
    envelopes_republished: int = 0
    cases_opened: int = 0
    cases_resolved: int = 0
    totals: Mapping[str, int] = field(default_factory=dict)
    unasked: Sequence[str] = ()


def outcome(unasked: Collection[str]) -> RunStatus:
    return RunStatus.PARTIAL if unasked else RunStatus.SUCCEEDED


# ── Billing analytics ────────────────────────────────────────────────────────────────────────────────────────────


class BillingKind(StrEnum):
    PAYMENT_CREATED = "payment.created"
    PAYMENT_SUCCEEDED = "payment.success"
    PAYMENT_FAILED = "payment.failed"
    WEBHOOK_FAILED = "webhook.failure"


class BillingEvent(NamedTuple):
    """Figures of one event; what a kind does not have is empty or zero. Amounts are minor units."""

    event_id: UUID
    kind: BillingKind
    merchant_id: str
    payment_id: str
    amount_minor: int
    currency: str
    gateway: str
    method: str
    pack_id: str
    reason: str
    duration_micros: int
    time_unix_micros: int


class BillingDay(NamedTuple):
    """A merchant's day (UTC) in one currency."""

    day: str
    currency: str
    created: int
    succeeded: int
    failed: int
    created_minor: int
    succeeded_minor: int
    failed_minor: int
    duration_micros: int
