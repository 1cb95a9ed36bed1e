"""What the services must agree on, and when a difference counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import NamedTuple

from reconciler.domain.runs import Finding


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
