"""A storm of alerts is one mail, and nothing is lost in it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.alert_digests import SAMPLES_MAX, Alert, Digest, absorb, close, parse_cause

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = timedelta(minutes=5)


def _alerts(count: int) -> list[Alert]:
    return [Alert("webhook_failures", "webhook-ingest", f"number {number}", "") for number in range(count)]


def test_the_first_goes_out_at_once_and_the_storm_in_one_summary() -> None:
    step = absorb(Digest("cause"), _alerts(1), NOW, WINDOW)
    assert step.notice is not None
    assert (step.notice.number, step.notice.count) == (1, 1)
    for minute in range(4):
        step = absorb(step.digest, _alerts(250), NOW + timedelta(minutes=minute), WINDOW)
        assert step.notice is None
    assert close(step.digest, NOW + timedelta(minutes=4), WINDOW) == step
    step = close(step.digest, NOW + WINDOW, WINDOW)
    assert step.notice is not None
    assert (step.notice.number, step.notice.count, len(step.notice.samples)) == (2, 1000, SAMPLES_MAX)
    step = close(step.digest, NOW + 2 * WINDOW, WINDOW)
    assert (step.notice, step.digest.closes_at) == (None, None)
    assert absorb(step.digest, _alerts(1), NOW + 3 * WINDOW, WINDOW).notice is not None


def test_a_window_that_nobody_closed_does_not_silence_its_cause() -> None:
    step = absorb(Digest("cause"), _alerts(1), NOW, WINDOW)
    step = absorb(step.digest, _alerts(3), NOW, WINDOW)
    step = absorb(step.digest, _alerts(2), NOW + WINDOW, WINDOW)
    assert step.notice is not None
    assert (step.notice.count, step.digest.pending) == (5, 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 50), st.integers(0, 400)), max_size=40))
def test_every_alert_is_counted_in_one_mail_and_mails_are_rare(steps: list[tuple[bool, int, int]]) -> None:
    digest, now, mailed = Digest("cause"), NOW, 0
    sent: list[datetime] = []
    for is_alert, count, seconds in steps:
        now += timedelta(seconds=seconds)
        step = absorb(digest, _alerts(count), now, WINDOW) if is_alert else close(digest, now, WINDOW)
        digest = step.digest
        if step.notice is not None:
            mailed += step.notice.count
            sent.append(now)
            assert step.notice.number == len(sent)
    assert mailed + digest.pending == digest.total
    assert all(later - earlier >= WINDOW for earlier, later in pairwise(sent))


def test_causes_and_samples_are_bounded_lines() -> None:
    assert parse_cause("a\r\nBcc: x") == "a  Bcc: x"
    assert len(parse_cause("x" * 1000)) == 64
    assert parse_cause("\n") == "unnamed"
    notice = absorb(Digest("c"), [Alert("c", "s", "x\ny" * 500, "a=b\nc")], NOW, WINDOW).notice
    assert notice is not None
    assert notice.samples[0].isprintable()
    assert len(notice.samples[0]) <= 200
