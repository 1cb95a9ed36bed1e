"""The parts of the fault harness that need no fleet: what there is, what is drawn, what a service sees of a detour."""

import sys
from itertools import islice
from pathlib import Path

import pytest
import typer

from common import guards
from common.guards import Guard
from ops.credentials import load_or_generate
from ops.fleet import description, service_environment
from ops.ports import ROOT, Layout
from tests.faults import parallel_runs, random_runs, report
from tests.faults.__main__ import matching
from tests.faults.mutations import WINDOWS
from tests.faults.scenario import SCENARIOS
from tests.faults.triggers import CONTROLS
from tests.simulation.simulate import SHOWN


def test_every_scenario_says_what_it_does_and_what_must_hold() -> None:
    assert len(SCENARIOS) > 50
    for name, each in SCENARIOS.items():
        assert each.does.endswith("."), name
        assert each.must, name


def test_patterns_choose_scenarios_in_the_order_of_the_table() -> None:
    known = list(SCENARIOS.values())
    assert matching(known, []) == known
    assert [each.name for each in matching(known, ["R68-*"])] == ["R68-memory-alarm", "R68-disk-alarm"]
    with pytest.raises(typer.BadParameter):
        matching(known, ["R68-*", "nothing-like-it"])


def test_a_seed_gives_the_same_combinations_again_and_another_gives_others() -> None:
    def names(seed: int) -> list[tuple[float, tuple[str, ...]]]:
        return [
            (apart, tuple(each.name for each in drawn)) for apart, drawn in islice(random_runs.combinations(seed), 20)
        ]

    assert names(7) == names(7)
    assert names(7) != names(8)
    assert all(len(set(drawn)) == 2 for _, drawn in names(7))


def test_every_control_takes_out_a_guard_that_there_is() -> None:
    for control in CONTROLS:
        assert isinstance(control.without, Guard) or control.service == "postgresql", control.name
        assert not control.window or control.window in WINDOWS, control.name
    assert len({control.name for control in CONTROLS}) == len(CONTROLS)


def test_every_guard_is_shown_to_be_needed_by_a_control_the_simulation_or_a_test() -> None:
    shown = {control.without for control in CONTROLS} | set(SHOWN)
    # The wallet's own tests show it, beside the schema: services/wallet/tests/integration/test_holds.py.
    shown |= {guards.HOLD_STATE}
    assert shown >= set(guards.ALL)


def test_only_services_take_the_detour(tmp_path: Path) -> None:
    credentials = load_or_generate(tmp_path / "secrets.json")
    layout = Layout(tmp_path, 30000, detours={"postgresql": 30060, "sandbox": 30063})
    payment = service_environment(layout, credentials, "payment", {})
    assert ":30060/" in payment["DATABASE_URL"]
    assert payment["CASHFREE_BASE_URL"] == "http://127.0.0.1:30063/pg"
    assert ":30003/" in payment["RABBITMQ_URL"]
    known = description(layout, credentials, {})
    assert known["sandbox_url"] == "http://127.0.0.1:30010"
    assert known["postgresql"]["port"] == 30002  # type: ignore[index]


def test_parallel_runs_share_the_scenarios_and_leave_none_out() -> None:
    assert parallel_runs.deal(["a", "b", "c", "d", "e"], 3) == [["a", "d"], ["b", "e"], ["c"]]
    assert parallel_runs.deal(["a"], 3) == [["a"]]


def harness(tmp_path: Path, program: str) -> list[str]:
    """A command line that runs *program* in the place of the harness."""
    script = tmp_path / "harness.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.faults import report\n"
        "from tests.faults.scenario import Outcome\n" + program
    )
    return [sys.executable, str(script)]


async def test_outcomes_of_parallel_runs_come_together_in_the_order_of_the_table(tmp_path: Path) -> None:
    program = "report.write([Outcome(name, '', '', held=True) for name in sys.argv[1:]], '', finished=True)\n"
    first, second, third, *_ = SCENARIOS
    outcomes = await parallel_runs.run([[third, first], [second]], tmp_path, 28000, harness(tmp_path, program))
    assert [outcome.name for outcome in outcomes] == [first, second, third]
    assert not report.broken(outcomes)


async def test_a_parallel_run_that_ends_before_its_work_is_done_is_red(tmp_path: Path) -> None:
    first, second, *_ = SCENARIOS
    program = harness(tmp_path, "report.write([Outcome(sys.argv[1], '', '', held=True)], '')\n")
    outcomes = await parallel_runs.run([[first, second]], tmp_path, 28000, program)
    assert report.broken(outcomes) == ["parallel run 1"]
