import pytest

from common import rate_bound
from common.rate_bound import RateBound


def test_so_many_are_admitted_in_each_second(monkeypatch: pytest.MonkeyPatch):
    class Clock:
        now = 7.2

        @classmethod
        def monotonic(cls) -> float:
            return cls.now

    monkeypatch.setattr(rate_bound, "time", Clock)
    bound = RateBound(2)
    assert [bound.admits() for _ in range(4)] == [True, True, False, False]
    Clock.now = 8.1
    assert [bound.admits() for _ in range(3)] == [True, True, False]
