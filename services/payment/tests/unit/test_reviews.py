"""Receipts, holds and decisions: every race as a table, and the books of any course of events as a property."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.errors import DomainError
from common.money import Money
from gateways import AttemptStatus, OrderStatus, PaymentAttempt
from payment.domain import reviews, state_machine
from payment.domain.decisions import (
    Alerted,
    Decision,
    Held,
    Moved,
    ReceiptRefunded,
    Received,
    Released,
)
from payment.domain.orders import ObservedOrder
from payment.domain.payments import Payment
from payment.domain.receipts import Receipt, ReceiptReason, ReceiptTooSmall, open_receipts
from payment.domain.review_queue import (
    Case,
    ReceiptNotFound,
    RecordedDecision,
    RefundIdRequired,
    ReviewAction,
    ReviewActionInvalid,
    ReviewChanged,
    ReviewKind,
    ReviewRequest,
)
from payment.domain.states import CLOSED_UNPAID, PAID, FraudReview, HoldPolicy, LateSuccessPolicy, Review, Status

from ..builders import INR_500, NOW, PAYMENT_ID, Builders

Build = type[Builders]


class Books:
    """A payment as the use cases drive it, its receipts, and what its announcements come to in the ledger."""

    def __init__(
        self,
        payment: Payment,
        hold: HoldPolicy = HoldPolicy.REVIEW,
        late_success: LateSuccessPolicy = LateSuccessPolicy.FULFIL,
    ) -> None:
        self.payment, self.hold, self.late_success = payment, hold, late_success
        self.receipts: dict[UUID, Receipt] = {}
        self.recorded: dict[str, bool] = {}
        self.announcements: list[Any] = []
        self.decisions: tuple[RecordedDecision, ...] = ()
        # In paise: what the gateway owes us, and what we owe for receipts.
        self.gateway = self.unapplied = 0
        self._ids: Iterator[UUID] = (UUID(int=number) for number in count(1))

    @property
    def case(self) -> Case:
        return Case(self.payment, tuple(self.receipts[key] for key in sorted(self.receipts)), self.decisions)

    def new_id(self) -> UUID:
        return next(self._ids)

    def observe(self, status: OrderStatus, *attempts: PaymentAttempt, **order: Any) -> Decision:
        """The gateway's own list is read."""
        return self._decide(Builders.order(status, *attempts, **order))

    def claim(self, attempt: PaymentAttempt) -> Decision:
        """A webhook names who paid the order, and the list is not read."""
        return self._decide(Builders.claimed(OrderStatus.PAID, attempt))

    def _decide(self, observed: ObservedOrder) -> Decision:
        """With what the use case reads for it, and no more."""
        receipts = self.receipts.values() if state_machine.needs_receipts(self.payment, observed) else ()
        return self._take(
            state_machine.decide(
                self.payment,
                observed,
                NOW,
                self.new_id,
                recorded=self.recorded if state_machine.needs_captures(self.payment, observed) else None,
                late_success=self.late_success,
                hold=self.hold,
                receipts={each.gateway_payment_id: each for each in receipts},
            )
        )

    def paid(self, **attempt: Any) -> Decision:
        return self.observe(OrderStatus.PAID, Builders.attempt(**attempt))

    def set_policy(self, hold: HoldPolicy) -> None:
        """The service is started anew with another FRAUD_HOLD_FLAGGED."""
        self.hold = hold

    def flag(self) -> None:
        self.payment = reviews.flagged(self.payment, "velocity", 420, NOW)

    def verdict(self, verdict: FraudReview) -> Decision:
        return self._take(reviews.decided(self.case, verdict, "usr_staff", NOW, self.new_id()))

    def decide(self, action: ReviewAction, receipt: Receipt | None = None, **changes: Any) -> Decision:
        request = ReviewRequest(
            payment_id=self.payment.id,
            merchant_id=None,
            action=action,
            version=self.case.version,
            reason="looked at it",
            actor_id="usr_finance",
            receipt_id=receipt.id if receipt else None,
            gateway_refund_id=f"refund_{len(self.decisions)}" if action is ReviewAction.REFUNDED else "",
        )
        request = replace(request, **changes)
        decision, about = reviews.decide(self.case, request, NOW, self.new_id())
        self.decisions += (RecordedDecision.of(request, self.payment, about, NOW, self.new_id()),)
        return self._take(decision)

    def _take(self, decision: Decision) -> Decision:
        self.payment = decision.payment
        for transaction in decision.transactions:
            self.recorded[transaction.attempt.gateway_payment_id] = transaction.confirmed
        for receipt in decision.receipts:
            assert receipt.gateway_payment_id not in {each.gateway_payment_id for each in self.receipts.values()}
            self.recorded.setdefault(receipt.gateway_payment_id, True)
        self.receipts |= {receipt.id: receipt for receipt in decision.receipts + decision.changed_receipts}
        for each in decision.announcements:
            self._post(each)
        self.announcements += decision.announcements
        return decision

    def _post(self, announcement: object) -> None:
        """As the ledger's templates do."""
        match announcement:
            case Received(_, receipt, _):
                self.gateway += receipt.amount.minor
                self.unapplied += receipt.amount.minor
            case ReceiptRefunded(_, before, _, _):
                self.gateway -= before.open_minor
                self.unapplied -= before.open_minor
            case Moved(payment, receipt_id=receipt_id) if payment.status is Status.SUCCESS:
                if receipt_id is None:
                    self.gateway += payment.amount.minor
                else:
                    self.unapplied -= payment.amount.minor

    def alerts(self) -> list[str]:
        return [each.cause for each in self.announcements if isinstance(each, Alerted)]


