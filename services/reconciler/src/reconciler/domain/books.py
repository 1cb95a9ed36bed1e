"""What the services must agree on, and when a difference counts."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from msgspec import Struct

from reconciler.domain.runs import Finding


class Term(Struct, frozen=True):
    """A service's total, or all whose names match when *name* holds a `*`; *sign* is 1 or -1."""

    service: str
    name: str
    sign: int = 1


class Check(Struct, frozen=True):
    """Two sums that must be the same."""

    kind: str
    reference: str
    left: tuple[Term, ...]
    right: tuple[Term, ...]


def _paid(total: str) -> tuple[Term, ...]:
    """Over all payments whose money is or was ours; which states those are, payment decides."""
    return (Term("payment", f"payments.paid.{total}"),)


def _balance(account: str, normal: str = "credit") -> tuple[Term, ...]:
    """The balance of an account: its normal side less the other."""
    other = {"credit": "debit", "debit": "credit"}[normal]
    return (Term("ledger", f"ledger.{account}.{normal}"), Term("ledger", f"ledger.{account}.{other}", -1))


_NOTHING: tuple[Term, ...] = ()

# What the services must agree on. `kind` names the case, `reference` what exactly differs.
CHECKS: tuple[Check, ...] = (
    Check("payment_grant_mismatch", "credits", _paid("credits"), (Term("wallet", "grants.credits"),)),
    Check("payment_grant_mismatch", "count", _paid("count"), (Term("wallet", "grants.count"),)),
    Check("payment_invoice_mismatch", "count", _paid("count"), (Term("payment", "invoices.count"),)),
    # The gateway owes what was paid, and what is left of receipts, less what it gave back, took back or paid out.
    Check(
        "payment_ledger_mismatch",
        "gateway",
        (
            *_paid("minor"),
            Term("payment", "receipts.unapplied.minor"),
            Term("payment", "refunds.succeeded.minor", -1),
            Term("payment", "disputes.taken.minor", -1),
            Term("payment", "settlements.booked.minor", -1),
        ),
        _balance("INR.asset:gateway:*", "debit"),
    ),
    Check(
        "payment_ledger_mismatch",
        "receipts",
        (Term("payment", "receipts.unapplied.minor"),),
        _balance("INR.liability:unapplied_receipts"),
    ),
    Check(
        "payment_ledger_mismatch",
        "gst",
        (
            *_paid("gst_minor"),
            Term("payment", "refunds.succeeded.gst_minor", -1),
            Term("payment", "disputes.lost.gst_minor", -1),
        ),
        _balance("INR.liability:gst:*"),
    ),
    Check("wallet_ledger_mismatch", "paid", (Term("wallet", "lots.remaining.paid"),), _balance("CREDIT.wallets:paid")),
    Check(
        "wallet_ledger_mismatch", "bonus", (Term("wallet", "lots.remaining.bonus"),), _balance("CREDIT.wallets:bonus")
    ),
    Check("wallet_ledger_mismatch", "burned", (Term("wallet", "consumed.credits"),), _balance("CREDIT.burned")),
    Check("wallet_ledger_mismatch", "locked", (Term("wallet", "wallets.locked"),), _balance("CREDIT.wallets:locked")),
    Check("wallet_ledger_mismatch", "debts", (Term("wallet", "wallets.debt"),), _balance("CREDIT.debts", "debit")),
    Check(
        "wallet_ledger_mismatch",
        "deferred",
        (Term("wallet", "lots.value_minor"), Term("wallet", "holds.value_minor")),
        _balance("INR.liability:deferred_credits"),
    ),
    Check(
        "wallet_inconsistent",
        "lots",
        (Term("wallet", "wallets.available"),),
        (Term("wallet", "lots.remaining.paid"), Term("wallet", "lots.remaining.bonus")),
    ),
    Check("wallet_inconsistent", "wallets", (Term("wallet", "wallets.mismatched"),), _NOTHING),
    Check("wallet_inconsistent", "negative", (Term("wallet", "wallets.negative"),), _NOTHING),
    # Totals whose sum over every row is another than the checkpoint says: a row behind it was changed.
    Check("wallet_inconsistent", "checkpoints", (Term("wallet", "checkpoints.mismatched"),), _NOTHING),
    Check("payment_inconsistent", "checkpoints", (Term("payment", "checkpoints.mismatched"),), _NOTHING),
    Check("ledger_unbalanced", "INR", (Term("ledger", "ledger.INR.difference"),), _NOTHING),
    Check("ledger_unbalanced", "CREDIT", (Term("ledger", "ledger.CREDIT.difference"),), _NOTHING),
    Check("ledger_unbalanced", "journals", (Term("ledger", "journals.unbalanced"),), _NOTHING),
)
assert len({(check.kind, check.reference) for check in CHECKS}) == len(CHECKS), "a case belongs to one check"

