"""The rules: the whole table of moves, and what facts lead to from every state."""

import re
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import payment
from common.money import Money
from payment import domain
from payment.domain import (
    CLOSED_UNPAID,
    MOVES,
    PAID,
    UNRESOLVED,
    Alerted,
    AttemptStatus,
    CaptureStatus,
    Created,
    Decision,
    FactsUnknown,
    IllegalMove,
    Moved,
    OrderRefused,
    OrderSnapshot,
    OrderStatus,
    Review,
    Status,
)


def new_ids() -> Iterator[UUID]:
    return (UUID(int=number) for number in count(1))


def decided(build: Any, status: Status, facts: Any, **more: Any) -> Decision:
    fields = more.pop("fields", {})
    ids = new_ids()
    return domain.decide(build.payment(status, **fields), facts, build.now, lambda: next(ids), **more)


@pytest.mark.parametrize(("start", "to"), list(product(Status, Status)))
def test_a_payment_makes_only_the_moves_in_the_table(build: Any, start: Status, to: Status) -> None:
    before = build.payment(start, seq=7)
    if to in MOVES[start]:
        after, line = domain.move(before, to, reason="because", actor="somebody", now=build.now)
        assert (after.status, after.seq) == (to, 8)
        assert (line.from_status, line.to_status, line.seq) == (start, to, 8)
    else:
        with pytest.raises(IllegalMove):
            domain.move(before, to, reason="because", actor="somebody", now=build.now)


def test_the_database_knows_the_same_moves() -> None:
    migration = Path(payment.__file__).parent / "migrations" / "0001_payments.py"
    check = migration.read_text().partition("payment_history_moves check")[2].partition("else")[0]
    said = {
        Status(found[1]): frozenset(map(Status, re.findall(r"'([A-Z_]+)'", found[2])))
        for found in re.finditer(r"when '([A-Z_]+)' then to_status (?:in|=)([^\n]+)", check)
    }
    assert said == MOVES


def test_every_status_is_of_one_kind() -> None:
    assert {*UNRESOLVED, *CLOSED_UNPAID, *PAID} == set(Status)
    assert not UNRESOLVED & CLOSED_UNPAID
    assert not (UNRESOLVED | CLOSED_UNPAID) & PAID


@pytest.mark.parametrize(("start", "order", "attempt"), list(product(Status, OrderStatus, [None, *AttemptStatus])))
def test_facts_never_break_the_table(
    build: Any, start: Status, order: OrderStatus, attempt: AttemptStatus | None
) -> None:
    """The whole product: whatever is said, moves are legal, seqs contiguous and success has exactly one capture."""
    claims = [build.claim(attempt)] if attempt else []
    try:
        decision = decided(build, start, build.facts(order, *claims))
    except FactsUnknown:
        return
    seqs = [line.seq for line in decision.transitions]
    assert seqs == list(range(2, 2 + len(seqs)))
    assert all(line.from_status and line.to_status in MOVES[line.from_status] for line in decision.transitions)
    captured = [t for t in decision.transactions if t.status is CaptureStatus.CAPTURED]
    reached = [line for line in decision.transitions if line.to_status is Status.SUCCESS]
    assert len(captured) == len(reached) <= 1
    if decision.payment.status in UNRESOLVED:
        assert not decision.payment.gateway_payment_id
    if start in PAID:
        assert decision.payment.status is start


@pytest.mark.parametrize("start", sorted(UNRESOLVED | CLOSED_UNPAID))
def test_a_verified_success_succeeds_from_every_unpaid_state(build: Any, start: Status) -> None:
    decision = decided(build, start, build.facts(OrderStatus.PAID, build.claim()))
    after = decision.payment
    assert (after.status, after.gateway_payment_id, after.method, after.webhook_verified) == (
        Status.SUCCESS,
        "cf_1",
        "upi",
        True,
    )
    assert after.next_check_at is None
    kinds = [type(each) for each in decision.announcements]
    assert kinds == ([Created, Moved] if start is Status.CREATED else [Moved])


def test_the_same_success_twice_has_no_effect(build: Any) -> None:
    decision = decided(build, Status.SUCCESS, build.facts(OrderStatus.PAID, build.claim()))
    assert (decision.transitions, decision.transactions, decision.announcements) == ([], [], [])


def test_a_second_capture_is_recorded_and_told_but_never_granted(build: Any) -> None:
    second = build.claim(gateway_payment_id="cf_2")
    facts = build.facts(OrderStatus.PAID, build.claim(), second)
    assert domain.needs_captures(build.payment(Status.SUCCESS), facts)
    decision = decided(build, Status.SUCCESS, facts, captures={"cf_1"})
    [taken], [told] = decision.transactions, decision.announcements
    assert (taken.status, taken.claim.gateway_payment_id) == (CaptureStatus.DUPLICATE, "cf_2")
    assert isinstance(told, Alerted)
    assert told.cause == "duplicate_capture"
    assert not decision.transitions
    again = decided(build, Status.SUCCESS, facts, captures={"cf_1", "cf_2"})
    assert not again.announcements
    assert not again.transactions


