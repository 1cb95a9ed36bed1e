"""A storm of alerts is one mail, and nothing is lost in it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from notifier.domain import digest
from notifier.domain.digest import SAMPLES_MAX, Alert, Digest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = timedelta(minutes=5)


def _alerts(count: int) -> list[Alert]:
    return [Alert("webhook_failures", "webhook-ingest", f"number {number}", "") for number in range(count)]


def test_the_first_goes_out_at_once_and_the_storm_in_one_summary() -> None:
    state, first = digest.absorb(Digest("cause"), _alerts(1), NOW, WINDOW)
    assert first is not None
    assert (first.number, first.count) == (1, 1)
    for minute in range(4):
        state, notice = digest.absorb(state, _alerts(250), NOW + timedelta(minutes=minute), WINDOW)
        assert notice is None
    assert digest.close(state, NOW + timedelta(minutes=4), WINDOW) == (state, None)
    state, summary = digest.close(state, NOW + WINDOW, WINDOW)
    assert summary is not None
    assert (summary.number, summary.count, len(summary.samples)) == (2, 1000, SAMPLES_MAX)
    state, notice = digest.close(state, NOW + 2 * WINDOW, WINDOW)
    assert (notice, state.closes_at) == (None, None)
    _, again = digest.absorb(state, _alerts(1), NOW + 3 * WINDOW, WINDOW)
    assert again is not None


def test_a_window_that_nobody_closed_does_not_silence_its_cause() -> None:
    state, _ = digest.absorb(Digest("cause"), _alerts(1), NOW, WINDOW)
    state, _ = digest.absorb(state, _alerts(3), NOW, WINDOW)
    state, notice = digest.absorb(state, _alerts(2), NOW + WINDOW, WINDOW)
    assert notice is not None
    assert (notice.count, state.pending) == (5, 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 50), st.integers(0, 400)), max_size=40))
def test_every_alert_is_told_once_and_mails_are_rare(steps: list[tuple[bool, int, int]]) -> None:
    state, now, told, sent = Digest("cause"), NOW, 0, []
    for is_alert, count, seconds in steps:
        now += timedelta(seconds=seconds)
        if is_alert:
            state, notice = digest.absorb(state, _alerts(count), now, WINDOW)
        else:
            state, notice = digest.close(state, now, WINDOW)
        if notice is not None:
            told += notice.count
            sent.append(now)
            assert notice.number == len(sent)
    assert told + state.pending == state.total
    assert all(later - earlier >= WINDOW for earlier, later in pairwise(sent))


def test_causes_and_samples_are_bounded_lines() -> None:
    assert digest.cause_of("a\r\nBcc: x") == "a  Bcc: x"
    assert len(digest.cause_of("x" * 1000)) == 64
    assert digest.cause_of("\n") == "unnamed"
    _, notice = digest.absorb(Digest("c"), [Alert("c", "s", "x\ny" * 500, "a=b\nc")], NOW, WINDOW)
    assert notice is not None
    assert notice.samples[0].isprintable()
    assert len(notice.samples[0]) <= 200
