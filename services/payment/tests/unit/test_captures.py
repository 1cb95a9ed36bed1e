"""A webhook is a claim, not a fact: whatever is signed, the gateway's own answers decide."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.money import Money
from gateways import AttemptStatus, OrderStatus, PaymentAttempt
from payment.domain import state_machine
from payment.domain.decisions import Alerted, Corrected, Decision
from payment.domain.errors import OrderStateUnknown
from payment.domain.orders import ObservedOrder, needs_list
from payment.domain.payments import Payment
from payment.domain.states import PAID, UNRESOLVED, CaptureStatus, LateSuccessPolicy, Review, Status

from ..builders import INR_500, Builders

Build = type[Builders]
UNCONFIRMED = {"cf_1": False}
WRONG_AMOUNTS = [
    {"amount": Money(9_999_999)},
    {"amount": Money(49_999)},
    {"amount": Money(50_000, "USD")},
    {"amount": None},
    {"order_amount": Money(1)},
]


def new_ids() -> Iterator[UUID]:
    return (UUID(int=number) for number in count(1))


def decided(payment: Payment, order: ObservedOrder, **more: Any) -> Decision:
    ids = new_ids()
    return state_machine.decide(payment, order, Builders.now, lambda: next(ids), **more)


# ── When the list is read ────────────────────────────────────────────────────────────────────────────────────────


def test_a_claim_of_exactly_the_orders_amount_on_a_paid_order_needs_no_list(build: Build) -> None:
    assert not needs_list(build.snapshot(OrderStatus.PAID), [build.attempt(), build.attempt()])
    assert not needs_list(build.snapshot(OrderStatus.ACTIVE), [build.attempt(AttemptStatus.FAILED)])
    assert not needs_list(build.snapshot(OrderStatus.EXPIRED), [])


@pytest.mark.parametrize("wrong", WRONG_AMOUNTS)
def test_a_claim_of_another_amount_needs_the_list(build: Build, wrong: dict[str, Any]) -> None:
    assert needs_list(build.snapshot(OrderStatus.PAID), [build.attempt(**wrong)])
    assert needs_list(build.snapshot(OrderStatus.PAID), [build.attempt(), build.attempt(**wrong)])
    with pytest.raises(OrderStateUnknown):
        decided(build.payment(), build.claimed(OrderStatus.PAID, build.attempt(**wrong)))


@pytest.mark.parametrize("status", [status for status in OrderStatus if status is not OrderStatus.PAID])
def test_a_success_on_an_order_that_is_not_paid_needs_the_list(build: Build, status: OrderStatus) -> None:
    assert needs_list(build.snapshot(status), [build.attempt()])


def test_two_payers_or_none_need_the_list(build: Build) -> None:
    assert needs_list(build.snapshot(OrderStatus.PAID), [build.attempt(), build.attempt(gateway_payment_id="cf_2")])
    assert needs_list(build.snapshot(OrderStatus.PAID), [build.attempt(AttemptStatus.FAILED)])


# ── What a claim does ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_capture_may_come_from_a_claim_and_is_unconfirmed(build: Build) -> None:
    [capture] = decided(build.payment(), build.claimed(OrderStatus.PAID, build.attempt())).transactions
    assert (capture.status, capture.confirmed) == (CaptureStatus.CAPTURED, False)
    [listed] = decided(build.payment(), build.order(OrderStatus.PAID, build.attempt())).transactions
    assert listed.confirmed


@pytest.mark.parametrize("start", sorted(PAID))
def test_a_claim_that_adds_to_a_paid_payment_only_asks_for_the_list(build: Build, start: Status) -> None:
    payment = build.payment(start)
    ghost = build.attempt(gateway_payment_id="cf_ghost")
    decision = decided(payment, build.claimed(OrderStatus.PAID, ghost))
    assert decision.list_needed
    assert (decision.transactions, decision.announcements, decision.attempts, decision.corrections) == ([], [], [], [])
    assert decision.payment.review is Review.NONE


def test_a_claim_does_not_release_a_quarantined_payment(build: Build) -> None:
    held = build.payment(review=Review.QUARANTINED, review_reason="amount_mismatch", next_check_at=None)
    decision = decided(held, build.claimed(OrderStatus.PAID, build.attempt()))
    assert decision.list_needed
    assert (decision.transactions, decision.payment.status) == ([], Status.PENDING)


@pytest.mark.parametrize("status", [OrderStatus.ACTIVE, OrderStatus.TERMINATING])
def test_a_denied_success_hastens_the_search_and_does_nothing_else(build: Build, status: OrderStatus) -> None:
    late = build.now + timedelta(minutes=20)
    order = ObservedOrder(build.snapshot(status), (build.attempt(),), ())
    decision = decided(build.payment(next_check_at=late), order)
    assert build.now < decision.payment.next_check_at < late  # type: ignore[operator]
    assert (decision.transactions, decision.announcements, decision.attempts) == ([], [], [])
    soon = build.now + timedelta(seconds=1)
    assert decided(build.payment(next_check_at=soon), order).payment.next_check_at == soon


@pytest.mark.parametrize("start", [Status.FAILED, Status.EXPIRED, Status.CANCELLED])
def test_a_denied_success_on_a_closed_payment_has_it_looked_at_again(build: Build, start: Status) -> None:
    order = ObservedOrder(build.snapshot(OrderStatus.EXPIRED), (build.attempt(),), ())
    decision = decided(build.payment(start, next_check_at=None), order)
    assert decision.watched
    assert (decision.transitions, decision.announcements, decision.attempts) == ([], [], [])


def test_the_list_stands_against_what_a_webhook_said_of_a_failure(build: Build) -> None:
    failed = build.attempt(AttemptStatus.FAILED, reason="declined")
    claimed = decided(build.payment(), build.claimed(OrderStatus.ACTIVE, failed)).payment
    assert claimed.failure_reason == "declined"
    after = decided(claimed, build.order(OrderStatus.EXPIRED)).payment
    assert (after.status, after.failure_reason) == (Status.EXPIRED, "")


# ── Ghosts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_ghost_is_replaced_by_the_attempt_that_paid(build: Build) -> None:
    true = build.attempt(gateway_payment_id="cf_true", method="card", at=build.now - timedelta(seconds=5))
    decision = decided(build.payment(Status.SUCCESS), build.order(OrderStatus.PAID, true), recorded=UNCONFIRMED)
    [correction], [announced] = decision.corrections, decision.announcements
    assert (correction.claimed_id, correction.attempt, correction.replaces) == ("cf_1", true, True)
    assert isinstance(announced, Corrected)
    assert (decision.transactions, decision.transitions) == ([], [])
    after = decision.payment
    assert (after.status, after.gateway_payment_id, after.method, after.paid_at) == (
        Status.SUCCESS,
        "cf_true",
        "card",
        true.at,
    )


def test_a_true_attempt_is_confirmed_and_a_second_one_is_a_duplicate(build: Build) -> None:
    listed = build.order(OrderStatus.PAID, build.attempt(gateway_payment_id="cf_2"), build.attempt())
    decision = decided(build.payment(Status.SUCCESS), listed, recorded=UNCONFIRMED)
    [correction], [second] = decision.corrections, decision.transactions
    assert not correction.replaces
    assert (second.status, second.attempt.gateway_payment_id, second.confirmed) == (
        CaptureStatus.DUPLICATE,
        "cf_2",
        True,
    )


def test_what_a_list_has_confirmed_is_not_replaced(build: Build) -> None:
    recorded = {"cf_1": True}
    listed = build.order(OrderStatus.PAID, build.attempt(gateway_payment_id="cf_2"))
    decision = decided(build.payment(Status.SUCCESS), listed, recorded=recorded)
    assert decision.corrections == []
    assert [each.status for each in decision.transactions] == [CaptureStatus.DUPLICATE]


@pytest.mark.parametrize("status", [status for status in OrderStatus if status is not OrderStatus.PAID])
def test_an_older_snapshot_takes_nothing_back(build: Build, status: OrderStatus) -> None:
    """The order was read before it was paid, and the answer comes after the success."""
    pending = build.attempt(AttemptStatus.PENDING)
    decision = decided(build.payment(Status.SUCCESS), build.order(status, pending), recorded=UNCONFIRMED)
    assert (decision.corrections, decision.attempts, decision.transitions) == ([], [], [])


@pytest.mark.parametrize("start", sorted(PAID))
def test_an_order_that_changes_its_amount_after_it_was_paid_quarantines_nothing(build: Build, start: Status) -> None:
    order = build.order(OrderStatus.PAID, build.attempt(), amount=Money(1))
    assert decided(build.payment(start), order, recorded=UNCONFIRMED).payment.review is Review.NONE


def test_who_paid_in_full_is_captured_and_who_paid_short_is_a_duplicate(build: Build) -> None:
    short = build.attempt(gateway_payment_id="cf_short", amount=Money(49_999))
    decision = decided(build.payment(), build.order(OrderStatus.PAID, short, build.attempt()))
    assert {each.attempt.gateway_payment_id: each.status for each in decision.transactions} == {
        "cf_1": CaptureStatus.CAPTURED,
        "cf_short": CaptureStatus.DUPLICATE,
    }
    assert decision.payment.review is Review.NONE


def test_a_quarantined_payment_is_looked_at_on(build: Build) -> None:
    order = build.order(OrderStatus.PAID, build.attempt(amount=Money(49_999)))
    assert decided(build.payment(), order).watched


def test_a_late_success_that_is_reviewed_waits_for_the_list(build: Build) -> None:
    review = LateSuccessPolicy.REVIEW
    claimed = build.claimed(OrderStatus.PAID, build.attempt())
    decision = decided(build.payment(Status.EXPIRED), claimed, late_success=review)
    assert decision.list_needed
    assert (decision.announcements, decision.payment.review) == ([], Review.NONE)


# ── Any bodies at all ────────────────────────────────────────────────────────────────────────────────────────────


class Truth(NamedTuple):
    """What the gateway shows: its order, and all attempts at it."""

    status: OrderStatus
    attempts: tuple[PaymentAttempt, ...]


class Outcome(NamedTuple):
    payment: Payment
    captures: dict[str, CaptureStatus]
    alerts: set[tuple[str, str]]


names = st.sampled_from(["cf_a", "cf_b", "cf_ghost", "cf_other"])
amounts = st.sampled_from([INR_500, INR_500, Money(1), Money(9_999_999), Money(50_000, "USD"), None])
claims = st.builds(
    lambda name, status, amount, order_amount: Builders.attempt(
        status, gateway_payment_id=name, amount=amount, order_amount=order_amount, reason="declined"
    ),
    names,
    st.sampled_from(list(AttemptStatus)),
    amounts,
    st.sampled_from([INR_500, None, Money(2)]),
)


@st.composite
def truths(draw: st.DrawFn) -> list[Truth]:
    """An order's life at the gateway: open or closed, then perhaps paid in full, perhaps once more, or short."""
    unpaid = [OrderStatus.ACTIVE, OrderStatus.EXPIRED, OrderStatus.TERMINATED]
    life = [Truth(status, ()) for status in draw(st.lists(st.sampled_from(unpaid), min_size=1, max_size=2))]
    payers = draw(st.lists(st.sampled_from(["cf_a", "cf_b", "cf_c"]), unique=True, max_size=3))
    paid: tuple[PaymentAttempt, ...] = ()
    for number, name in enumerate(payers):
        # The gateway shows no order as paid that nobody paid in full.
        amount = INR_500 if number == 0 else draw(st.sampled_from([INR_500, Money(51_000), Money(49_999)]))
        paid = (*paid, Builders.attempt(gateway_payment_id=name, amount=amount))
        life.append(Truth(OrderStatus.PAID, paid))
    return life


