"""Refunds: the table of moves, what the gateway's word leads to, parts that add up, one request that is sent twice."""

from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from common import ids
from common.money import Money
from gateways.refunds import RefundSnapshot, RefundSpeed
from gateways.refunds import RefundStatus as GatewayStatus
from payment.domain import refund_requests, refunds
from payment.domain.payments import Payment
from payment.domain.pricing import Credits, TaxRule, split_tax
from payment.domain.refund_errors import (
    PaymentNotRefundable,
    RefundAmountInvalid,
    RefundLimitExceeded,
    RefundsTooMany,
    RefundTransitionInvalid,
)
from payment.domain.refund_requests import RefundLimits, RefundOrder
from payment.domain.refund_schedule import expected_date, next_check
from payment.domain.refund_takeovers import NotTakenOver, taken_over
from payment.domain.refunds import FOLLOWS, MOVES, Refund, RefundSource, RefundStatus
from payment.domain.spent_credits import SpentCreditsPolicy
from payment.domain.states import Status

from ..builders import NOW, Builders

R, G = RefundStatus, GatewayStatus
LIMITS = RefundLimits(
    support_max_minor=10_000,
    approval_above_minor=40_000,
    approval_life=timedelta(hours=1),
    repeat=timedelta(hours=24),
)


def a_refund(payment: Payment, minor: int, others: list[Refund] | None = None, **fields: Any) -> Refund:
    amount = Money(minor)
    tax, credits = refunds.split(payment, others or [], amount)
    usual: dict[str, Any] = {
        "id": ids.new(),
        "payment_id": payment.id,
        "merchant_id": payment.merchant_id,
        "gateway": payment.gateway,
        "gateway_payment_id": payment.gateway_payment_id,
        "amount": amount,
        "tax": tax,
        "credits": credits,
        "policy": SpentCreditsPolicy.BLOCK,
        "reason": "the customer asked",
        "source": RefundSource.STAFF,
        "requested_by": "usr_finance",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Refund(**usual | fields)


def test_a_payment_is_refunded_in_a_bounded_number_of_parts() -> None:
    payment = Builders.payment(Status.SUCCESS)
    failed = [a_refund(payment, 100, status=R.FAILED) for _ in range(refunds.REFUNDS_MAX)]
    assert refunds.check_refundable(payment, failed[1:], 0, None) == payment.amount
    with pytest.raises(RefundsTooMany):
        refunds.check_refundable(payment, failed, 0, None)


# ── States ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("before", "after"), list(product(RefundStatus, RefundStatus)))
def test_a_refund_moves_as_the_table_says(before: RefundStatus, after: RefundStatus) -> None:
    refund = a_refund(Builders.payment(Status.SUCCESS), 100, status=before, seq=3)
    allowed = (before, after) in {
        (R.INITIATED, R.PROCESSING),
        (R.INITIATED, R.FAILED),
        (R.PROCESSING, R.SUCCESS),
        (R.PROCESSING, R.FAILED),
        (R.SUCCESS, R.REVERSED),
    }
    if not allowed:
        with pytest.raises(RefundTransitionInvalid):
            refunds.move(refund, after, reason="r", actor="a", now=NOW)
        return
    moved, transition = refunds.move(refund, after, reason="r", actor="a", now=NOW)
    assert (moved.status, moved.seq) == (after, 4)
    assert (transition.from_status, transition.to_status, transition.seq) == (before, after, 4)


@pytest.mark.parametrize(("status", "shown"), list(product(RefundStatus, GatewayStatus)))
def test_what_the_gateway_shows_leads_to_moves_of_the_table(status: RefundStatus, shown: GatewayStatus) -> None:
    for to in FOLLOWS.get((status, shown), ()):
        assert to in MOVES[status]
        status = to
    # What is final for us stays so, and a refund that waits for its hold is not moved by anybody else.
    assert status not in (R.INITIATED,) or not FOLLOWS.get((status, shown))
    assert not FOLLOWS.get((R.FAILED, shown)) and not FOLLOWS.get((R.REVERSED, shown))


@pytest.mark.parametrize(
    ("status", "succeeded", "lost", "expected"),
    [
        (Status.SUCCESS, 0, 0, Status.SUCCESS),
        (Status.SUCCESS, 100, 0, Status.PARTIALLY_REFUNDED),
        (Status.SETTLED, 0, 0, Status.SETTLED),
        (Status.SETTLED, 50_000, 0, Status.REFUNDED),
        (Status.PARTIALLY_REFUNDED, 50_000, 0, Status.REFUNDED),
        (Status.PARTIALLY_REFUNDED, 0, 0, Status.SUCCESS),
        (Status.REFUNDED, 100, 0, Status.PARTIALLY_REFUNDED),
        (Status.REFUNDED, 0, 0, Status.SUCCESS),
        (Status.DISPUTED, 50_000, 0, Status.DISPUTED),
        # What a lost dispute took went back as well: a reversed refund does not bring it home.
        (Status.REFUNDED, 0, 20_000, Status.PARTIALLY_REFUNDED),
        (Status.PARTIALLY_REFUNDED, 30_000, 20_000, Status.REFUNDED),
    ],
)
def test_a_payment_is_what_its_refunds_say(status: Status, succeeded: int, lost: int, expected: Status) -> None:
    payment = Builders.payment(status)
    made = [a_refund(payment, succeeded, status=R.SUCCESS, succeeded_at=NOW)] if succeeded else []
    assert refunds.refunded_status(payment, made, lost) is expected


# ── Amounts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def histories(draw: st.DrawFn) -> tuple[Payment, list[tuple[int, bool]]]:
    amount = Money(draw(st.integers(100, 200_000)))
    rate = draw(st.sampled_from([0, 500, 1200, 1800, 2800]))
    rule = TaxRule(rate, True, "29")
    _, tax = split_tax(amount, rule, draw(st.sampled_from(["29", "27"])))
    credits = Credits(draw(st.integers(0, 50_000)), draw(st.integers(0, 5_000)))
    payment = Builders.payment(Status.SUCCESS, amount=amount, credits=credits)
    parts = draw(st.lists(st.tuples(st.integers(1, amount.minor), st.booleans()), max_size=12))
    return replace(payment, tax=tax), parts


@settings(max_examples=300, deadline=None)
@given(histories())
def test_parts_add_up_in_whatever_order_refunds_are_made_and_fail(
    history: tuple[Payment, list[tuple[int, bool]]],
) -> None:
    payment, wanted = history
    made: list[Refund] = []
    for minor, fails in wanted:
        left = refunds.refundable(payment, made, 0).minor
        if not left:
            break
        part = min(max(minor, refunds.PART_MINOR_MIN), left)
        refund = a_refund(payment, left if left - part < refunds.PART_MINOR_MIN else part, made)
        # The struct itself refuses parts that are negative or do not add up to the amount.
        assert min(refund.tax.net.minor, refund.tax.cgst.minor, refund.tax.igst.minor) >= 0
        assert refund.tax.cgst == refund.tax.sgst
        made.append(replace(refund, status=R.FAILED if fails else R.INITIATED))
    left = refunds.refundable(payment, made, 0)
    if left.minor:
        made.append(a_refund(payment, left.minor, made))
    kept = refunds.counted(made)
    assert sum(each.amount.minor for each in kept) == payment.amount.minor
    for name in ("net", "cgst", "sgst", "igst"):
        assert sum(getattr(each.tax, name).minor for each in kept) == getattr(payment.tax, name).minor
    assert sum(each.credits.paid for each in kept) == payment.credits.paid
    assert sum(each.credits.bonus for each in kept) == payment.credits.bonus


@pytest.mark.parametrize(
    ("minor", "is_taken"), [(1, False), (99, False), (100, True), (900, True), (901, False), (1_000, True)]
)
def test_a_part_is_a_rupee_and_leaves_one(minor: int, is_taken: bool) -> None:
    payment = Builders.payment(Status.SUCCESS, amount=Money(1_000))
    if is_taken:
        assert refunds.check_refundable(payment, [], 0, Money(minor)) == Money(minor)
    else:
        with pytest.raises(RefundAmountInvalid):
            refunds.check_refundable(payment, [], 0, Money(minor))


def test_what_a_lost_dispute_took_is_not_refunded_once_more() -> None:
    payment = Builders.payment(Status.PARTIALLY_REFUNDED, amount=Money(50_000))
    assert refunds.refundable(payment, [], 20_000) == Money(30_000)
    assert refunds.check_refundable(payment, [], 20_000, None) == Money(30_000)
    with pytest.raises(RefundAmountInvalid):
        refunds.check_refundable(payment, [], 20_000, Money(30_001))
    with pytest.raises(PaymentNotRefundable):
        refunds.check_refundable(payment, [a_refund(payment, 30_000)], 20_000, None)


def test_an_old_payments_odd_paisa_goes_back_with_its_last_refund() -> None:
    payment = Builders.payment(Status.SUCCESS, amount=Money(1_001))
    tax = replace(payment.tax, net=Money(848), cgst=Money(77), sgst=Money(76), igst=Money(0))
    payment = replace(payment, tax=tax)
    first = a_refund(payment, 500)
    second = a_refund(payment, 501, [first])
    assert first.tax.cgst == first.tax.sgst
    assert second.tax.cgst.minor - second.tax.sgst.minor == 1
    assert first.tax.cgst.minor + second.tax.cgst.minor == 77


def test_more_than_is_left_is_refused() -> None:
    payment = Builders.payment(Status.SUCCESS)
    first = a_refund(payment, 30_000)
    assert refunds.check_refundable(payment, [first], 0, None) == Money(20_000)
    assert refunds.check_refundable(payment, [first], 0, Money(20_000)) == Money(20_000)
    for amount in (Money(20_001), Money(0), Money(1, "USD")):
        with pytest.raises(RefundAmountInvalid):
            refunds.check_refundable(payment, [first], 0, amount)
    failed, back = replace(first, status=R.FAILED), replace(first, status=R.REVERSED, succeeded_at=NOW)
    assert refunds.refundable(payment, [failed, back], 0) == Money(50_000)
    with pytest.raises(PaymentNotRefundable):
        refunds.check_refundable(payment, [first, a_refund(payment, 20_000, [first])], 0, None)


@pytest.mark.parametrize("status", [each for each in Status if each not in refunds.REFUNDABLE])
def test_only_a_payment_that_is_paid_is_refunded(status: Status) -> None:
    with pytest.raises(PaymentNotRefundable):
        refunds.check_refundable(Builders.payment(status), [], 0, None)


# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def an_order(minor: int | None = 10_000, **fields: Any) -> RefundOrder:
    usual: dict[str, Any] = {
        "payment_id": Builders.payment().id,
        "merchant_id": "mer_commdesk",
        "amount": None if minor is None else Money(minor),
        "reason": "the customer asked",
        "requested_by": "usr_finance",
    }
    return RefundOrder(**usual | fields)


def test_the_same_act_within_the_window_is_the_same_refund() -> None:
    payment = Builders.payment(Status.SUCCESS)
    first = a_refund(payment, 10_000)

    def earlier(order: RefundOrder, made: list[Refund], after: timedelta = timedelta(hours=3)) -> Refund | None:
        return refund_requests.earlier_request(order, payment, made, 0, NOW + after, LIMITS)

    assert earlier(an_order(), [first]) is first
    assert earlier(an_order(reason=" The customer asked "), [first]) is first
    assert earlier(an_order(requested_by="usr_admin"), [first]) is first
    assert earlier(an_order(reason="another reason"), [first]) is None
    assert earlier(an_order(9_999), [first]) is None
    assert earlier(an_order(), [first], timedelta(hours=24)) is None
    assert earlier(an_order(), [replace(first, status=R.FAILED)]) is None
    assert earlier(an_order(), [replace(first, source=RefundSource.GATEWAY)]) is None
    assert earlier(an_order(None), [first]) is None
    whole = a_refund(payment, 50_000)
    assert earlier(an_order(None), [whole]) is whole


def test_limits_of_support_and_of_one_person() -> None:
    support = an_order(is_limited=True)
    assert not refund_requests.check_limits(support, Money(10_000), [], LIMITS)
    with pytest.raises(RefundLimitExceeded):
        refund_requests.check_limits(support, Money(10_001), [], LIMITS)
    assert not refund_requests.check_limits(an_order(), Money(40_000), [], LIMITS)
    assert refund_requests.check_limits(an_order(), Money(40_001), [], LIMITS)
    # Who holds a key could approve what it proposes: a key refunds what needs no second person, and no more.
    assert not refund_requests.check_limits(an_order(is_by_key=True), Money(40_000), [], LIMITS)
    with pytest.raises(RefundLimitExceeded):
        refund_requests.check_limits(an_order(is_by_key=True), Money(40_001), [], LIMITS)


def test_a_large_refund_in_parts_is_a_large_refund() -> None:
    payment = Builders.payment(Status.SUCCESS)
    first = a_refund(payment, 6_000)
    with pytest.raises(RefundLimitExceeded):
        refund_requests.check_limits(an_order(is_limited=True), Money(4_001), [first], LIMITS)
    assert not refund_requests.check_limits(an_order(), Money(34_000), [first], LIMITS)
    assert refund_requests.check_limits(an_order(), Money(34_001), [first], LIMITS)


@pytest.mark.parametrize("fields", [{"status": R.FAILED}, {"source": RefundSource.GATEWAY}])
def test_what_staff_did_not_refund_leaves_the_limits_alone(fields: dict[str, Any]) -> None:
    other = a_refund(Builders.payment(Status.SUCCESS), 40_000, **fields)
    assert not refund_requests.check_limits(an_order(is_limited=True), Money(10_000), [other], LIMITS)
    assert not refund_requests.check_limits(an_order(), Money(10_000), [other], LIMITS)


# ── Refunds of the gateway's dashboard ───────────────────────────────────────────────────────────────────────────────


def shown(minor: int = 10_000, status: GatewayStatus = G.SUCCESS, **fields: Any) -> RefundSnapshot:
    usual: dict[str, Any] = {
        "refund_id": "dashboard_7",
        "gateway_refund_id": "cfr_7",
        "order_id": "ord_1",
        "gateway_payment_id": "cf_1",
        "status": status,
        "amount": Money(minor),
    }
    return RefundSnapshot(**usual | fields)


def test_a_refund_of_the_dashboard_becomes_ours_and_never_blocks() -> None:
    payment = Builders.payment(Status.SUCCESS)
    found = taken_over(payment, [], [], shown(), SpentCreditsPolicy.BLOCK, ids.new(), NOW)
    assert isinstance(found, Refund)
    assert (found.status, found.source, found.policy) == (R.INITIATED, RefundSource.GATEWAY, SpentCreditsPolicy.ABSORB)
    assert (found.credits, found.gateway_refund_id) == (Credits(1_000, 100), "cfr_7")


@pytest.mark.parametrize("status", [G.FAILED, G.REVERSED])
def test_a_refund_of_the_dashboard_that_gave_nothing_back_is_left_alone(status: GatewayStatus) -> None:
    payment = Builders.payment(Status.SUCCESS)
    assert taken_over(payment, [], [], shown(status=status), SpentCreditsPolicy.DEBT, ids.new(), NOW) is None


def test_a_refund_of_the_dashboard_that_does_not_fit_is_for_a_person() -> None:
    payment = Builders.payment(Status.SUCCESS)
    first = a_refund(payment, 45_000)
    for snapshot in (shown(5_001), shown(gateway_payment_id="cf_9"), shown(gateway_refund_id="")):
        found = taken_over(payment, [first], [], snapshot, SpentCreditsPolicy.DEBT, ids.new(), NOW)
        assert isinstance(found, NotTakenOver)


# ── Times ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_expected_date_counts_working_days_in_india() -> None:
    # A Thursday evening in India.
    at = datetime(2026, 4, 2, 14, 0, tzinfo=UTC)
    assert expected_date("upi", RefundSpeed.STANDARD, at) == date(2026, 4, 7)
    assert expected_date("card", RefundSpeed.STANDARD, at) == date(2026, 4, 13)
    assert expected_date("", RefundSpeed.STANDARD, at) == date(2026, 4, 13)
    assert expected_date("card", RefundSpeed.INSTANT, at) == date(2026, 4, 3)
    # After midnight in India it is the next day.
    assert expected_date("upi", RefundSpeed.INSTANT, datetime(2026, 4, 2, 19, 0, tzinfo=UTC)) == date(2026, 4, 6)


def test_checks_come_ever_more_rarely_and_go_on_after_the_success() -> None:
    refund = a_refund(Builders.payment(Status.SUCCESS), 100, status=R.PROCESSING)
    waits = [(next_check(replace(refund, checks=count), NOW) or NOW) - NOW for count in (0, 1, 5, 40)]
    assert waits == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=32), timedelta(hours=1)]
    done = replace(refund, status=R.SUCCESS, succeeded_at=NOW)
    assert next_check(done, NOW) == NOW + timedelta(days=1)
    assert next_check(done, NOW + timedelta(days=4)) == NOW + timedelta(days=7)
    assert next_check(done, NOW + timedelta(days=31)) is None
    assert next_check(replace(refund, status=R.FAILED), NOW) is None
