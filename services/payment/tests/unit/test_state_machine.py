"""The rules: the whole table of moves, and what an observed order leads to from every state."""

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
from common import ids as public_ids
from common.money import Money
from gateways import AttemptStatus, OrderRefused, OrderStatus
from payment.domain import state_machine
from payment.domain.check_schedule import CheckSchedule, next_check
from payment.domain.decisions import (
    Alerted,
    Announcement,
    Created,
    Decision,
    Moved,
    Received,
    Transaction,
)
from payment.domain.errors import OrderStateUnknown, OrderTagMismatch, TransitionInvalid
from payment.domain.orders import ObservedOrder
from payment.domain.payments import Transition, move
from payment.domain.states import (
    CLOSED_UNPAID,
    MOVES,
    PAID,
    UNRESOLVED,
    CaptureStatus,
    LateSuccessPolicy,
    Review,
    Status,
)

from ..builders import Builders

Build = type[Builders]
SCHEDULE = CheckSchedule(60, 1800)


def new_ids() -> Iterator[UUID]:
    return (UUID(int=number) for number in count(1))


def recorded(*captures: str) -> dict[str, bool]:
    """As the gateway's list has shown them."""
    return dict.fromkeys(captures, True)


def decided(build: Build, status: Status, order: ObservedOrder, **more: Any) -> Decision:
    fields = more.pop("fields", {})
    ids = new_ids()
    return state_machine.decide(build.payment(status, **fields), order, build.now, lambda: next(ids), **more)


@pytest.mark.parametrize(("start", "to"), list(product(Status, Status)))
def test_a_payment_makes_only_the_moves_in_the_table(build: Build, start: Status, to: Status) -> None:
    before = build.payment(start, seq=7)
    if to in MOVES[start]:
        after, line = move(before, to, reason="because", actor="somebody", now=build.now)
        assert (after.status, after.seq) == (to, 8)
        assert (line.from_status, line.to_status, line.seq) == (start, to, 8)
    else:
        with pytest.raises(TransitionInvalid):
            move(before, to, reason="because", actor="somebody", now=build.now)


def test_the_database_knows_the_same_moves() -> None:
    migration = Path(payment.__file__).parent / "migrations" / "0016_routing.py"
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
def test_no_order_breaks_the_table(
    build: Build, start: Status, order: OrderStatus, attempt: AttemptStatus | None
) -> None:
    """The whole product: whatever is said, moves are legal, seqs contiguous and success has exactly one capture."""
    attempts = [build.attempt(attempt)] if attempt else []
    try:
        decision = decided(build, start, build.order(order, *attempts))
    except OrderStateUnknown:
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
def test_a_verified_success_succeeds_from_every_unpaid_state(build: Build, start: Status) -> None:
    decision = decided(build, start, build.claimed(OrderStatus.PAID, build.attempt()))
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


def test_the_same_success_twice_has_no_effect(build: Build) -> None:
    decision = decided(build, Status.SUCCESS, build.order(OrderStatus.PAID, build.attempt()))
    assert (decision.transitions, decision.transactions, decision.announcements) == ([], [], [])


def test_a_second_capture_is_recorded_and_alerted_but_never_granted(build: Build) -> None:
    second = build.attempt(gateway_payment_id="cf_2")
    order = build.order(OrderStatus.PAID, build.attempt(), second)
    assert state_machine.needs_captures(build.payment(Status.SUCCESS), order)
    decision = decided(build, Status.SUCCESS, order, recorded=recorded("cf_1"))
    [duplicate], [alert, received] = decision.transactions, decision.announcements
    assert isinstance(received, Received)
    assert (duplicate.status, duplicate.attempt.gateway_payment_id) == (CaptureStatus.DUPLICATE, "cf_2")
    assert isinstance(alert, Alerted)
    assert alert.cause == "duplicate_capture"
    assert not decision.transitions
    again = decided(build, Status.SUCCESS, order, recorded=recorded("cf_1", "cf_2"))
    assert not again.announcements
    assert not again.transactions


def test_two_captures_at_once_are_one_success_and_one_duplicate(build: Build) -> None:
    order = build.order(OrderStatus.PAID, build.attempt(), build.attempt(gateway_payment_id="cf_2"))
    decision = decided(build, Status.PENDING, order)
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
def test_an_attempt_over_another_amount_is_quarantined(build: Build, wrong: dict[str, Any]) -> None:
    decision = decided(build, Status.PENDING, build.order(OrderStatus.PAID, build.attempt(**wrong)))
    assert decision.payment.status is Status.PENDING
    assert (decision.payment.review, decision.payment.review_reason) == (Review.QUARANTINED, "amount_mismatch")
    assert [each.status for each in decision.attempts] == [AttemptStatus.UNKNOWN]
    assert not decision.transactions
    causes = [each.cause for each in decision.announcements if isinstance(each, Alerted)]
    assert [cause for cause in causes if cause != "receipt_not_booked"] == ["amount_mismatch"]