# ── The grants of flagged payments: a decision before the payment is paid, after, twice, after the success ──────────

Step = Callable[[Books], object]
FLAG: Step = Books.flag
PAY: Step = Books.paid
ALLOW: Step = lambda books: books.verdict(FraudReview.ALLOWED)  # noqa: E731 - a row of the table
BLOCK: Step = lambda books: books.verdict(FraudReview.BLOCKED)  # noqa: E731
FULFIL: Step = lambda books: books.decide(ReviewAction.FULFIL)  # noqa: E731
REFUND: Step = lambda books: books.decide(ReviewAction.REFUNDED)  # noqa: E731
END_HOLDS: Step = lambda books: books.set_policy(HoldPolicy.OFF)  # noqa: E731

RACES: Mapping[str, tuple[HoldPolicy, list[Step], Status, Review, list[ReviewKind], int, list[str]]] = {
    # policy, steps, status, review, kinds, left of receipts, alerts
    "not flagged": (HoldPolicy.REVIEW, [PAY], Status.SUCCESS, Review.NONE, [], 0, []),
    "no policy": (HoldPolicy.OFF, [FLAG, PAY], Status.SUCCESS, Review.FLAGGED, [ReviewKind.FLAGGED], 0, []),
    "no policy, blocked before paid": (
        HoldPolicy.OFF, [FLAG, BLOCK, PAY, PAY], Status.PENDING, Review.BLOCKED, [ReviewKind.FLAGGED], 50_000,
        ["receipt_refund_due"],
    ),
    "no policy, blocked unflagged": (
        HoldPolicy.OFF, [BLOCK, PAY], Status.PENDING, Review.BLOCKED, [ReviewKind.FLAGGED], 50_000,
        ["receipt_refund_due"],
    ),
    "no policy, allowed before paid": (HoldPolicy.OFF, [FLAG, ALLOW, PAY], Status.SUCCESS, Review.ALLOWED, [], 0, []),
    "held, then no policy": (
        HoldPolicy.REVIEW, [FLAG, PAY, END_HOLDS, PAY, PAY], Status.SUCCESS, Review.FLAGGED, [ReviewKind.FLAGGED], 0,
        [],
    ),
    "blocked while held, then no policy": (
        HoldPolicy.REVIEW, [FLAG, PAY, BLOCK, END_HOLDS, PAY], Status.PENDING, Review.BLOCKED, [ReviewKind.FLAGGED],
        50_000, ["receipt_refund_due"],
    ),
    "held": (HoldPolicy.REVIEW, [FLAG, PAY], Status.PENDING, Review.FLAGGED, [ReviewKind.FLAGGED], 50_000, []),
    "seen again": (
        HoldPolicy.REVIEW, [FLAG, PAY, PAY, PAY], Status.PENDING, Review.FLAGGED, [ReviewKind.FLAGGED], 50_000, []
    ),
    "allowed before paid": (HoldPolicy.REVIEW, [FLAG, ALLOW, PAY], Status.SUCCESS, Review.ALLOWED, [], 0, []),
    "allowed after paid": (HoldPolicy.REVIEW, [FLAG, PAY, ALLOW], Status.SUCCESS, Review.ALLOWED, [], 0, []),
    "allowed twice": (HoldPolicy.REVIEW, [FLAG, PAY, ALLOW, ALLOW, PAY], Status.SUCCESS, Review.ALLOWED, [], 0, []),
    "allowed, then blocked": (
        HoldPolicy.REVIEW, [FLAG, PAY, ALLOW, BLOCK], Status.SUCCESS, Review.ALLOWED, [], 0, ["fraud_refused_late"]
    ),
    "allowed, then blocked before paid": (
        HoldPolicy.REVIEW, [FLAG, ALLOW, BLOCK, PAY], Status.SUCCESS, Review.ALLOWED, [], 0, ["fraud_verdict_ignored"]
    ),
    "blocked before paid": (
        HoldPolicy.REVIEW, [FLAG, BLOCK, PAY], Status.PENDING, Review.BLOCKED, [ReviewKind.FLAGGED], 50_000,
        ["receipt_refund_due"],
    ),
    "blocked after paid": (
        HoldPolicy.REVIEW, [FLAG, PAY, BLOCK, PAY], Status.PENDING, Review.BLOCKED, [ReviewKind.FLAGGED], 50_000,
        ["receipt_refund_due"],
    ),
    "blocked, then allowed": (
        HoldPolicy.REVIEW, [FLAG, PAY, BLOCK, ALLOW], Status.PENDING, Review.BLOCKED, [ReviewKind.FLAGGED], 50_000,
        ["receipt_refund_due", "fraud_verdict_ignored"],
    ),
    "blocked, then refunded": (
        HoldPolicy.REVIEW, [FLAG, PAY, BLOCK, REFUND, PAY], Status.FAILED, Review.BLOCKED, [], 0,
        ["receipt_refund_due"],
    ),
    "blocked, then fulfilled": (
        HoldPolicy.REVIEW, [FLAG, PAY, BLOCK, FULFIL, PAY], Status.SUCCESS, Review.ALLOWED, [], 0,
        ["receipt_refund_due"],
    ),
    "refunded undecided": (HoldPolicy.REVIEW, [FLAG, PAY, REFUND], Status.FAILED, Review.BLOCKED, [], 0, []),
    "refunded undecided, allowed late": (
        HoldPolicy.REVIEW, [FLAG, PAY, REFUND, ALLOW], Status.FAILED, Review.BLOCKED, [], 0, ["fraud_verdict_ignored"]
    ),
    "refunded undecided, blocked late": (
        HoldPolicy.REVIEW, [FLAG, PAY, REFUND, BLOCK], Status.FAILED, Review.BLOCKED, [], 0, []
    ),
    "fulfilled undecided, blocked late": (
        HoldPolicy.REVIEW, [FLAG, PAY, FULFIL, BLOCK], Status.SUCCESS, Review.ALLOWED, [], 0, ["fraud_refused_late"]
    ),
    "fulfilled undecided, allowed late": (
        HoldPolicy.REVIEW, [FLAG, PAY, FULFIL, ALLOW], Status.SUCCESS, Review.ALLOWED, [], 0, []
    ),
    "flagged after the success": (
        HoldPolicy.REVIEW, [PAY, FLAG, PAY], Status.SUCCESS, Review.FLAGGED, [ReviewKind.FLAGGED], 0, []
    ),
    "flagged and blocked after the success": (
        HoldPolicy.REVIEW, [PAY, FLAG, BLOCK], Status.SUCCESS, Review.BLOCKED, [], 0, ["fraud_refused_late"]
    ),
    "flagged after the decision": (HoldPolicy.REVIEW, [ALLOW, FLAG, PAY], Status.SUCCESS, Review.ALLOWED, [], 0, []),
    "flagged while held": (
        HoldPolicy.REVIEW, [FLAG, PAY, FLAG], Status.PENDING, Review.FLAGGED, [ReviewKind.FLAGGED], 50_000, []
    ),
}  # fmt: skip


