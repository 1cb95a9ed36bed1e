"""The parts of the fault harness that need no fleet: what there is, what is drawn, what a service sees of a detour."""

from itertools import islice
from pathlib import Path

import pytest
import typer

from ops.credentials import load_or_generate
from ops.faults import chance, lanes, report
from ops.faults.command import matching
from ops.faults.provocations import CONTROLS
from ops.faults.sabotage import SABOTAGE
from ops.faults.scenario import SCENARIOS, Outcome
from ops.fleet import description, service_environment
from ops.layout import Layout


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
        return [(apart, tuple(each.name for each in drawn)) for apart, drawn in islice(chance.combinations(seed), 20)]

    assert names(7) == names(7)
    assert names(7) != names(8)
    assert all(len(set(drawn)) == 2 for _, drawn in names(7))


def test_every_control_takes_out_a_guard_that_there_is() -> None:
    for control in CONTROLS:
        assert control.without in SABOTAGE or control.service == "postgresql", control.name
        assert not control.within or control.within in SABOTAGE, control.name
    assert len({control.name for control in CONTROLS}) == len(CONTROLS)


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


def test_lanes_share_the_scenarios_among_them_and_leave_none_out() -> None:
    assert lanes.deal(["a", "b", "c", "d", "e"], 3) == [["a", "d"], ["b", "e"], ["c"]]
    assert lanes.deal(["a"], 3) == [["a"]]


def _lanes_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Have lanes run *program* in the place of `commdesk`."""
    script = tmp_path / "harness.py"
    script.write_text(program)
    monkeypatch.setattr("sys.argv", [str(script)])


async def test_what_lanes_found_comes_together_in_the_order_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lanes_program(
        tmp_path,
        monkeypatch,
        "import sys\n"
        "from ops.faults import report\n"
        "from ops.faults.scenario import Outcome\n"
        "report.write([Outcome(name, '', '', held=True) for name in sys.argv[2:]], '', finished=True)\n",
    )
    first, second, third, *_ = SCENARIOS
    found = await lanes.run([[third, first], [second]], tmp_path, 28000)
    assert [outcome.name for outcome in found] == [first, second, third]
    assert not report.broken(found)


async def test_a_lane_that_ends_before_its_work_is_done_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _lanes_program(
        tmp_path,
        monkeypatch,
        "import sys\n"
        "from ops.faults import report\n"
        "from ops.faults.scenario import Outcome\n"
        "report.write([Outcome(sys.argv[2], '', '', held=True)], '')\n",
    )
    first, second, *_ = SCENARIOS
    found = await lanes.run([[first, second]], tmp_path, 28000)
    assert report.broken(found) == ["lane 1"]


def test_the_table_for_a_page_has_a_row_for_each_scenario() -> None:
    outcome = Outcome("C-x", "Does it.", "it holds", held=True, back_seconds=0.25)
    lines = report.markdown([outcome]).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("| C-x | Does it. | it holds | yes | 0 | 0.0 s | 0.2 s | – |")
