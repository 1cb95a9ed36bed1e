"""Disputes as values: every move, every share, and what each view of the gateway leads to."""

from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import ids
from common.money import Money
from gateways.disputes import DisputeSnapshot, DisputeStatus
from payment.domain.disputes import (
    ENDED,
    MOVES,
    Announced,
    Dispute,
    DisputeTransitionInvalid,
    ended_status,
    move,
    observe,
    share,
    to_announce,
)
from payment.domain.payments import Payment
from payment.domain.pricing import Credits, Tax
from payment.domain.states import Status

from ..builders import Builders

NOW = datetime(2026, 4, 2, 6, 0, tzinfo=UTC)
ALL = list(DisputeStatus)


BOUGHT = Credits(5_000, 500)


def paid(minor: int = 50_000, half: int = 3_813, credits: Credits = BOUGHT) -> Payment:
    tax = Tax(net=Money(minor - 2 * half), cgst=Money(half), sgst=Money(half), igst=Money(0))
    return Builders.payment(
        Status.SUCCESS, amount=Money(minor), tax=tax, credits=credits, gateway_payment_id="1", platform_fee=Money(0)
    )


def shown(status: DisputeStatus, minutes: int = 0, minor: int = 50_000) -> DisputeSnapshot:
    at = NOW + timedelta(minutes=minutes)
    return DisputeSnapshot("d1", "ord_1", "1", status, Money(minor), "4855", NOW + timedelta(days=3), at)


def begun(status: DisputeStatus = DisputeStatus.OPEN) -> Dispute:
    change = observe(paid(), [], shown(status), NOW, ids.new)
    assert change is not None
    assert change.is_new
    return change.dispute


@pytest.mark.parametrize(("start", "to"), list(product(ALL, ALL)))
def test_a_dispute_makes_only_the_moves_in_the_table(start: DisputeStatus, to: DisputeStatus) -> None:
    dispute = begun(start)
    if to in MOVES[start]:
        moved, transition = move(dispute, to, NOW)
        assert (moved.status, moved.seq) == (to, 2)
        assert (transition.from_status, transition.to_status, transition.seq) == (start, to, 2)
    else:
        with pytest.raises(DisputeTransitionInvalid):
            move(dispute, to, NOW)


@given(
    st.integers(100, 10**7), st.integers(1, 10**7), st.integers(0, 1_800), st.integers(0, 10**5), st.integers(0, 10**4)
)
def test_what_is_at_stake_adds_up_and_is_never_more_than_was_bought(
    whole: int, disputed: int, rate: int, credits_paid: int, credits_bonus: int
) -> None:
    payment = paid(whole, whole * rate // 20_000, Credits(credits_paid, credits_bonus))
    tax, credits = share(payment, Money(min(disputed, whole)))
    assert tax.net.minor + tax.cgst.minor + tax.sgst.minor + tax.igst.minor == min(disputed, whole)
    assert tax.cgst == tax.sgst
    assert tax.net.minor >= 0
    assert 0 <= credits.paid <= credits_paid
    assert 0 <= credits.bonus <= credits_bonus
    if disputed >= whole:
        assert (tax, credits) == (payment.tax, payment.credits)


@pytest.mark.parametrize(("known", "now"), list(product(ALL, ALL)))
def test_each_view_of_a_known_dispute_has_its_one_consequence(known: DisputeStatus, now: DisputeStatus) -> None:
    dispute = begun(known)
    change = observe(paid(), [dispute], shown(now, minutes=1), NOW, ids.new)
    if known is now:
        assert change is not None  # the gateway's time
        assert not change.transitions
        again = observe(paid(), [change.dispute], shown(now, minutes=1), NOW, ids.new)
        assert again is None
    elif known is DisputeStatus.WON and now not in ENDED:
        assert change is not None
        assert (change.is_new, change.dispute.round, change.dispute.status) == (True, 2, now)
    elif known in ENDED:
        assert change is not None
        assert change.contradiction
        assert change.dispute.status is known
        assert observe(paid(), [change.dispute], shown(now, minutes=1), NOW, ids.new) is None
    else:
        assert change is not None
        assert change.dispute.status is now
        assert len(change.transitions) == 1


@pytest.mark.parametrize(("known", "now"), list(product(ALL, ALL)))
def test_an_older_view_changes_nothing(known: DisputeStatus, now: DisputeStatus) -> None:
    assert observe(paid(), [begun(known)], shown(now, minutes=-1), NOW, ids.new) is None


@pytest.mark.parametrize(("announced", "status"), list(product(Announced, ALL)))
def test_the_end_is_announced_once_and_never_before_the_beginning(announced: Announced, status: DisputeStatus) -> None:
    dispute = msgspec.structs.replace(begun(status), announced=announced)
    expected = Announced(status.value) if announced is Announced.DISPUTED and status in ENDED else None
    assert to_announce(dispute) == expected


@pytest.mark.parametrize(
    ("status", "minor", "refunded", "before", "expected"),
    [
        (DisputeStatus.WON, 50_000, 0, Status.SUCCESS, Status.SUCCESS),
        (DisputeStatus.WON, 50_000, 0, Status.SETTLED, Status.SETTLED),
        (DisputeStatus.WON, 50_000, 10_000, Status.SETTLED, Status.PARTIALLY_REFUNDED),
        (DisputeStatus.LOST, 50_000, 0, Status.SUCCESS, Status.REFUNDED),
        (DisputeStatus.LOST, 20_000, 0, Status.SUCCESS, Status.PARTIALLY_REFUNDED),
        (DisputeStatus.LOST, 20_000, 30_000, Status.PARTIALLY_REFUNDED, Status.REFUNDED),
    ],
)
def test_what_a_payment_is_after_its_dispute(
    status: DisputeStatus, minor: int, refunded: int, before: Status, expected: Status
) -> None:
    payment = msgspec.structs.replace(paid(), status=Status.DISPUTED)
    change = observe(payment, [], shown(status, minor=minor), NOW, ids.new)
    assert change is not None
    dispute = msgspec.structs.replace(change.dispute, status_before=before)
    assert ended_status(payment, dispute, [], refunded) is expected
    settled = ended_status(payment, dispute, [], refunded, is_settled=True)
    assert settled is (Status.SETTLED if expected is Status.SUCCESS else expected)
    other = msgspec.structs.replace(begun(), id=UUID(int=9))
    assert ended_status(payment, dispute, [other], refunded) is None