@pytest.mark.parametrize("race", RACES)
def test_a_flagged_payment_is_granted_once_a_person_allows_it(build: Build, race: str) -> None:
    policy, steps, status, review, kinds, left, alerts = RACES[race]
    books = Books(build.payment(), policy)
    for step in steps:
        step(books)
    assert (books.payment.status, books.payment.review) == (status, review)
    assert books.case.kinds == kinds
    assert (books.unapplied, sum(each.open_minor for each in books.receipts.values())) == (left, left)
    assert books.alerts() == alerts
    assert len([each for each in books.announcements if isinstance(each, Moved) and each.payment.paid_at]) == (
        status is Status.SUCCESS
    )


def test_a_hold_and_its_end_are_announced(build: Build) -> None:
    released, refused = Books(build.payment()), Books(build.payment())
    for books, verdict in ((released, FraudReview.ALLOWED), (refused, FraudReview.BLOCKED)):
        books.flag()
        books.paid()
        books.verdict(verdict)
    assert [type(each) for each in released.announcements] == [Received, Held, Released, Moved]
    assert [
        each.granted for each in (*released.announcements, *refused.announcements) if isinstance(each, Released)
    ] == [
        True,
        False,
    ]


def test_a_webhook_is_not_enough_to_hold_a_grant_or_to_book_a_receipt(build: Build) -> None:
    books = Books(build.payment())
    books.flag()
    decision = books.claim(build.attempt())
    assert (decision.list_needed, decision.receipts, decision.transactions) == (True, [], [])


