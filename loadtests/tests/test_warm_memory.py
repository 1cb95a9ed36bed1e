"""Unused memory is used once, where a bench would otherwise do it, and nothing of it stays."""

import os
from pathlib import Path

import pytest

from loadtests import warm_memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("will_write", "free", "used"), [(4 * GIB, 5 * GIB, 0), (6 * GIB, 5 * GIB, 4 * GIB), (6 * GIB, GIB // 2, 0)]
)
def test_a_run_that_outgrows_the_unused_memory_finds_none_but_a_rest(will_write: int, free: int, used: int) -> None:
    assert warm_memory.to_use(will_write, free) == used


def test_a_file_that_nobody_sees_holds_it(tmp_path: Path) -> None:
    size = len(warm_memory.CHUNK) + 1_000_000
    with warm_memory.used(tmp_path, size):
        assert list(tmp_path.iterdir()) == []
        assert _held(tmp_path) == [size]
    assert _held(tmp_path) == []


def _held(folder: Path) -> list[int]:
    """The allocated sizes of this process' open files below *folder*, with or without a name."""
    files = [fd for fd in Path("/proc/self/fd").iterdir() if os.path.realpath(fd).startswith(f"{folder}/")]
    return [fd.stat().st_size for fd in files if fd.stat().st_blocks * 512 >= fd.stat().st_size]
