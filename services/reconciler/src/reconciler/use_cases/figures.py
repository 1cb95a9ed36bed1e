"""What the last runs found, as metrics: every replica exports the same, whichever of them was at work."""

from common import telemetry
from common.database import Database
from reconciler.domain import books
from reconciler.domain.deliveries import DELIVERY_LOST
from reconciler.domain.runs import Scope
from reconciler.store import queries

_cases = telemetry.gauge("reconciler_cases_open", "Open cases by kind", ["kind"])
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
KINDS = frozenset({DELIVERY_LOST, *(check.kind for check in books.CHECKS)})


class ReconciliationFigures:
    """Reads the tables of runs and cases. A kind or check of which there is nothing is exported as 0."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def export(self) -> None:
        async with self._db.begin() as tx:
            open_cases = await queries.open_cases_by_kind(tx)
            differences = {
                (each.comparison.kind, each.comparison.reference): each.comparison.left - each.comparison.right
                for each in await queries.differences(tx)
            }
            finished = {scope: await queries.last_finished(tx, scope) for scope in Scope}
        for kind in KINDS:
            _cases.of(kind).set(open_cases.get(kind, 0))
        for check in books.CHECKS:
            _difference.of(check.kind, check.reference).set(differences.get((check.kind, check.reference), 0))
        for scope, run in finished.items():
            _finished.of(scope.value).set(run.finished_at.timestamp() if run else 0)
        if (full := finished[Scope.ALL]) is not None:
            for balance in books.account_balances(full.totals):
                _balance.of(balance.asset, balance.account).set(balance.balance)