@pytest.mark.parametrize("claimed_id", ["cf_1", "cf_2"])
def test_held_money_is_booked_once_when_the_policy_ends(build: Build, claimed_id: str) -> None:
    """The policy goes from review to off, and the webhook of the held capture, or of another one, comes."""
    books = Books(build.payment())
    books.flag()
    books.paid()
    books.set_policy(HoldPolicy.OFF)
    decision = books.claim(build.attempt(gateway_payment_id=claimed_id))
    assert (decision.list_needed, decision.transactions, books.unapplied) == (True, [], 50_000)
    books.paid()
    [receipt] = books.receipts.values()
    [success] = [each for each in books.announcements if isinstance(each, Moved)]
    assert (success.receipt_id, receipt.is_open, books.payment.gateway_payment_id) == (receipt.id, False, "cf_1")
    assert [type(each) for each in books.announcements] == [Received, Held, Released, Moved]
    assert (books.gateway, books.unapplied) == (50_000, 0)


def test_a_policy_that_ends_releases_no_late_success_under_review(build: Build) -> None:
    books = Books(build.payment(), late_success=LateSuccessPolicy.REVIEW)
    books.flag()
    books.paid()
    books.payment = replace(books.payment, status=Status.EXPIRED)
    books.set_policy(HoldPolicy.OFF)
    books.paid()
    assert (books.payment.status, books.unapplied) == (Status.EXPIRED, 50_000)