def test_two_captures_at_once_are_one_success_and_one_duplicate(build: Any) -> None:
    facts = build.facts(OrderStatus.PAID, build.claim(), build.claim(gateway_payment_id="cf_2"))
    decision = decided(build, Status.PENDING, facts)
    assert [taken.status for taken in decision.transactions] == [CaptureStatus.CAPTURED, CaptureStatus.DUPLICATE]
    assert [line.to_status for line in decision.transitions] == [Status.SUCCESS]


@pytest.mark.parametrize(
    "wrong",
    [
        {"order_amount": Money(49_999)},
        {"order_amount": Money(50_000, "USD")},
        {"amount": Money(49_999)},
        {"amount": Money(50_000, "USD")},
    ],
)
def test_an_attempt_over_another_amount_is_quarantined(build: Any, wrong: dict[str, Money]) -> None:
    decision = decided(build, Status.PENDING, build.facts(OrderStatus.PAID, build.claim(**wrong)))
    assert decision.payment.status is Status.PENDING
    assert (decision.payment.review, decision.payment.review_reason) == (Review.QUARANTINED, "amount_mismatch")
    assert [claim.status for claim in decision.claims] == [AttemptStatus.UNKNOWN]
    assert not decision.transactions
    assert [told.cause for told in decision.announcements if isinstance(told, Alerted)] == ["amount_mismatch"]


def test_an_order_over_another_amount_is_quarantined_and_told_once(build: Any) -> None:
    facts = build.facts(OrderStatus.PAID, build.claim(), amount=Money(100))
    decision = decided(build, Status.PENDING, facts)
    assert decision.payment.review is Review.QUARANTINED
    assert len(decision.announcements) == 1
    again = domain.decide(decision.payment, facts, build.now, UUID)
    assert not again.announcements


def test_a_surcharge_is_no_mismatch(build: Any) -> None:
    decision = decided(build, Status.PENDING, build.facts(OrderStatus.PAID, build.claim(amount=Money(51_000))))
    assert decision.payment.status is Status.SUCCESS


def test_a_late_success_is_reviewed_when_the_policy_says_so(build: Any) -> None:
    decision = decided(build, Status.EXPIRED, build.facts(OrderStatus.PAID, build.claim()), late_success="review")
    assert decision.payment.status is Status.EXPIRED
    assert decision.payment.review_reason == "late_success"


@pytest.mark.parametrize("order", [status for status in OrderStatus if status is not OrderStatus.PAID])
def test_a_claimed_success_waits_until_the_gateway_shows_it(build: Any, order: OrderStatus) -> None:
    with pytest.raises(FactsUnknown):
        decided(build, Status.PENDING, build.facts(order, build.claim()))


def test_a_paid_order_without_its_paying_attempt_waits(build: Any) -> None:
    with pytest.raises(FactsUnknown):
        decided(build, Status.PENDING, build.facts(OrderStatus.PAID))


def test_a_failed_attempt_fails_the_attempt_only(build: Any) -> None:
    failed = build.claim(AttemptStatus.FAILED, reason="declined")
    decision = decided(build, Status.PROCESSING, build.facts(OrderStatus.ACTIVE, failed))
    assert (decision.payment.status, decision.payment.failure_reason) == (Status.PENDING, "declined")
    closed = domain.decide(decision.payment, build.facts(OrderStatus.EXPIRED), build.now, UUID)
    assert closed.payment.status is Status.FAILED
    assert [(told.reason) for told in closed.announcements if isinstance(told, Moved)] == ["declined"]


def test_an_order_that_nobody_tried_to_pay_expires(build: Any) -> None:
    decision = decided(build, Status.PENDING, build.facts(OrderStatus.EXPIRED))
    assert decision.payment.status is Status.EXPIRED


@pytest.mark.parametrize(("wished", "becomes"), [(True, Status.CANCELLED), (False, Status.FAILED)])
def test_a_terminated_order_is_cancelled_when_we_asked_for_it(build: Any, wished: bool, becomes: Status) -> None:
    decision = decided(build, Status.PENDING, build.facts(OrderStatus.TERMINATED), fields={"cancel_requested": wished})
    assert decision.payment.status is becomes


