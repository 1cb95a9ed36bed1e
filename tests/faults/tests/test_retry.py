"""Asking again while an engine is away, and wrong clocks."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.faults import clocks
from tests.faults.retry import retry


async def test_what_is_away_is_asked_again_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.retry.PAUSE_SECONDS", 0.01)
    answers: Iterator[Exception | int] = iter([ConnectionRefusedError(), TimeoutError(), 7])

    async def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await retry(ask) == 7


async def test_patience_ends_and_mistakes_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.retry.PAUSE_SECONDS", 0.01)
    asked = 0

    async def refused() -> None:
        nonlocal asked
        asked += 1
        raise ConnectionRefusedError

    async def mistaken() -> None:
        nonlocal asked
        asked += 1
        raise ValueError

    with pytest.raises(ConnectionRefusedError):
        await retry(refused, seconds=0.1)
    assert asked > 1
    asked = 0
    with pytest.raises(ValueError):
        await retry(mistaken)
    assert asked == 1


def test_a_process_is_told_the_wrong_time_where_the_library_is_there_or_nobody_claims_it() -> None:
    """Without the library the scenarios say why they are not run; with it, the clock is off and timers are not."""
    if clocks.why_not():
        assert clocks.library() is None
        return
    program = (
        "import asyncio, time; a = time.monotonic(); asyncio.run(asyncio.sleep(0.1));"
        " print(time.time(), time.monotonic() - a)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], env=clocks.skewed(-600), capture_output=True, text=True, check=True
    )
    now, passed = map(float, found.stdout.split())
    assert -605 < now - time.time() < -595
    assert 0.09 < passed < 5