@pytest.mark.parametrize("verdict", [FraudReview.ALLOWED, FraudReview.BLOCKED])
def test_a_verdict_neither_hides_nor_ends_a_quarantine(build: Build, verdict: FraudReview) -> None:
    books = Books(build.payment())
    books.flag()
    books.paid(amount=Money(40_000))
    books.verdict(verdict)
    assert (books.payment.review, books.payment.fraud_review) == (Review.QUARANTINED, verdict)
    assert books.case.kinds == [ReviewKind.QUARANTINED]


def test_a_flag_outlives_the_quarantine_and_still_holds(build: Build) -> None:
    books = Books(build.payment())
    books.paid(amount=Money(40_000))
    books.flag()
    books.observe(OrderStatus.PAID, build.attempt(amount=Money(40_000)), build.attempt(gateway_payment_id="cf_2"))
    assert books.payment.status is Status.PENDING
    assert books.case.kinds == [ReviewKind.QUARANTINED, ReviewKind.FLAGGED]
    books.verdict(FraudReview.ALLOWED)
    assert (books.payment.status, books.payment.gateway_payment_id) == (Status.SUCCESS, "cf_2")
    assert books.case.kinds == [ReviewKind.DUPLICATE], "the short capture is owed back"


# ── Receipts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("attempt", "order", "amount", "reason"),
    [
        ({"amount": Money(40_000)}, {}, 40_000, ReceiptReason.AMOUNT_MISMATCH),
        ({"order_amount": Money(60_000), "amount": Money(60_000)}, {}, 60_000, ReceiptReason.AMOUNT_MISMATCH),
        ({"amount": None, "order_amount": Money(30_000)}, {}, 30_000, ReceiptReason.AMOUNT_MISMATCH),
        ({"amount": Money(10_000), "order_amount": Money(10_000)}, {"amount": Money(10_000)}, 10_000,
         ReceiptReason.AMOUNT_MISMATCH),
        # An entry of the list that leaves out what its order is over.
        ({"amount": Money(60_000), "order_amount": None}, {"amount": Money(60_000)}, 60_000,
         ReceiptReason.AMOUNT_MISMATCH),
        ({"amount": None, "order_amount": None}, {"amount": Money(60_000)}, 60_000, ReceiptReason.AMOUNT_MISMATCH),
        ({"amount": Money(40_000), "order_amount": None}, {}, 40_000, ReceiptReason.AMOUNT_MISMATCH),
    ],
)  # fmt: skip
def test_a_quarantined_capture_is_received_with_what_the_gateway_took(
    build: Build, attempt: dict[str, Any], order: dict[str, Any], amount: int, reason: ReceiptReason
) -> None:
    books = Books(build.payment())
    for _ in range(3):
        books.observe(OrderStatus.PAID, build.attempt(**attempt), **order)
    [receipt] = books.receipts.values()
    assert (receipt.amount, receipt.reason, receipt.gateway_payment_id) == (Money(amount), reason, "cf_1")
    assert (books.gateway, books.unapplied, books.alerts()) == (amount, amount, ["amount_mismatch"])


def test_money_in_another_currency_is_alerted_and_never_announced_to_the_books(build: Build) -> None:
    """The ledger has accounts for INR alone: it could only refuse, however often it is replayed."""
    books = Books(build.payment())
    for _ in range(2):
        books.paid(amount=Money(50_000, "USD"))
    assert (books.alerts(), books.case.kinds) == (["receipt_not_booked", "amount_mismatch"], [ReviewKind.QUARANTINED])
    books.decide(ReviewAction.REFUNDED)
    assert (books.payment.status, books.case.kinds) == (Status.FAILED, [])
    assert not [each for each in books.announcements if isinstance(each, Received | ReceiptRefunded)]
    second = Books(build.payment())
    second.observe(
        OrderStatus.PAID, build.attempt(), build.attempt(gateway_payment_id="cf_2", amount=Money(50_000, "USD"))
    )
    assert second.alerts() == ["duplicate_capture", "receipt_not_booked"]
    assert (second.case.kinds, second.gateway, second.unapplied) == ([ReviewKind.DUPLICATE], 50_000, 0)


