"""What rules measure and what is decided, without any I/O."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.clock import FakeClock
from common.money import Money
from fraud import domain
from fraud.domain import Action, Counts, Decision, Dimension, Facts, Happened, Metric, Mode, Rule, Source, Subject
from fraud.in_flight import InFlight

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
MINUTE = domain.minute_of(NOW)


def _facts(subject: Subject, dimension: Dimension = Dimension.USER, **counts: int) -> Facts:
    return Facts(NOW, velocity={domain.subject_keys(subject)[dimension]: {MINUTE: Counts(**counts)}})


def test_nothing_known_is_allowed(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlight
) -> None:
    score = domain.judge([rule()], subject(), Facts(NOW), in_flight.of)
    assert (score.decision, score.score, score.reasons) == (Decision.ALLOW, 0, ())


@pytest.mark.parametrize(("before", "decision"), [(9, Decision.ALLOW), (10, Decision.REVIEW), (30, Decision.BLOCK)])
def test_the_payment_itself_counts(
    rule: Callable[..., Rule],
    subject: Callable[..., Subject],
    in_flight: InFlight,
    before: int,
    decision: Decision,
) -> None:
    rules = [rule("many", threshold=10), rule("flood", threshold=30, score=1000, action=Action.BLOCK)]
    one = subject()
    assert domain.judge(rules, one, _facts(one, created=before), in_flight.of).decision is decision


def test_failures_and_amounts_are_measured(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlight
) -> None:
    one = subject(paise=100)
    failures = rule("failures", metric=Metric.FAILED, threshold=4)
    amount = rule("amount", metric=Metric.AMOUNT, threshold=1000)
    assert domain.judge([failures], one, _facts(one, failed=4), in_flight.of).reasons == ()
    assert domain.judge([failures], one, _facts(one, failed=5), in_flight.of).reasons == ("failures",)
    assert domain.judge([amount], one, _facts(one, amount=900), in_flight.of).reasons == ()
    score = domain.judge([amount], one, _facts(one, amount=901), in_flight.of)
    assert (score.reasons, score.measured) == (("amount",), {"amount": 1001})


def test_a_shadow_rule_is_reported_and_decides_nothing(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlight
) -> None:
    one = subject()
    shadow = rule("watching", threshold=0, action=Action.BLOCK, mode=Mode.SHADOW)
    score = domain.judge([shadow], one, Facts(NOW), in_flight.of)
    assert (score.decision, score.score, score.reasons, score.shadow) == (Decision.ALLOW, 0, (), ("watching",))


def test_weak_signals_add_up(rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlight) -> None:
    weak = [rule(f"weak{number}", threshold=0, score=350, action=Action.SCORE) for number in range(3)]
    one = subject()
    assert domain.judge(weak[:1], one, Facts(NOW), in_flight.of).decision is Decision.ALLOW
    score = domain.judge(weak, one, Facts(NOW), in_flight.of)
    assert (score.decision, score.score) == (Decision.REVIEW, 1000)
    assert score.reasons[-1] == domain.SCORE_SUM


def test_lists_go_before_rules_and_blocking_before_allowing(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlight
) -> None:
    one = subject()
    keys = domain.subject_keys(one)
    strict = [rule(threshold=0, action=Action.BLOCK)]
    allowed = Facts(NOW, allowed=frozenset({keys[Dimension.USER]}))
    both = Facts(NOW, allowed=allowed.allowed, blocked=frozenset({keys[Dimension.IP]}))
    assert domain.judge(strict, one, allowed, in_flight.of).decision is Decision.ALLOW
    score = domain.judge([], one, both, in_flight.of)
    assert (score.decision, score.score, score.reasons) == (Decision.BLOCK, 1000, (domain.LIST_BLOCK,))


def test_what_is_not_known_is_not_counted(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlight
) -> None:
    rules = [rule(f"{each}", dimension=each, threshold=0, action=Action.BLOCK) for each in Dimension]
    nobody = subject(user_id="", ip="", device_id="")
    assert domain.judge(rules, nobody, Facts(NOW), in_flight.of).decision is Decision.ALLOW


def test_a_new_device_of_a_known_user(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlight
) -> None:
    one = subject(device_id="dev")
    keys = domain.subject_keys(one)
    new = rule("new", dimension=Dimension.DEVICE, metric=Metric.NEW_SOURCE, threshold=0)
    source = Source(keys[Dimension.USER], Dimension.DEVICE, keys[Dimension.DEVICE])
    facts = Facts(NOW, new_sources=frozenset({source}))
    assert domain.judge([new], one, facts, in_flight.of).reasons == ("new",)
    assert domain.judge([new], one, Facts(NOW), in_flight.of).reasons == ()


def test_tenants_and_dimensions_are_apart() -> None:
    keys = {domain.key_of(each, merchant, "1.2.3.4") for each in Dimension for merchant in ("mer_1", "mer_2")}
    assert len(keys) == 2 * len(Dimension)


def test_a_window_slides_over_its_first_minute() -> None:
    at_half = {MINUTE: Counts(created=4), MINUTE - 1: Counts(created=10), MINUTE - 2: Counts(created=100)}
    # The window of a minute that ends at 12:00:30 holds half of the minute before.
    assert domain.windowed(at_half, NOW, 60).created == 4 + 5
    assert domain.windowed(at_half, NOW, 600).created == 114
    assert domain.windowed(at_half, NOW + timedelta(seconds=30), 60).created == 4
    assert domain.windowed(at_half, NOW + timedelta(hours=1), 60).created == 0


@given(
    st.dictionaries(st.integers(MINUTE - 100, MINUTE), st.integers(0, 1000), max_size=20),
    st.integers(60, 3600),
    st.integers(60, 3600),
)
def test_a_longer_window_never_holds_less(buckets: dict[int, int], one: int, other: int) -> None:
    counts = {minute: Counts(created=number) for minute, number in buckets.items()}
    shorter, longer = sorted((one, other))
    assert domain.windowed(counts, NOW, shorter).created <= domain.windowed(counts, NOW, longer).created
    assert domain.windowed(counts, NOW, longer).created <= sum(buckets.values())


def test_a_tally_sums_by_key_and_minute(
    happened: Callable[..., Happened], subject: Callable[..., Subject], clock: FakeClock
) -> None:
    one, two = subject("usr_1", paise=100), subject("usr_2", paise=200)
    events = [
        happened(Metric.CREATED, one),
        happened(Metric.CREATED, two),
        happened(Metric.FAILED, one),
        happened(Metric.CREATED, one, seconds_ago=120),
        happened(Metric.CREATED, one, seconds_ago=2 * 86_400),
        happened(Metric.CREATED, two, seconds_ago=-3600),
    ]
    tally = domain.tally(events, clock.now())
    now = domain.minute_of(clock.now())
    keys = domain.subject_keys(one)
    assert tally[keys[Dimension.IP], now] == Counts(created=3, failed=1, amount=500)
    assert tally[keys[Dimension.USER], now] == Counts(created=1, failed=1, amount=100)
    assert tally[keys[Dimension.USER], now - 2] == Counts(created=1, amount=100)
    assert min(minute for _, minute in tally) == now - 2
    assert max(minute for _, minute in tally) == now


def test_only_one_currency_is_summed(subject: Callable[..., Subject]) -> None:
    assert domain.counted_amount(Money(500, "USD")) == 0
    assert domain.counted_amount(Money(500, "INR")) == 500
