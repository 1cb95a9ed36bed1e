"""What each process of a stack costs: CPU time and memory of its whole tree, from /proc.

A process's CPU counts its own time, that of its living children, and that of the children it has waited for: so the
backends that PostgreSQL has ended meanwhile are not lost. One tick is 10 ms, which over a run of seconds is nothing.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from msgspec import Struct

_PROC = Path("/proc")
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# user, nice, system, idle, iowait, irq, softirq, steal: what the two in the middle say is not work.
_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)


class Stat(Struct, frozen=True):
    """One process: *cpu_seconds* with the children it has waited for."""

    pid: int
    parent: int
    cpu_seconds: float


class Snapshot(Struct, frozen=True):
    """CPU seconds by name since each process started, and of the whole machine, all cores, since it started."""

    by_name: Mapping[str, float]
    machine: float

    def since(self, earlier: Self) -> dict[str, float]:
        """CPU seconds by name between the two; a process that was replaced meanwhile counts from its own start."""
        found = {}
        for name, seconds in self.by_name.items():
            before = earlier.by_name.get(name, 0.0)
            found[name] = seconds - before if seconds >= before else seconds
        return found


def parse_stat(text: str) -> Stat:
    """/proc/<pid>/stat. The name in it may hold blanks and brackets, so what counts is after the last one."""
    head, _, rest = text.rpartition(")")
    fields = rest.split()
    ticks = sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    return Stat(int(head.split(" ", 1)[0]), int(fields[1]), ticks * _TICK_SECONDS)


def owners(stats: Mapping[int, Stat], roots: Mapping[str, int]) -> dict[int, str]:
    """Which name each process belongs to: the nearest of *roots* (name → pid) among itself and its ancestors."""
    named = {pid: name for name, pid in roots.items()}
    found: dict[int, str] = {}
    for pid in stats:
        line: list[int] = []
        at = pid
        while at in stats and at not in named and at not in found and len(line) < 64:
            line.append(at)
            at = stats[at].parent
        name = named.get(at) or found.get(at)
        if name is not None:
            found.update(dict.fromkeys([*line, at], name))
    return found


class Processes:
    """The processes of a stack, by the names and pids of its stack.json; more can be named beside them."""

    def __init__(self, roots: Mapping[str, int], proc: Path = _PROC) -> None:
        self._roots = dict(roots)
        self._proc = proc

    def beside(self, name: str, pid: int) -> "Processes":
        """The same with one more: a child that is named is not charged to its parent while it lives."""
        return Processes({**self._roots, name: pid}, self._proc)

    def snapshot(self) -> Snapshot:
        stats = self._stats()
        by_name = dict.fromkeys(self._roots, 0.0)
        for pid, name in owners(stats, self._roots).items():
            by_name[name] += stats[pid].cpu_seconds
        return Snapshot(by_name, self._machine())

    def resident_bytes(self) -> dict[str, int]:
        """Memory by name: what is private to each process of the tree, and once the most that one of them shares."""
        private: dict[str, int] = dict.fromkeys(self._roots, 0)
        shared: dict[str, int] = dict.fromkeys(self._roots, 0)
        for pid, name in owners(self._stats(), self._roots).items():
            try:
                pages = (self._proc / str(pid) / "statm").read_text().split()
            except OSError:
                continue  # it has ended meanwhile
            resident, common = int(pages[1]) * _PAGE_BYTES, int(pages[2]) * _PAGE_BYTES
            private[name] += resident - common
            shared[name] = max(shared[name], common)
        return {name: private[name] + shared[name] for name in self._roots}

    def _stats(self) -> dict[int, Stat]:
        found = {}
        for entry in os.listdir(self._proc):
            if entry.isdigit():
                try:
                    stat = parse_stat((self._proc / entry / "stat").read_text())
                except (OSError, ProcessLookupError):
                    continue  # it has ended meanwhile
                found[stat.pid] = stat
        return found

    def _machine(self) -> float:
        fields = (self._proc / "stat").read_text().split("\n", 1)[0].split()[1:]
        return sum(int(fields[index]) for index in _BUSY_FIELDS) * _TICK_SECONDS