def test_the_gateway_itself_releases_what_it_had_contradicted(build: Build) -> None:
    books = Books(build.payment())
    books.observe(OrderStatus.PAID, build.attempt(), amount=Money(100))
    assert (books.payment.review, books.unapplied) == (Review.QUARANTINED, 50_000)
    for _ in range(2):
        books.paid()
    assert (books.payment.status, books.payment.review, books.case.kinds) == (Status.SUCCESS, Review.NONE, [])
    assert (books.gateway, books.unapplied) == (50_000, 0)


def test_the_gateway_does_not_release_what_waits_for_a_person(build: Build) -> None:
    flagged = Books(build.payment())
    flagged.flag()
    late = Books(build.payment(Status.EXPIRED), late_success=LateSuccessPolicy.REVIEW)
    for books in (flagged, late):
        books.observe(OrderStatus.PAID, build.attempt(), amount=Money(100))
        books.paid()
        assert (books.payment.paid_at, books.unapplied) == (None, 50_000)
        assert ReviewKind.QUARANTINED in books.case.kinds


def test_a_surcharge_is_the_gateways_own(build: Build) -> None:
    books = Books(build.payment())
    books.flag()
    books.paid(amount=Money(51_000))
    [receipt] = books.receipts.values()
    assert receipt.amount == INR_500
    books.verdict(FraudReview.ALLOWED)
    assert (books.unapplied, books.case.kinds) == (0, [])


def test_a_second_capture_and_a_late_one_are_received(build: Build) -> None:
    twice = Books(build.payment())
    twice.observe(OrderStatus.PAID, build.attempt(), build.attempt(gateway_payment_id="cf_2"))
    assert [each.reason for each in twice.receipts.values()] == [ReceiptReason.DUPLICATE]
    assert (twice.gateway, twice.unapplied) == (100_000, 50_000)
    late = Books(build.payment(Status.EXPIRED), late_success=LateSuccessPolicy.REVIEW)
    late.observe(OrderStatus.PAID, build.attempt(), build.attempt(gateway_payment_id="cf_2"))
    assert {each.reason for each in late.receipts.values()} == {ReceiptReason.LATE_SUCCESS}
    assert late.unapplied == 100_000


def test_what_was_taken_from_nobody_is_no_receipt(build: Build) -> None:
    books = Books(build.payment())
    books.paid(amount=Money(0))
    assert (books.receipts, books.payment.review) == ({}, Review.QUARANTINED)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": Money(0)},
        {"applied_minor": -1},
        {"applied_minor": 50_001},
        {"applied_minor": 30_000, "refunded_minor": 20_001, "gateway_refund_id": "r"},
        {"refunded_minor": 1},
        {"gateway_refund_id": "r"},
    ],
)
def test_a_receipt_keeps_its_invariants(changes: dict[str, Any]) -> None:
    receipt = Receipt(
        id=UUID(int=1), payment_id=PAYMENT_ID, merchant_id="m", gateway="cashfree", gateway_payment_id="cf_1",
        reason=ReceiptReason.DUPLICATE, amount=INR_500, received_at=NOW,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"receipt|received|refunded"):
        replace(receipt, **changes)


# ── Decisions of people ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_overpaid_payment_is_fulfilled_and_the_rest_goes_back(build: Build) -> None:
    books = Books(build.payment())
    books.paid(order_amount=Money(60_000), amount=Money(60_000))
    books.decide(ReviewAction.FULFIL)
    assert (books.payment.status, books.unapplied) == (Status.SUCCESS, 10_000)
    assert books.case.kinds == [ReviewKind.DUPLICATE]
    books.decide(ReviewAction.REFUNDED)
    assert (books.gateway, books.unapplied, books.case.kinds) == (50_000, 0, [])


