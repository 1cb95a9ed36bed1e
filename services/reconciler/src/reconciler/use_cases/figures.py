"""What the last runs found, as metrics: every replica exports the same, whichever of them was at work."""

from collections import Counter

from common import telemetry
from common.clock import Clock
from common.database import Database
from reconciler.domain import books
from reconciler.domain.cases import AGES
from reconciler.domain.deliveries import DELIVERY_LOST
from reconciler.domain.differences import Kind
from reconciler.domain.runs import Scope
from reconciler.store import queries

_cases = telemetry.gauge("reconciler_cases_open", "Open cases by kind and age in days", ["kind", "age"])
_unmatched = telemetry.gauge(
    "reconciler_unmatched_minor_units", "Money in question in open cases, in minor units of the currency", ["currency"]
)
_difference = telemetry.gauge(
    "reconciler_difference",
    "By how much the two sums of a check differed in the last comparison, in units of what it compares; what is still "
    "on its way differs for a moment",
    ["kind", "reference"],
)
_balance = telemetry.gauge(
    "reconciler_account_balance",
    "The balance of a ledger account on the side on which it grows, at the last comparison: minor units of a currency, "
    "or credits",
    ["asset", "account"],
)
_finished = telemetry.gauge(
    "reconciler_finished_timestamp_seconds",
    "When a run of this scope last came to its end, in seconds since 1970; 0 when none did",
    ["scope"],
)
KINDS = frozenset({DELIVERY_LOST, *(check.kind for check in books.CHECKS), *map(str, Kind)})


class ReconciliationFigures:
    """Reads the tables of runs and cases. A kind or check of which there is nothing is exported as 0."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._unmatched_before: set[str] = set()

    async def export(self) -> None:
        async with self._db.begin() as tx:
            open_cases = await queries.open_cases_by_age(tx, self._clock.now())
            differences = {
                (each.comparison.kind, each.comparison.reference): each.comparison.left - each.comparison.right
                for each in await queries.differences(tx)
            }
            finished = {scope: await queries.last_finished(tx, scope) for scope in Scope}
        numbers: Counter[tuple[str, str]] = Counter()
        unmatched: Counter[str] = Counter()
        for each in open_cases:
            numbers[each.kind, each.age] += each.number
            unmatched[each.currency] += each.amount_minor
        for kind in KINDS | {kind for kind, _ in numbers}:
            for age in AGES:
                _cases.of(kind, age).set(numbers[kind, age])
        # A currency of which nothing is in question any more is exported as 0, not left at its last value.
        self._unmatched_before |= {"INR", *filter(None, unmatched)}
        for currency in self._unmatched_before:
            _unmatched.of(currency).set(unmatched[currency])
        for check in books.CHECKS:
            _difference.of(check.kind, check.reference).set(differences.get((check.kind, check.reference), 0))
        for scope, run in finished.items():
            _finished.of(scope.value).set(run.finished_at.timestamp() if run else 0)
        if (full := finished[Scope.ALL]) is not None:
            for balance in books.account_balances(full.totals):
                _balance.of(balance.asset, balance.account).set(balance.balance)
