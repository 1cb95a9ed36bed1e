"""What the harness says about a recovery, of purchases whose times are made up."""

from datetime import UTC, datetime, timedelta

from tests.faults.recovery import Purchase, measured
from tests.faults.resources import Holding, grown

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ENDED = BEGAN + timedelta(seconds=10)


def bought(asked_seconds: float, granted_seconds: float | None) -> Purchase:
    """Times from the begin of the fault."""
    granted_at = None if granted_seconds is None else BEGAN + timedelta(seconds=granted_seconds)
    return Purchase(BEGAN + timedelta(seconds=asked_seconds), granted_at)


def test_full_rate_is_when_the_last_stretch_of_prompt_purchases_begins() -> None:
    made = [bought(10.5, 10.9), bought(11, 14.5), bought(12, 14.6), bought(13, 14.7), bought(14, 14.8)]
    found = measured(made, BEGAN, ENDED)
    assert found.back_seconds == 0.9
    assert found.full_rate_seconds == 3.0


def test_without_a_prompt_purchase_at_the_end_it_is_not_at_full_rate() -> None:
    assert measured([bought(10.5, 10.9), bought(11, 14)], BEGAN, ENDED).full_rate_seconds is None
    assert measured([bought(11, None)], BEGAN, ENDED).back_seconds is None


def test_a_backlog_is_drained_when_no_more_than_a_seconds_arrivals_is_left() -> None:
    # Five a second arrive; those of the fault's ten seconds are granted ten a second afterwards, with the new ones.
    waiting = [bought(number / 5, 10.1 + number / 10) for number in range(50)]
    meanwhile = [bought(10 + number / 5, 10.3 + number / 5) for number in range(25)]
    found = measured([*waiting, *meanwhile], BEGAN, ENDED)
    assert found.backlog == 50
    assert found.drained_seconds == 4.5
    assert found.drain_ratio == 3.0


def test_a_handful_is_no_backlog() -> None:
    assert measured([bought(9, 11)] * 10, BEGAN, ENDED).drain_ratio is None


def test_what_grew_is_named_and_what_was_not_there_before_is_not() -> None:
    before = {"wallet": Holding(50, 100 << 20), "ledger": Holding(50, 100 << 20)}
    now = {"wallet": Holding(350, 100 << 20), "ledger": Holding(55, 250 << 20), "fraud": Holding(500, 1 << 30)}
    assert grown(before, now) == ["wallet holds 350 files open, 50 before", "ledger uses 250 MiB, 100 before"]