def test_a_short_payment_is_refunded_not_fulfilled(build: Build) -> None:
    books = Books(build.payment())
    books.paid(amount=Money(49_999))
    with pytest.raises(ReceiptTooSmall):
        books.decide(ReviewAction.FULFIL)
    books.decide(ReviewAction.REFUNDED)
    assert (books.payment.status, books.payment.failure_reason) == (Status.FAILED, "receipt_refunded")
    assert (books.gateway, books.unapplied, books.case.kinds) == (0, 0, [])
    # What the gateway lists on and on is not new.
    books.paid(amount=Money(49_999))
    assert (books.case.kinds, books.unapplied, len(books.alerts())) == ([], 0, 1)


def test_new_money_opens_a_dismissed_review_again(build: Build) -> None:
    books = Books(build.payment())
    books.observe(OrderStatus.ACTIVE, amount=Money(100))
    assert books.case.kinds == [ReviewKind.QUARANTINED]
    books.decide(ReviewAction.DISMISS)
    assert (books.payment.status, books.payment.review) == (Status.FAILED, Review.DISMISSED)
    books.observe(OrderStatus.ACTIVE, amount=Money(100))
    assert (books.case.kinds, len(books.alerts())) == ([], 1)
    books.observe(OrderStatus.PAID, build.attempt(amount=Money(100)), amount=Money(100))
    assert (books.case.kinds, books.unapplied, len(books.alerts())) == ([ReviewKind.QUARANTINED], 100, 2)


def test_a_late_success_under_review_is_fulfilled(build: Build) -> None:
    books = Books(build.payment(Status.CANCELLED), late_success=LateSuccessPolicy.REVIEW)
    books.paid()
    books.decide(ReviewAction.FULFIL)
    assert (books.payment.status, books.payment.review, books.unapplied) == (Status.SUCCESS, Review.NONE, 0)


def test_what_cannot_be_decided_is_refused(build: Build) -> None:
    books = Books(build.payment())
    books.observe(OrderStatus.PAID, build.attempt(), build.attempt(gateway_payment_id="cf_2"))
    [duplicate] = books.receipts.values()
    with pytest.raises(ReviewActionInvalid):
        books.decide(ReviewAction.FULFIL)
    with pytest.raises(ReviewActionInvalid):
        books.decide(ReviewAction.DISMISS)
    with pytest.raises(RefundIdRequired):
        books.decide(ReviewAction.REFUNDED, gateway_refund_id="")
    with pytest.raises(RefundIdRequired):
        books.decide(ReviewAction.FULFIL, gateway_refund_id="r")
    with pytest.raises(ReceiptNotFound):
        books.decide(ReviewAction.REFUNDED, receipt_id=UUID(int=99))
    with pytest.raises(ReviewChanged):
        books.decide(ReviewAction.REFUNDED, version="0")
    books.decide(ReviewAction.REFUNDED, duplicate)
    with pytest.raises(DomainError):
        books.decide(ReviewAction.REFUNDED, duplicate)
    empty = Books(build.payment())
    with pytest.raises(ReviewActionInvalid):
        empty.decide(ReviewAction.DISMISS)
    with pytest.raises(ReceiptNotFound):
        empty.decide(ReviewAction.FULFIL)


# ── Any course of events ─────────────────────────────────────────────────────────────────────────────────────────────

AMOUNTS = [
    {},
    {"amount": Money(51_000)},
    {"amount": Money(40_000)},
    {"order_amount": Money(1), "amount": Money(70_000)},
    {"order_amount": None, "amount": Money(70_000)},
]
captures = st.dictionaries(st.sampled_from(["cf_1", "cf_2", "cf_3", "cf_4"]), st.sampled_from(AMOUNTS), min_size=1)
steps = st.one_of(
    st.tuples(st.just("observe"), st.integers(1, 4), st.just(False)),
    st.tuples(st.just("observe wrongly"), st.integers(1, 4), st.just(False)),
    st.tuples(st.just("flag"), st.just(0), st.just(False)),
    st.tuples(st.just("policy"), st.just(0), st.booleans()),
    st.tuples(st.just("claim"), st.integers(0, 3), st.just(False)),
    st.tuples(st.just("verdict"), st.just(0), st.booleans()),
    st.tuples(st.sampled_from(["FULFIL", "REFUNDED", "DISMISS"]), st.integers(0, 3), st.just(False)),
)


