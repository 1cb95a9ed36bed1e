"""What counts before its event is counted: each request once, however often it is tried, and never without end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import ids
from common.money import Money
from fraud.domain import scores
from fraud.domain.rules import Decision, Rule
from fraud.domain.scores import Snapshot
from fraud.domain.subjects import Dimension, Subject, key_of, subject_keys
from fraud.domain.velocity import Counts
from fraud.in_flight import InFlightRequests

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
USER = key_of(Dimension.USER, "mer_1", "usr_1")
Build = Callable[..., Subject]


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_it_counts_until_counted_elsewhere_or_expired(subject: Build, in_flight: InFlightRequests) -> None:
    subjects = [subject() for _ in range(3)]
    for each in (*subjects, subjects[0]):
        in_flight.add(each, NOW)
    assert in_flight.counts(USER) == Counts(created=3, amount=150_000)
    in_flight.remove_counted([subjects[0].payment_id, subjects[0].payment_id, ids.new()])
    assert in_flight.counts(USER).created == 2
    in_flight.expire(after(9))
    assert in_flight.counts(USER).created == 2
    in_flight.expire(after(10))
    assert (in_flight.counts(USER), len(in_flight)) == (Counts(), 0)
    assert in_flight.is_empty


def test_ten_tries_of_a_request_count_once(subject: Build, in_flight: InFlightRequests) -> None:
    for second in range(10):
        in_flight.add(subject(request_key="key-1"), after(second))
    assert in_flight.counts(USER) == Counts(created=1, amount=50_000)


def test_requests_and_users_and_tenants_are_apart(subject: Build, in_flight: InFlightRequests) -> None:
    for _ in range(3):
        for key in ("key-1", "key-2"):
            in_flight.add(subject(request_key=key), NOW)
        in_flight.add(subject("usr_2", request_key="key-1"), NOW)
        in_flight.add(subject(merchant_id="mer_2", request_key="key-1"), NOW)
    assert in_flight.counts(USER).created == 2
    assert len(in_flight) == 4


def test_a_patient_client_is_allowed_and_an_impatient_one_is_not(
    subject: Build, rule: Callable[..., Rule], in_flight: InFlightRequests
) -> None:
    def tries(*keys: str) -> list[Decision]:
        decisions = []
        for key in keys:
            one = subject(request_key=key)
            decisions.append(
                scores.score_subject([rule(threshold=1)], one, Snapshot(NOW), in_flight.counts_without(one)).decision
            )
            in_flight.add(one, NOW)
        return decisions

    assert tries(*["key-1"] * 10) == [Decision.ALLOW] * 10
    assert tries("key-2", "key-1", "key-2") == [Decision.REVIEW] * 3
    in_flight.expire(after(10))
    assert tries("", "", "") == [Decision.ALLOW, Decision.REVIEW, Decision.REVIEW]


def test_the_latest_try_is_the_one_that_counts(subject: Build, in_flight: InFlightRequests) -> None:
    first, second = subject(paise=100, request_key="key-1"), subject(paise=300, ip="9.9.9.9", request_key="key-1")
    in_flight.add(first, NOW)
    assert in_flight.counts_without(second)(USER) == Counts()
    in_flight.add(second, NOW)
    assert in_flight.counts(USER) == Counts(created=1, amount=300)
    assert in_flight.counts(subject_keys(first)[Dimension.IP]) == Counts()
    assert in_flight.counts(subject_keys(second)[Dimension.IP]).created == 1


@pytest.mark.parametrize("which", [0, 4, 9])
def test_any_try_removes_its_request(subject: Build, in_flight: InFlightRequests, which: int) -> None:
    tries = [subject(request_key="key-1") for _ in range(10)]
    for each in tries:
        in_flight.add(each, NOW)
    in_flight.remove_counted([tries[which].payment_id])
    assert in_flight.counts(USER) == Counts()
    assert in_flight.is_empty


def test_a_request_stays_until_its_last_try_has_been_here_too_long(subject: Build, in_flight: InFlightRequests) -> None:
    first, second = subject(request_key="key-1"), subject(request_key="key-1")
    in_flight.add(first, NOW)
    in_flight.add(second, after(6))
    in_flight.expire(after(12))
    assert (in_flight.counts(USER).created, in_flight.payment_ids) == (1, frozenset({second.payment_id}))
    in_flight.remove_counted([first.payment_id])
    assert in_flight.counts(USER).created == 1
    in_flight.expire(after(16))
    assert in_flight.is_empty


def test_tries_without_end_are_bounded(subject: Build) -> None:
    in_flight = InFlightRequests(timedelta(seconds=10), tries_max=50)
    for number in range(200):
        in_flight.expire(NOW)
        in_flight.add(subject(request_key="key-1"), NOW)
        in_flight.add(subject(f"usr_{number}"), NOW)
    in_flight.expire(NOW)
    assert len(in_flight.payment_ids) == sum(len(tries) for tries in in_flight.tries) == 50
    assert in_flight.counts(USER).created == 1


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 5), st.sampled_from(["", "a", "b"])),
        st.tuples(st.just("counted"), st.integers(0, 5), st.just("")),
        st.tuples(st.just("expire"), st.integers(0, 12), st.just("")),
    ),
    max_size=40,
)


@given(OPERATIONS)
def test_counts_are_those_of_the_entries_and_nothing_leaks(operations: list[tuple[str, int, str]]) -> None:
    """Whatever the order, and even where one payment id comes with several keys."""
    in_flight = InFlightRequests(timedelta(seconds=10))
    payment_ids = [ids.new() for _ in range(6)]
    now = NOW
    for what, number, key in operations:
        match what:
            case "add":
                one = Subject(payment_ids[number], "mer_1", "usr_1", "", "", Money(100 + number), key)
                in_flight.add(one, now)
            case "counted":
                in_flight.remove_counted([payment_ids[number]])
            case "expire":
                now += timedelta(seconds=number)
                in_flight.expire(now)
        amounts = [each.amount.minor for each in in_flight.subjects]
        assert in_flight.counts(USER) == Counts(created=len(amounts), amount=sum(amounts))
        assert {each for tries in in_flight.tries for each in tries} == in_flight.payment_ids
    in_flight.expire(now + timedelta(seconds=10))
    assert in_flight.is_empty
