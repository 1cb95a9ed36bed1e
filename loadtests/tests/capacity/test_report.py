"""The verdict, the tables and the page of numbers, from rounds that a test made up."""

import io
from typing import Any

import pytest
from rich.console import Console

from loadtests import bench, report
from loadtests.config import CLIENTS_MAX, Plan

BASELINES = {"SQL posting": {"per_s": 60_000.0, "cpu_ms": {"PostgreSQL": 0.023}}}


def a_round(per_s: float, **changes: Any) -> dict[str, Any]:
    latencies = {"p50": 10.0, "p95": 20.0, "p99": 30.0}
    return {
        "payments": 100,
        "completed": 100,
        "seconds": 100 / per_s,
        "payments_per_s": per_s,
        "steady_payments_per_s": per_s + 1,
        "accepted_per_s": per_s + 2,
        "create_ms": latencies,
        "webhook_ms": {"p50": 1.0, "p95": 2.0, "p99": 3.0},
        "webhook_to_credit_ms": {"p50": 100.0, "p95": 200.0, "p99": 300.0},
        "webhook_to_complete_ms": latencies,
        "failures": {},
        "unpaid": 0,
        "missing": {"mail": 0},
        "webhooks_given_up": 0,
        "fraud_silent": 0.0,
        "cpu_ms_per_payment": {"payment": 1.5, "postgresql": 0.5},
        "cpu_ms_per_payment_total": 2.0,
        "machine_busy_share": 0.9,
        "others_busy_share": 0.05,
        "rss_peak_bytes": {"payment": 100 * 2**20, "postgresql": 50 * 2**20},
        "wal_bytes_per_payment": 29_000.0,
        "disk_bytes_per_payment": 20_000.0,
        "rows_per_payment": 50.4,
        "rows_per_payment_by_table": {"ledger.ledger_entries": 7.0},
        "events_per_batch": {"wallet.credit": 22.2},
        "items_per_flush": {"create_payments": 14.5},
        "quiet_after_seconds": 2.5,
        "timeline": {"width_seconds": 1.0, "per_second": {}},
        **changes,
    }


@pytest.fixture
def found() -> dict[str, Any]:
    rounds = [a_round(100.0), a_round(300.0), a_round(200.0)]
    return bench.result(Plan(payments=100, rounds=3), rounds, BASELINES, [], 21)


def test_the_round_in_the_middle_stands_for_all(found: dict[str, Any]) -> None:
    assert found["payments_per_s"] == 200.0
    assert [done["payments_per_s"] for done in found["rounds"]] == [100.0, 300.0, 200.0]
    assert (found["create_p99_ms"], found["webhook_p99_ms"], found["webhook_to_credit_p99_ms"]) == (30.0, 3.0, 300.0)
    assert found["floors"]["SQL posting"]["times_ours"] == 300.0
    assert found["problems"] == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"completed": 99, "missing": {"mail": 1, "credits": 0}}, "1 payments are not complete: {'mail': 1}"),
        ({"failures": {"503": 2}}, "creates failed"),
        ({"unpaid": 1}, "refused to pay 1"),
        ({"webhooks_given_up": 1}, "gave up 1 webhooks"),
        ({"fraud_silent": 1.0}, "1 payments were not scored in time"),
    ],
)
def test_a_round_that_is_not_whole_does_not_count(changes: dict[str, Any], says: str) -> None:
    [problem] = bench.problems(a_round(100.0, **changes))
    assert says in problem


def test_one_silence_in_a_thousand_is_let_pass() -> None:
    assert bench.problems(a_round(100.0, payments=1_000, completed=1_000, fraud_silent=1.0)) == []


def test_a_violated_invariant_fails_the_bench() -> None:
    broken = bench.result(Plan(rounds=1), [a_round(1.0)], {}, ["every journal is zero: …"], 21)
    assert broken["problems"] == ["violated: every journal is zero: …"]


def test_the_terminal_shows_every_table_and_what_is_wrong(found: dict[str, Any]) -> None:
    console = Console(record=True, width=140, file=io.StringIO())
    report.show({**found, "problems": ["round 1: [creates] failed"]}, console)
    text = console.export_text()
    for expected in ("Capacity (closed, 256 clients", "200", "webhook → credits granted", "payment", "60,000", "300×"):
        assert expected in text
    assert "FAILED  round 1: [creates] failed" in text


def test_markdown_tables_are_as_wide_as_their_heads(found: dict[str, Any]) -> None:
    for block in report.markdown(found).split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1


def test_the_readme_gets_its_numbers_and_keeps_the_rest(found: dict[str, Any]) -> None:
    readme = f"# Title\n\n{report.BEGIN}\nold\n{report.END}\n\nThe end.\n"
    written = report.with_numbers(readme, found)
    assert written.startswith(f"# Title\n\n{report.BEGIN}\nMeasured ")
    assert written.endswith(f"|\n{report.END}\n\nThe end.\n")
    assert "old" not in written
    assert "| payment | 1.500 | 75% | 100 |" in written
    assert report.with_numbers(written, found) == written


def test_the_readme_hides_no_failure(found: dict[str, Any]) -> None:
    assert "failed" not in report.markdown(found)
    assert "- round 1: creates failed" in report.markdown({**found, "problems": ["round 1: creates failed"]})


@pytest.mark.parametrize("readme", ["nothing", report.BEGIN, f"{report.END} {report.BEGIN}"])
def test_a_readme_without_its_markers_is_left_alone(readme: str, found: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the page has no"):
        report.with_numbers(readme, found)


@pytest.mark.parametrize(
    "wrong", [{"payments": 0}, {"payments": 10**9}, {"clients": CLIENTS_MAX + 1}, {"rate": -1.0}, {"rounds": 0}]
)
def test_a_plan_has_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be from"):
        Plan(**wrong)


def test_no_member_pays_so_often_that_fraud_would_look_up() -> None:
    plan = Plan(payments=30_000, rounds=1, warm_up=0)
    assert plan.payments / plan.members <= 8