def test_an_order_over_another_amount_is_quarantined_and_alerted_once(build: Build) -> None:
    order = build.order(OrderStatus.PAID, build.attempt(), amount=Money(100))
    decision = decided(build, Status.PENDING, order)
    assert decision.payment.review is Review.QUARANTINED
    assert [type(each) for each in decision.announcements] == [Received, Alerted]
    again = state_machine.decide(decision.payment, order, build.now, UUID, recorded=recorded("cf_1"))
    assert not again.announcements


@pytest.mark.parametrize("order_amount", [Money(60_000), None])
@pytest.mark.parametrize("start", sorted(PAID))
def test_a_second_capture_of_an_order_over_another_amount_is_received(
    build: Build, start: Status, order_amount: Money | None
) -> None:
    """A person fulfilled the payment with what its order, over ₹600, had brought; then the order is paid again."""
    second = build.attempt(gateway_payment_id="cf_2", amount=Money(60_000), order_amount=order_amount)
    claimed = decided(build, start, build.claimed(OrderStatus.PAID, second, amount=Money(60_000)))
    assert (claimed.list_needed, claimed.transactions, claimed.receipts) == (True, [], [])
    first = build.attempt(amount=Money(60_000), order_amount=order_amount)
    order = build.order(OrderStatus.PAID, first, second, amount=Money(60_000))
    decision = decided(build, start, order, recorded=recorded("cf_1"))
    assert [(each.status, each.attempt.gateway_payment_id) for each in decision.transactions] == [
        (CaptureStatus.DUPLICATE, "cf_2")
    ]
    assert [(each.amount, each.gateway_payment_id) for each in decision.receipts] == [(Money(60_000), "cf_2")]
    assert (decision.payment.status, decision.payment.review) == (start, Review.NONE)
    again = decided(build, start, order, recorded=recorded("cf_1", "cf_2"))
    assert (again.transactions, again.receipts, again.announcements) == ([], [], [])


@pytest.mark.parametrize(("start", "order"), list(product(sorted(PAID), set(OrderStatus) - {OrderStatus.PAID})))
@pytest.mark.parametrize("amount", [Money(50_000), Money(60_000)])
def test_an_order_that_was_paid_and_is_not_any_more_is_contradicted(
    build: Build, start: Status, order: OrderStatus, amount: Money
) -> None:
    with pytest.raises(OrderStateUnknown):
        decided(build, start, build.order(order, build.attempt(gateway_payment_id="cf_2"), amount=amount))


@pytest.mark.parametrize("tag", ["", public_ids.encode("pay", UUID(int=7))])
@pytest.mark.parametrize("status", list(OrderStatus))
@pytest.mark.parametrize("start", sorted(UNRESOLVED | CLOSED_UNPAID))
def test_an_order_without_the_payments_own_tag_decides_nothing(
    build: Build, start: Status, status: OrderStatus, tag: str
) -> None:
    """Over the same amount and under the same order id: it is somebody else's who uses the gateway account."""
    with pytest.raises(OrderTagMismatch):
        decided(build, start, build.order(status, build.attempt(), payment_id=tag))


def test_a_surcharge_is_no_mismatch(build: Build) -> None:
    decision = decided(build, Status.PENDING, build.order(OrderStatus.PAID, build.attempt(amount=Money(51_000))))
    assert decision.payment.status is Status.SUCCESS


def test_a_late_success_is_reviewed_when_the_policy_says_so(build: Build) -> None:
    decision = decided(
        build, Status.EXPIRED, build.order(OrderStatus.PAID, build.attempt()), late_success=LateSuccessPolicy.REVIEW
    )
    assert decision.payment.status is Status.EXPIRED
    assert decision.payment.review_reason == "late_success"


@pytest.mark.parametrize("order", [status for status in OrderStatus if status is not OrderStatus.PAID])
def test_a_listed_success_waits_until_the_gateway_shows_its_order_as_paid(build: Build, order: OrderStatus) -> None:
    with pytest.raises(OrderStateUnknown):
        decided(build, Status.PENDING, build.order(order, build.attempt()))


def test_a_paid_order_without_its_paying_attempt_waits(build: Build) -> None:
    with pytest.raises(OrderStateUnknown):
        decided(build, Status.PENDING, build.order(OrderStatus.PAID))


def test_a_failed_attempt_fails_the_attempt_only(build: Build) -> None:
    failed = build.attempt(AttemptStatus.FAILED, reason="declined")
    decision = decided(build, Status.PROCESSING, build.order(OrderStatus.ACTIVE, failed))
    assert (decision.payment.status, decision.payment.failure_reason) == (Status.PENDING, "declined")
    closed = state_machine.decide(decision.payment, build.claimed(OrderStatus.EXPIRED), build.now, UUID)
    assert closed.payment.status is Status.FAILED
    assert [each.reason for each in closed.announcements if isinstance(each, Moved)] == ["declined"]


def test_an_order_that_nobody_tried_to_pay_expires(build: Build) -> None:
    decision = decided(build, Status.PENDING, build.order(OrderStatus.EXPIRED))
    assert decision.payment.status is Status.EXPIRED