@given(
    captures,
    st.lists(steps, max_size=12),
    st.sampled_from([Status.PENDING, Status.PROCESSING, Status.EXPIRED, Status.CANCELLED]),
    st.sampled_from(list(HoldPolicy)),
    st.sampled_from(list(LateSuccessPolicy)),
)
def test_the_books_owe_what_is_left_of_receipts_and_nothing_gets_stuck(
    taken: dict[str, dict[str, Any]],
    course: list[tuple[str, int, bool]],
    start: Status,
    hold: HoldPolicy,
    late: LateSuccessPolicy,
) -> None:
    """Money appears one by one at the gateway; whatever people do, the books hold each rupee once."""
    books = Books(Builders.payment(start), hold, late)
    all_attempts = [Builders.attempt(gateway_payment_id=each, **fields) for each, fields in sorted(taken.items())]
    seen = 0
    for what, number, choice in course:
        try:
            if what == "observe":
                shown = max(seen, min(number, len(all_attempts)))
                books.observe(OrderStatus.PAID, *all_attempts[:shown])
                seen = shown
            elif what == "observe wrongly":
                # The gateway shows the order over another amount, for a while.
                shown = max(seen, min(number, len(all_attempts)))
                books.observe(OrderStatus.PAID, *all_attempts[:shown], amount=Money(123))
                seen = shown
            elif what == "claim":
                if seen and books.claim(all_attempts[number % seen]).list_needed:
                    books.observe(OrderStatus.PAID, *all_attempts[:seen])
            elif what == "policy":
                books.set_policy(HoldPolicy.REVIEW if choice else HoldPolicy.OFF)
            elif what == "flag":
                books.flag()
            elif what == "verdict":
                books.verdict(FraudReview.ALLOWED if choice else FraudReview.BLOCKED)
            else:
                receipts = sorted(books.receipts.values(), key=lambda each: each.id)
                books.decide(ReviewAction(what), receipts[number % len(receipts)] if receipts else None)
        except DomainError:
            pass
        _check(books, all_attempts[:seen])
    # Nothing can be stuck: with what there is to decide with, every payment leaves the queue.
    for receipt in open_receipts(books.receipts.values()):
        books.decide(ReviewAction.REFUNDED, receipt)
    if ReviewKind.QUARANTINED in books.case.kinds:
        books.decide(ReviewAction.DISMISS)
    if ReviewKind.FLAGGED in books.case.kinds:
        books.verdict(FraudReview.ALLOWED)
    assert books.case.kinds == []
    assert books.unapplied == 0
    assert books.gateway == (INR_500.minor if books.payment.status in PAID else 0)


def _check(books: Books, at_gateway: list[PaymentAttempt]) -> None:
    receipts = books.receipts.values()
    left = sum(each.amount.minor - each.applied_minor - each.refunded_minor for each in receipts)
    assert books.unapplied == left
    # Every success is one; each is paid by new money or by one receipt.
    successes = [
        each for each in books.announcements if isinstance(each, Moved) and each.payment.status is Status.SUCCESS
    ]
    assert len(successes) == (books.payment.status in PAID)
    assert sum(bool(each.applied_minor) for each in receipts) == sum(each.receipt_id is not None for each in successes)
    # All that the gateway took is known: as the capture or as a receipt, never as both, never twice.
    captured = {books.payment.gateway_payment_id} - {""}
    received = {each.gateway_payment_id for each in receipts}
    if at_gateway:
        assert {each.gateway_payment_id for each in at_gateway} == captured | received
    assert books.gateway == (INR_500.minor if successes else 0) + left
    # Money that is left is in the queue, and a payment that waits is not paid.
    assert bool(books.case.kinds) or not left
    assert all(each.status is AttemptStatus.SUCCESS for each in at_gateway)
    assert books.payment.status in PAID or books.payment.paid_at is None
    assert books.payment.status in PAID | CLOSED_UNPAID or books.payment.unresolved
