"""Small disks: a memory file system in the place of a folder, and a file that fills what is left of it."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

BALLAST = "ballast"
_CHUNK = bytes(1 << 20)


@cache
def why_not() -> str:
    """Why no small disk can be had here; empty when it can."""
    if os.geteuid() != 0:
        return "only root may mount a small disk"
    with TemporaryDirectory() as folder:
        if not _mount(Path(folder), 1 << 20):
            return "this machine does not let us mount"
        _unmount(Path(folder))
    return ""


@contextmanager
def small(folder: Path, *, spare_bytes: int) -> Iterator[None]:
    """*folder*, contents and owners kept, lies on a disk with so much to spare while the block lasts.

    Nobody may write there when the block begins or ends. Raises OSError.
    """
    disk = folder.with_name(folder.name + ".small")
    disk.mkdir()
    try:
        if not _mount(disk, _size(folder) + spare_bytes):
            raise OSError(errno.EPERM, "cannot mount a small disk", str(disk))
        try:
            _copy(disk, of=folder)
            subprocess.run(["mount", "--bind", str(disk), str(folder)], check=True, capture_output=True)
            try:
                yield
            finally:
                _unmount(folder)
            subprocess.run(["find", str(folder), "-mindepth", "1", "-delete"], check=True, capture_output=True)
            _copy(folder, of=disk)
        finally:
            _unmount(disk)
    finally:
        disk.rmdir()


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """No byte is left on the disk of *folder* while the block lasts."""
    ballast = folder / BALLAST
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(_CHUNK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    try:
        yield
    finally:
        ballast.unlink()


def _mount(folder: Path, size: int) -> bool:
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)], check=False, capture_output=True
    )
    return made.returncode == 0


def _unmount(folder: Path) -> None:
    # At once, even if somebody still has a file of it open.
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _copy(target: Path, *, of: Path) -> None:
    """Contents, owners, and the rights of the folder itself."""
    subprocess.run(["cp", "-a", f"{of}/.", str(target)], check=True, capture_output=True)