@pytest.mark.parametrize(("wished", "becomes"), [(True, Status.CANCELLED), (False, Status.FAILED)])
def test_a_terminated_order_is_cancelled_when_we_asked_for_it(build: Build, wished: bool, becomes: Status) -> None:
    decision = decided(build, Status.PENDING, build.order(OrderStatus.TERMINATED), fields={"cancel_requested": wished})
    assert decision.payment.status is becomes


@pytest.mark.parametrize(
    ("attempt", "becomes"),
    [(AttemptStatus.AUTHORIZING, Status.AUTHORIZING), (AttemptStatus.PENDING, Status.PROCESSING)],
)
def test_an_open_payment_follows_its_attempt(build: Build, attempt: AttemptStatus, becomes: Status) -> None:
    decision = decided(build, Status.PENDING, build.order(OrderStatus.ACTIVE, build.attempt(attempt)))
    assert decision.payment.status is becomes


def test_the_answer_to_create_order_makes_the_payment_pending(build: Build) -> None:
    view = build.snapshot(OrderStatus.ACTIVE, session_id="session_9")
    decision = state_machine.decide_order_outcome(build.payment(Status.CREATED), view, build.now)
    assert (decision.payment.status, decision.payment.session_id) == (Status.PENDING, "session_9")
    assert [type(each) for each in decision.announcements] == [Created]


def test_a_create_answer_that_comes_after_the_success_only_brings_the_session(build: Build) -> None:
    view = build.snapshot(OrderStatus.PAID, session_id="session_9")
    decision = state_machine.decide_order_outcome(build.payment(Status.SUCCESS), view, build.now)
    assert (decision.payment.status, decision.payment.session_id) == (Status.SUCCESS, "session_9")
    assert (decision.transitions, decision.announcements) == ([], [])


def test_a_refused_order_fails_the_payment_once(build: Build) -> None:
    decision = state_machine.decide_order_outcome(
        build.payment(Status.CREATED), OrderRefused("order_amount_invalid"), build.now
    )
    assert decision.payment.status is Status.FAILED
    again = state_machine.decide_order_outcome(decision.payment, OrderRefused("order_amount_invalid"), build.now)
    assert not again.transitions


def test_checks_become_rare_and_never_miss_the_expiry(build: Build) -> None:
    payment = build.payment(checks=0)
    first = next_check(payment, build.now, SCHEDULE)
    assert (first - build.now).total_seconds() == 60
    late = build.payment(checks=6)
    assert next_check(late, build.now, SCHEDULE) > payment.expires_at
    assert (next_check(late, build.now, SCHEDULE) - payment.expires_at).total_seconds() == 5
    after = next_check(build.payment(checks=60), payment.expires_at, SCHEDULE)
    assert (after - payment.expires_at).total_seconds() in (5, 1800)


reported_attempts = st.builds(
    lambda number, status: (f"cf_{number}", status), st.integers(1, 3), st.sampled_from(list(AttemptStatus))
)
histories = st.lists(st.tuples(st.sampled_from(list(OrderStatus)), st.lists(reported_attempts, max_size=3)), max_size=8)


@given(observed=histories, start=st.sampled_from([Status.CREATED, Status.PENDING]))
def test_whatever_is_observed_in_whatever_order_there_is_one_success(
    build: Build, observed: Any, start: Status
) -> None:
    """Any sequence of webhooks, verifies and sweeps: legal moves, one capture, one alert for each duplicate."""
    now, ids = build.now, new_ids()
    payment = build.payment(start)
    history: list[Transition] = []
    transactions: list[Transaction] = []
    announcements: list[Announcement] = []
    for status, attempts in observed:
        order = build.order(status, *(build.attempt(each, gateway_payment_id=name) for name, each in attempts))
        captures = recorded(*(each.attempt.gateway_payment_id for each in transactions))
        try:
            decision = state_machine.decide(payment, order, now, lambda: next(ids), recorded=captures)
        except OrderStateUnknown:
            continue
        payment = decision.payment
        history += decision.transitions
        transactions += decision.transactions
        announcements += decision.announcements
    assert [line.seq for line in history] == list(range(2, 2 + len(history)))
    assert all(line.from_status and line.to_status in MOVES[line.from_status] for line in history)
    captured = [each for each in transactions if each.status is CaptureStatus.CAPTURED]
    assert len(captured) == sum(line.to_status is Status.SUCCESS for line in history) <= 1
    assert len({each.attempt.gateway_payment_id for each in transactions}) == len(transactions)
    alerts = [each for each in announcements if isinstance(each, Alerted) and each.cause == "duplicate_capture"]
    assert len(alerts) == len(transactions) - len(captured)
    assert sum(isinstance(each, Created) for each in announcements) == (start is Status.CREATED and bool(history))
    if captured:
        assert (payment.status, payment.gateway_payment_id) == (Status.SUCCESS, captured[0].attempt.gateway_payment_id)