# An index into the order's life only grows; each step brings signed bodies, or a look of our own, or both.
steps = st.lists(st.tuples(st.integers(0, 3), st.lists(claims, max_size=3), st.booleans()), max_size=8)


def run(life: Sequence[Truth], course: Sequence[tuple[int, list[PaymentAttempt], bool]], start: Payment) -> Outcome:
    """The payment after *course* and a last read of the list, as the use cases drive decide()."""
    payment, now, ids, late = start, Builders.now, new_ids(), LateSuccessPolicy.FULFIL
    recorded: dict[str, bool] = {}
    captures: dict[str, CaptureStatus] = {}
    alerts: set[tuple[str, str]] = set()

    def apply(order: ObservedOrder) -> bool:
        """Whether the list has to be read."""
        nonlocal payment
        try:
            decision = state_machine.decide(
                payment, order, now, lambda: next(ids), recorded=dict(recorded), late_success=late
            )
        except OrderStateUnknown:
            return False
        if payment.unresolved and decision.payment.unresolved and decision.payment.review is Review.NONE:
            assert decision.payment.next_check_at is not None, "the search goes on"
        payment = decision.payment
        for correction in decision.corrections:
            del recorded[correction.claimed_id]
            recorded[correction.attempt.gateway_payment_id] = True
            captures[correction.attempt.gateway_payment_id] = captures.pop(correction.claimed_id)
        for transaction in decision.transactions:
            assert transaction.attempt.gateway_payment_id not in recorded
            recorded[transaction.attempt.gateway_payment_id] = transaction.confirmed
            captures[transaction.attempt.gateway_payment_id] = transaction.status
        for each in decision.announcements:
            if isinstance(each, Alerted):
                alerts.add((each.cause, each.detail))
        return decision.list_needed

    for at, signed, read in (*course, (len(life) - 1, [], True)):
        truth = life[min(at, len(life) - 1)]
        snapshot = Builders.snapshot(truth.status)
        listed = read or needs_list(snapshot, signed)
        order = ObservedOrder(snapshot, tuple(signed), truth.attempts if listed else None)
        if apply(order):
            apply(ObservedOrder(snapshot, listed=truth.attempts))
    return Outcome(payment, captures, alerts)