BOOK_KEEPERS = tuple(sorted({term.service for check in CHECKS for term in check.left + check.right}))

Totals = Mapping[str, Mapping[str, int]]


class Comparison(Struct, frozen=True):
    """A check with the two sums of one moment."""

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


class Difference(Struct, frozen=True):
    """A comparison that did not agree, and since when it has had the same two sums."""

    comparison: Comparison
    since: datetime


def unchanged_since(
    comparisons: Iterable[Comparison], earlier: Iterable[Difference], now: datetime
) -> list[Difference]:
    """The differences there are now; one that has not moved since an earlier run keeps its beginning.

    What is still on its way makes differences that move; one that stays the same while time passes is a mismatch.
    """
    beginnings = {difference.comparison: difference.since for difference in earlier}
    return [
        Difference(comparison, beginnings.get(comparison, now)) for comparison in comparisons if not comparison.agrees
    ]


def mismatches(differences: Iterable[Difference], now: datetime, tolerance: timedelta) -> list[Difference]:
    """Those that were there in an earlier run and have been the same for *tolerance* or longer."""
    return [difference for difference in differences if difference.since < now and now - difference.since >= tolerance]


def findings(differences: Iterable[Difference]) -> list[Finding]:
    return [_finding(difference.comparison) for difference in differences]


def _finding(comparison: Comparison) -> Finding:
    check = next(check for check in CHECKS if (check.kind, check.reference) == (comparison.kind, comparison.reference))
    return Finding(
        comparison.kind,
        comparison.reference,
        f"{_names(check.left)} is {comparison.left}, {_names(check.right)} is {comparison.right}:"
        f" off by {comparison.left - comparison.right}",
    )


def _names(terms: tuple[Term, ...]) -> str:
    if not terms:
        return "what it must be"
    names = [f"{'-' if term.sign < 0 else ''}{qualified(term.service, term.name)}" for term in terms]
    return names[0] if len(names) == 1 else f"the sum of {', '.join(names)}"


class AccountBalance(Struct, frozen=True):
    """An account's balance on the side on which it grows: minor units, or credits of the asset CREDIT."""

    asset: str
    account: str
    balance: int


# Accounts that grow by debits; `issued` is what the wallets and revenue of credits hold together.
_DEBIT_ACCOUNTS = ("asset:", "expense:", "issued", "debts")


def account_balances(totals: Mapping[str, int]) -> list[AccountBalance]:
    """The balances in a run's totals, whose names are `ledger.<asset>.<account>.<side>`."""
    balances = []
    for name, debit in totals.items():
        if name.startswith("ledger.") and name.endswith(".debit"):
            _, asset, account, _ = name.split(".")
            credit = totals.get(f"ledger.{asset}.{account}.credit", 0)
            balance = debit - credit if account.startswith(_DEBIT_ACCOUNTS) else credit - debit
            balances.append(AccountBalance(asset, account, balance))
    return balances


def qualified(service: str, name: str) -> str:
    """A total's name among all services': its own, under the service's unless it says so already."""
    return name if name.startswith(f"{service}.") else f"{service}.{name}"