@pytest.mark.parametrize(
    ("attempt", "becomes"),
    [(AttemptStatus.AUTHORIZING, Status.AUTHORIZING), (AttemptStatus.PENDING, Status.PROCESSING)],
)
def test_an_open_payment_follows_its_attempt(build: Any, attempt: AttemptStatus, becomes: Status) -> None:
    decision = decided(build, Status.PENDING, build.facts(OrderStatus.ACTIVE, build.claim(attempt)))
    assert decision.payment.status is becomes


def test_the_answer_to_create_order_makes_the_payment_pending(build: Any) -> None:
    view = OrderSnapshot("ord_1", "21", OrderStatus.ACTIVE, Money(50_000), "session_9")
    decision = domain.order_answered(build.payment(Status.CREATED), view, build.now)
    assert (decision.payment.status, decision.payment.session_id) == (Status.PENDING, "session_9")
    assert [type(told) for told in decision.announcements] == [Created]


def test_a_create_answer_that_comes_after_the_success_only_brings_the_session(build: Any) -> None:
    view = OrderSnapshot("ord_1", "21", OrderStatus.PAID, Money(50_000), "session_9")
    decision = domain.order_answered(build.payment(Status.SUCCESS), view, build.now)
    assert (decision.payment.status, decision.payment.session_id) == (Status.SUCCESS, "session_9")
    assert (decision.transitions, decision.announcements) == ([], [])


def test_a_refused_order_fails_the_payment_once(build: Any) -> None:
    decision = domain.order_answered(build.payment(Status.CREATED), OrderRefused("order_amount_invalid"), build.now)
    assert decision.payment.status is Status.FAILED
    again = domain.order_answered(decision.payment, OrderRefused("order_amount_invalid"), build.now)
    assert not again.transitions


def test_checks_become_rare_and_never_miss_the_expiry(build: Any) -> None:
    payment = build.payment(checks=0)
    first = domain.next_check(payment, build.now, 60, 1800)
    assert (first - build.now).total_seconds() == 60
    late = build.payment(checks=6)
    assert domain.next_check(late, build.now, 60, 1800) > payment.expires_at
    assert (domain.next_check(late, build.now, 60, 1800) - payment.expires_at).total_seconds() == 5
    after = domain.next_check(build.payment(checks=60), payment.expires_at, 60, 1800)
    assert (after - payment.expires_at).total_seconds() in (5, 1800)


def test_a_decision_of_a_person_stands_against_later_flags(build: Any) -> None:
    allowed = domain.flagged(build.payment(), Review.ALLOWED, "decided", None, build.now)
    assert domain.flagged(allowed, Review.FLAGGED, "velocity", 700, build.now) is allowed
    flagged = domain.flagged(build.payment(), Review.FLAGGED, "velocity", 700, build.now)
    assert (flagged.review, flagged.fraud_score, flagged.review_reason) == (Review.FLAGGED, 700, "velocity")


claims = st.builds(
    lambda number, status: (f"cf_{number}", status), st.integers(1, 3), st.sampled_from(list(AttemptStatus))
)
stories = st.lists(st.tuples(st.sampled_from(list(OrderStatus)), st.lists(claims, max_size=3)), max_size=8)


@given(story=stories, start=st.sampled_from([Status.CREATED, Status.PENDING]))
def test_whatever_is_told_in_whatever_order_there_is_one_success(build: Any, story: Any, start: Status) -> None:
    """Any sequence of webhooks, verifies and sweeps: legal moves, one capture, each duplicate told once."""
    now, ids = build.now, new_ids()
    payment = build.payment(start)
    history: list[domain.Transition] = []
    taken: list[domain.Transaction] = []
    told: list[domain.Announcement] = []
    for order, attempts in story:
        facts = build.facts(order, *(build.claim(status, gateway_payment_id=name) for name, status in attempts))
        known = {each.claim.gateway_payment_id for each in taken}
        try:
            decision = domain.decide(payment, facts, now, lambda: next(ids), captures=known)
        except FactsUnknown:
            continue
        payment = decision.payment
        history += decision.transitions
        taken += decision.transactions
        told += decision.announcements
    assert [line.seq for line in history] == list(range(2, 2 + len(history)))
    assert all(line.from_status and line.to_status in MOVES[line.from_status] for line in history)
    captured = [each for each in taken if each.status is CaptureStatus.CAPTURED]
    assert len(captured) == sum(line.to_status is Status.SUCCESS for line in history) <= 1
    assert len({each.claim.gateway_payment_id for each in taken}) == len(taken)
    alerts = [each for each in told if isinstance(each, Alerted) and each.cause == "duplicate_capture"]
    assert len(alerts) == len(taken) - len(captured)
    assert sum(isinstance(each, Created) for each in told) == (start is Status.CREATED and bool(history))
    if captured:
        assert (payment.status, payment.gateway_payment_id) == (Status.SUCCESS, captured[0].claim.gateway_payment_id)