def advancing(course: list[tuple[int, list[PaymentAttempt], bool]]) -> list[tuple[int, list[PaymentAttempt], bool]]:
    at = 0
    advanced = []
    for step, signed, read in course:
        at = max(at, step)
        advanced.append((at, signed, read))
    return advanced


@example(
    life=[Truth(OrderStatus.PAID, (Builders.attempt(gateway_payment_id="cf_a"),))],
    course=[(0, [Builders.attempt(gateway_payment_id="cf_ghost")], False)],
    start=Status.PENDING,
)
# How long a draw takes says how busy the machine is.
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(life=truths(), course=steps.map(advancing), start=st.sampled_from(sorted(UNRESOLVED | {Status.EXPIRED})))
def test_after_the_next_read_no_signed_body_has_left_anything(
    life: list[Truth], course: list[tuple[int, list[PaymentAttempt], bool]], start: Status
) -> None:
    """Nothing is booked, granted, quarantined or alerted that reads of the gateway alone would not lead to."""
    payment = Builders.payment(start)
    outcome = run(life, course, payment)
    # The gateway read at each of these moments, and nobody signs anything.
    facts = run(life, [(at, [], True) for at, _, _ in course], payment)
    assert outcome.captures.keys() == facts.captures.keys()
    assert list(outcome.captures.values()).count(CaptureStatus.CAPTURED) == (outcome.payment.status in PAID)
    assert (outcome.payment.status in PAID) == (facts.payment.status in PAID)
    assert (outcome.payment.review, outcome.payment.review_reason) == (
        facts.payment.review,
        facts.payment.review_reason,
    )
    if outcome.payment.status in PAID:
        captured = outcome.captures[outcome.payment.gateway_payment_id]
        assert captured is CaptureStatus.CAPTURED
    assert {cause for cause, _ in outcome.alerts} <= {cause for cause, _ in facts.alerts}
    assert len(outcome.alerts) <= len(facts.alerts)
