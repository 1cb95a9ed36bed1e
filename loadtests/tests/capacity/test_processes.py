"""CPU and memory of process trees, from a /proc that a test wrote; and from the real one."""

import os
from pathlib import Path

import pytest

from loadtests.processes import Processes, Snapshot, Stat, owners, parse_stat

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class FakeProc:
    """A /proc with the files that are read, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machine(0, 0)

    def machine(self, user: int, idle: int) -> None:
        (self.folder / "stat").write_text(f"cpu  {user} 0 0 {idle} 7 0 0 0 0 0\ncpu0 1 2 3\n")

    def process(self, pid: int, parent: int, *, ticks: tuple[int, int, int, int], pages: tuple[int, int]) -> None:
        mine = self.folder / str(pid)
        mine.mkdir(exist_ok=True)
        utime, stime, cutime, cstime = ticks
        before = "0 0 0 0 0 0 0 0 0"
        stat = f"{pid} (a (bad) name) S {parent} {before} {utime} {stime} {cutime} {cstime} 20 0 1 0 99"
        (mine / "stat").write_text(stat)
        (mine / "statm").write_text(f"9999 {pages[0]} {pages[1]} 1 0 1 0\n")

    def end(self, pid: int) -> None:
        for file in (self.folder / str(pid)).iterdir():
            file.unlink()
        (self.folder / str(pid)).rmdir()


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


def test_a_name_with_brackets_and_blanks_does_not_shift_the_fields() -> None:
    line = f"42 (postgres: a) b (c) S 7 0 0 0 0 0 0 0 0 0 {TICKS} {2 * TICKS} {3 * TICKS} {4 * TICKS} 20 0"
    assert parse_stat(line) == Stat(42, 7, 10.0)


def test_a_tree_is_charged_with_its_children(proc: FakeProc) -> None:
    proc.process(10, 1, ticks=(TICKS, 0, 0, 0), pages=(1, 0))
    proc.process(11, 10, ticks=(2 * TICKS, TICKS, 0, 0), pages=(1, 0))
    proc.process(12, 11, ticks=(0, TICKS, 0, 0), pages=(1, 0))
    proc.process(99, 1, ticks=(500, 500, 0, 0), pages=(1, 0))
    found = Processes({"postgresql": 10}, proc.folder).snapshot()
    assert found.by_name == {"postgresql": pytest.approx(5.0)}


def test_a_child_that_ended_is_not_lost(proc: FakeProc) -> None:
    """A backend ends between two looks: its time moves into its parent's account of children."""
    processes = Processes({"postgresql": 10}, proc.folder)
    proc.process(10, 1, ticks=(0, 0, 0, 0), pages=(1, 0))
    proc.process(11, 10, ticks=(TICKS, 0, 0, 0), pages=(1, 0))
    before = processes.snapshot()
    proc.end(11)
    proc.process(10, 1, ticks=(0, 0, 3 * TICKS, 0), pages=(1, 0))
    assert processes.snapshot().since(before) == {"postgresql": pytest.approx(2.0)}


def test_the_nearest_named_ancestor_owns_a_process() -> None:
    stats = {pid: Stat(pid, parent, 0.0) for pid, parent in {1: 0, 2: 1, 3: 2, 4: 3, 5: 1}.items()}
    assert owners(stats, {"outer": 2, "inner": 3}) == {2: "outer", 3: "inner", 4: "inner"}


def test_a_named_child_is_not_charged_to_its_parent(proc: FakeProc) -> None:
    proc.process(10, 1, ticks=(TICKS, 0, 0, 0), pages=(1, 0))
    proc.process(11, 10, ticks=(5 * TICKS, 0, 0, 0), pages=(1, 0))
    found = Processes({"postgresql": 10}, proc.folder).beside("measuring", 11).snapshot()
    assert found.by_name == {"postgresql": pytest.approx(1.0), "measuring": pytest.approx(5.0)}


def test_a_process_that_was_replaced_counts_from_its_own_start() -> None:
    assert Snapshot({"payment": 2.0}, 0.0).since(Snapshot({"payment": 30.0}, 0.0)) == {"payment": 2.0}


def test_the_machine_counts_work_and_not_idling(proc: FakeProc) -> None:
    proc.machine(3 * TICKS, 1_000)
    assert Processes({}, proc.folder).snapshot().machine == pytest.approx(3.0)


def test_what_processes_share_is_counted_once(proc: FakeProc) -> None:
    proc.process(10, 1, ticks=(0, 0, 0, 0), pages=(100, 60))
    proc.process(11, 10, ticks=(0, 0, 0, 0), pages=(90, 80))
    assert Processes({"postgresql": 10}, proc.folder).resident_bytes() == {"postgresql": (40 + 10 + 80) * PAGE}


def test_our_own_work_shows_in_the_real_one() -> None:
    processes = Processes({"us": os.getpid()})
    before = processes.snapshot()
    while processes.snapshot().since(before)["us"] < 0.03:
        sum(range(100_000))
    assert processes.resident_bytes()["us"] > 1_000_000
