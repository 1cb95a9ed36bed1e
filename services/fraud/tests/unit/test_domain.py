"""What rules measure and what is decided, without any I/O."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.clock import FakeClock
from common.money import Money
from fraud.domain import scores, subjects, velocity
from fraud.domain.rules import Action, Decision, Mode, Rule
from fraud.domain.scores import Snapshot
from fraud.domain.subjects import Dimension, Source, Subject
from fraud.domain.velocity import Counts, Metric, PaymentActivity
from fraud.in_flight import InFlightRequests

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
MINUTE = velocity.minute_of(NOW)


def _snapshot(subject: Subject, dimension: Dimension = Dimension.USER, **counts: int) -> Snapshot:
    return Snapshot(NOW, velocity={subjects.subject_keys(subject)[dimension]: {MINUTE: Counts(**counts)}})


def test_nothing_known_is_allowed(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlightRequests
) -> None:
    score = scores.score_subject([rule()], subject(), Snapshot(NOW), in_flight.counts)
    assert (score.decision, score.score, score.reasons) == (Decision.ALLOW, 0, ())


@pytest.mark.parametrize(("before", "decision"), [(9, Decision.ALLOW), (10, Decision.REVIEW), (30, Decision.BLOCK)])
def test_the_payment_itself_counts(
    rule: Callable[..., Rule],
    subject: Callable[..., Subject],
    in_flight: InFlightRequests,
    before: int,
    decision: Decision,
) -> None:
    rules = [rule("many", threshold=10), rule("flood", threshold=30, score=1000, action=Action.BLOCK)]
    one = subject()
    assert scores.score_subject(rules, one, _snapshot(one, created=before), in_flight.counts).decision is decision


def test_failures_and_amounts_are_measured(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlightRequests
) -> None:
    one = subject(paise=100)
    failures = rule("failures", metric=Metric.FAILED, threshold=4)
    amount = rule("amount", metric=Metric.AMOUNT, threshold=1000)
    assert scores.score_subject([failures], one, _snapshot(one, failed=4), in_flight.counts).reasons == ()
    assert scores.score_subject([failures], one, _snapshot(one, failed=5), in_flight.counts).reasons == ("failures",)
    assert scores.score_subject([amount], one, _snapshot(one, amount=900), in_flight.counts).reasons == ()
    score = scores.score_subject([amount], one, _snapshot(one, amount=901), in_flight.counts)
    assert (score.reasons, score.measured) == (("amount",), {"amount": 1001})


def test_a_shadow_rule_is_reported_and_decides_nothing(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlightRequests
) -> None:
    one = subject()
    shadow = rule("watching", threshold=0, action=Action.BLOCK, mode=Mode.SHADOW)
    score = scores.score_subject([shadow], one, Snapshot(NOW), in_flight.counts)
    assert (score.decision, score.score, score.reasons, score.shadow) == (Decision.ALLOW, 0, (), ("watching",))


def test_weak_signals_add_up(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlightRequests
) -> None:
    weak = [rule(f"weak{number}", threshold=0, score=350, action=Action.SCORE) for number in range(3)]
    one = subject()
    assert scores.score_subject(weak[:1], one, Snapshot(NOW), in_flight.counts).decision is Decision.ALLOW
    score = scores.score_subject(weak, one, Snapshot(NOW), in_flight.counts)
    assert (score.decision, score.score) == (Decision.REVIEW, 1000)
    assert score.reasons[-1] == scores.SCORE_SUM


def test_an_ipv6_address_counts_as_its_network(subject: Callable[..., Subject]) -> None:
    """A customer usually has all 2^64 addresses of a network."""

    def key(ip: str) -> UUID:
        return subjects.subject_keys(subject(ip=ip))[Dimension.IP]

    assert key("2001:db8:1:2:3:4:5:6") == key("2001:db8:1:2::1")
    assert key("2001:db8:1:3::1") != key("2001:db8:1:2::1")
    assert key("::ffff:192.0.2.1") == key("192.0.2.1") != key("192.0.2.2")


def test_lists_go_before_rules_and_blocking_before_allowing(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlightRequests
) -> None:
    one = subject()
    keys = subjects.subject_keys(one)
    strict = [rule(threshold=0, action=Action.BLOCK)]
    allowed = Snapshot(NOW, allowed=frozenset({keys[Dimension.USER]}))
    both = Snapshot(NOW, allowed=allowed.allowed, blocked=frozenset({keys[Dimension.IP]}))
    assert scores.score_subject(strict, one, allowed, in_flight.counts).decision is Decision.ALLOW
    score = scores.score_subject([], one, both, in_flight.counts)
    assert (score.decision, score.score, score.reasons) == (Decision.BLOCK, 1000, (scores.LIST_BLOCK,))


def test_what_is_not_known_is_not_counted(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlightRequests
) -> None:
    rules = [rule(f"{each}", dimension=each, threshold=0, action=Action.BLOCK) for each in Dimension]
    nobody = subject(user_id="", ip="", device_id="")
    assert scores.score_subject(rules, nobody, Snapshot(NOW), in_flight.counts).decision is Decision.ALLOW


def test_a_new_device_of_a_known_user(
    rule: Callable[..., Rule], subject: Callable[..., Subject], in_flight: InFlightRequests
) -> None:
    one = subject(device_id="dev")
    keys = subjects.subject_keys(one)
    new = rule("new", dimension=Dimension.DEVICE, metric=Metric.NEW_SOURCE, threshold=0)
    source = Source(keys[Dimension.USER], Dimension.DEVICE, keys[Dimension.DEVICE])
    snapshot = Snapshot(NOW, new_sources=frozenset({source}))
    assert scores.score_subject([new], one, snapshot, in_flight.counts).reasons == ("new",)
    assert scores.score_subject([new], one, Snapshot(NOW), in_flight.counts).reasons == ()


def test_tenants_and_dimensions_are_apart() -> None:
    keys = {subjects.key_of(each, merchant, "1.2.3.4") for each in Dimension for merchant in ("mer_1", "mer_2")}
    assert len(keys) == 2 * len(Dimension)


def test_no_two_users_are_counted_together_by_where_their_names_are_split() -> None:
    amount = Money(100, "INR")
    payers = [("m", "a|b"), ("m|a", "b"), ("m", "a|b|100"), ("m", "a")]
    keys = [subjects.keys_of(merchant, user, "", "", amount) for merchant, user in payers]
    for dimension in (Dimension.USER, Dimension.USER_AMOUNT):
        assert len({each[dimension] for each in keys}) == len(payers)


def test_a_window_slides_over_its_first_minute() -> None:
    at_half = {MINUTE: Counts(created=4), MINUTE - 1: Counts(created=10), MINUTE - 2: Counts(created=100)}
    # The window of a minute that ends at 12:00:30 holds half of the minute before.
    assert velocity.window_counts(at_half, NOW, 60).created == 4 + 5
    assert velocity.window_counts(at_half, NOW, 600).created == 114
    assert velocity.window_counts(at_half, NOW + timedelta(seconds=30), 60).created == 4
    assert velocity.window_counts(at_half, NOW + timedelta(hours=1), 60).created == 0


@given(
    st.dictionaries(st.integers(MINUTE - 100, MINUTE), st.integers(0, 1000), max_size=20),
    st.integers(60, 3600),
    st.integers(60, 3600),
)
def test_a_longer_window_never_holds_less(buckets: dict[int, int], one: int, other: int) -> None:
    counts = {minute: Counts(created=number) for minute, number in buckets.items()}
    shorter, longer = sorted((one, other))
    assert velocity.window_counts(counts, NOW, shorter).created <= velocity.window_counts(counts, NOW, longer).created
    assert velocity.window_counts(counts, NOW, longer).created <= sum(buckets.values())


def test_a_tally_sums_by_key_and_minute(
    activity: Callable[..., PaymentActivity], subject: Callable[..., Subject], clock: FakeClock
) -> None:
    one, two = subject("usr_1", paise=100), subject("usr_2", paise=200)
    activities = [
        activity(Metric.CREATED, one),
        activity(Metric.CREATED, two),
        activity(Metric.FAILED, one),
        activity(Metric.CREATED, one, seconds_ago=120),
        activity(Metric.CREATED, one, seconds_ago=2 * 86_400),
        activity(Metric.CREATED, two, seconds_ago=-3600),
    ]
    tally = velocity.tally(activities, clock.now())
    now = velocity.minute_of(clock.now())
    keys = subjects.subject_keys(one)
    assert tally[keys[Dimension.IP], now] == Counts(created=3, failed=1, amount=500)
    assert tally[keys[Dimension.USER], now] == Counts(created=1, failed=1, amount=100)
    assert tally[keys[Dimension.USER], now - 2] == Counts(created=1, amount=100)
    assert min(minute for _, minute in tally) == now - 2
    assert max(minute for _, minute in tally) == now


def test_only_one_currency_is_summed(subject: Callable[..., Subject]) -> None:
    assert velocity.counted_amount(Money(500, "USD")) == 0
    assert velocity.counted_amount(Money(500, "INR")) == 500


@given(st.lists(st.sampled_from(list(Metric)), max_size=30), st.integers(0, 12))
def test_failed_attempts_are_counted_apart_and_by_their_order(metrics: list[Metric], threshold: int) -> None:
    one = Subject(UUID(int=1), "mer_1", "usr_1", "1.2.3.4", "dev", Money(50_000), "")
    activities = [
        PaymentActivity(each, one.payment_id, "mer_1", "usr_1", "1.2.3.4", "dev", one.amount, NOW) for each in metrics
    ]
    failed = metrics.count(Metric.ATTEMPT_FAILED)
    tally = velocity.tally(activities, NOW)
    keys = subjects.attempt_keys(one)
    assert tally.get((keys[Dimension.ORDER], MINUTE), Counts()) == Counts(attempts_failed=failed)
    assert tally.get((keys[Dimension.USER], MINUTE), Counts()).attempts_failed == failed
    rules = [
        Rule(f"{dimension}", dimension, Metric.ATTEMPT_FAILED, 600, threshold, 100, action, Mode.ACTIVE)
        for dimension, action in ((Dimension.ORDER, Action.REVIEW), (Dimension.IP, Action.BLOCK))
    ]
    stored = {key: {minute: counts} for (key, minute), counts in tally.items()}
    score = scores.score_failed_attempts(rules, one, Snapshot(NOW, velocity=stored))
    # A payment that exists is never blocked: a person looks at it.
    assert score.decision is (Decision.REVIEW if failed > threshold else Decision.ALLOW)
