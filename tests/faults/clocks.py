"""Clocks that are wrong: libfaketime in front of one process, which knows nothing of it. The product has no switch."""

from pathlib import Path


def library() -> Path | None:
    """libfaketime, where this machine has it: `make faults` installs it where it may."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def why_not() -> str:
    """Why clocks cannot be skewed here; empty when they can."""
    return "" if library() else "libfaketime is not installed"


def skewed(seconds: int) -> dict[str, str]:
    """What to put into a process's environment, so that its clock is *seconds* ahead. Its timers go on as they were.

    `time.sleep` fails under it (libfaketime 0.9.10 knows no absolute waits on a clock that is left alone); nothing in
    the services uses that.
    """
    return {
        "LD_PRELOAD": str(library()),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
