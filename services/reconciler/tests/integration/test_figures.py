"""What the last runs found, as metrics: the tables say it, whichever replica was at work."""

from datetime import timedelta

from prometheus_client import REGISTRY

from common import ids
from common.clock import FakeClock
from common.database import Database
from reconciler.domain import books
from reconciler.domain.books import Comparison, Difference
from reconciler.domain.cases import AGES
from reconciler.domain.runs import Finding, Run, RunStatus, Scope
from reconciler.store import cases, commands
from reconciler.use_cases.figures import KINDS, ReconciliationFigures


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"commdesk_reconciler_{name}", labels)


async def test_what_was_never_found_is_exported_as_zero(db: Database, clock: FakeClock) -> None:
    await ReconciliationFigures(db, clock).export()
    assert {value("cases_open", kind=kind, age=age) for kind in KINDS for age in AGES} == {0}
    assert value("finished_timestamp_seconds", scope="ALL") == 0
    assert {value("difference", kind=each.kind, reference=each.reference) for each in books.CHECKS} == {0}


async def test_what_the_last_run_found_is_exported(db: Database, clock: FakeClock) -> None:
    started = clock.now()
    run = Run(ids.new(), Scope.ALL, RunStatus.RUNNING, "usr_finance", started)
    finished = Run(
        run.run_id,
        Scope.ALL,
        RunStatus.SUCCEEDED,
        run.actor,
        started,
        finished_at=started + timedelta(seconds=3),
        totals={
            "ledger.INR.asset:gateway:cashfree.debit": 50_000,
            "ledger.INR.asset:gateway:cashfree.credit": 20_000,
            "ledger.CREDIT.wallets:paid.debit": 550,
            "ledger.CREDIT.wallets:paid.credit": 5_000,
        },
    )
    comparison = Comparison("wallet_ledger_mismatch", "paid", 4_450, 4_400)
    async with db.begin() as tx:
        assert await commands.begin_run(tx, run, timedelta(minutes=1), None)
        await cases.open_cases(
            tx, run.run_id, [(ids.new(), Finding("wallet_ledger_mismatch", "paid", "off by 50"))], started
        )
        await commands.replace_differences(tx, [comparison], [Difference(comparison, started)])
        assert await commands.finish_run(tx, finished)
    await ReconciliationFigures(db, clock).export()
    assert value("cases_open", kind="wallet_ledger_mismatch", age="0-2") == 1
    assert value("cases_open", kind="delivery_lost", age="0-2") == 0
    assert value("difference", kind="wallet_ledger_mismatch", reference="paid") == 50
    assert value("account_balance", asset="INR", account="asset:gateway:cashfree") == 30_000
    assert value("account_balance", asset="CREDIT", account="wallets:paid") == 4_450
    assert value("finished_timestamp_seconds", scope="ALL") == (started + timedelta(seconds=3)).timestamp()
    assert value("finished_timestamp_seconds", scope="DELIVERIES") == 0
