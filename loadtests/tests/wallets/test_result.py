"""The plan's bounds, the verdict, the tables and the page of numbers, from runs that a test made up."""

from typing import Any

import pytest

from loadtests.processes import Snapshot
from loadtests.report import between, markdown_sheets
from loadtests.wallets import bench, progress, report
from loadtests.wallets.plan import Plan


def a_run(per_s: float, **changes: Any) -> dict[str, Any]:
    return {
        "transactions": 10_000,
        "wallets": 100,
        "zipf": 1.0,
        "seconds": 10_000 / per_s,
        "transactions_per_s": per_s,
        "slice": 1_000,
        "rates": [per_s] * 10,
        "first_per_s": per_s,
        "last_per_s": per_s,
        "last_to_first": 1.0,
        "cpu_us_per_transaction": {"wallet": 40.0, "ledger": 20.0, "redis": 0.001},
        "cpu_us_per_transaction_total": 60.0,
        "machine_busy_share": 0.9,
        "others_busy_share": 0.01,
        "disk_bytes_per_transaction": {"tables": 900.0, "indexes": 460.0, "wal": 2_100.0},
        "rss_peak_bytes": {"wallet": 140 * 2**20},
        "refused": {},
        **changes,
    }


def result(spread: dict[str, Any], hot: dict[str, Any] | None = None, wrong: list[str] | None = None) -> dict[str, Any]:
    runs = {"spread": spread} | ({"hot": hot} if hot else {})
    return bench.result(Plan(transactions=10_000), runs, {"ledger journals": 10_100}, wrong or [], [])


def test_the_spread_run_stands_at_the_top() -> None:
    found = result(a_run(12_000.0), a_run(7_000.0))
    assert found["transactions_per_s"] == 12_000
    assert found["hot_transactions_per_s"] == 7_000
    assert found["problems"] == []


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (result(a_run(12_000.0, last_to_first=0.89)), "89%"),
        (result(a_run(12_000.0), a_run(5_900.0)), "49%"),
        (result(a_run(12_000.0, refused={"wallet_insufficient_credits": 3})), "refused"),
        (result(a_run(12_000.0), wrong=["3 wallets"]), "3 wallets"),
    ],
    ids=["falls", "hot", "refused", "wrong"],
)
def test_what_a_run_fails_for_is_named(found: dict[str, Any], named: str) -> None:
    [problem] = found["problems"]
    assert named in problem


@pytest.mark.parametrize("changes", [{"transactions": 1}, {"zipf": -1}, {"grpc_share": 2}, {"wallets": 0}])
def test_a_plan_out_of_bounds_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be from"):
        Plan(**changes)


def test_slices_are_millions_when_there_are_enough_of_them() -> None:
    [spread, hot] = Plan(transactions=10_000_000, hot_transactions=1_000_000).runs
    assert (spread.slice, hot.slice) == (1_000_000, 100_000)


def test_more_transactions_take_more_disk() -> None:
    assert Plan(transactions=10_000_000).disk_bytes > 5 * Plan(transactions=1_000_000, hot_transactions=0).disk_bytes


def test_the_readme_says_the_figures_and_that_a_run_failed() -> None:
    found = result(a_run(12_345.0), a_run(7_000.0), wrong=["3 wallets"])
    page = "\n\n".join([report.introduction(found), *markdown_sheets(report.sheets(found), found["problems"])])
    readme = between(f"# x\n{report.BEGIN}\nold\n{report.END}\ny\n", report.BEGIN, report.END, page)
    assert "12,345" in readme
    assert "**failed**" in readme
    assert "old" not in readme
    assert readme.startswith("# x\n") and readme.endswith("y\n")


def test_a_backend_is_counted_for_its_service_and_our_own_queries_for_none() -> None:
    before = Snapshot({"postgresql": 1.0, "postgresql: wallet #7": 1.0, "postgresql:  #9": 1.0}, 10.0)
    after = Snapshot(
        {"postgresql": 2.0, "postgresql: wallet #7": 3.0, "postgresql: wallet #8": 4.0, "postgresql:  #9": 1.5}, 20.0
    )
    spent, machine = progress.cpu_between(before, after)
    assert spent == {"postgresql: rest": 1.0, "postgresql: wallet": 6.0}
    assert machine == 9.5
