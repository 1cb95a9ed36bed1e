"""Holds: what they take, what they miss, and how they end."""

from collections.abc import Callable, Iterable
from datetime import datetime

import pytest

from common.errors import DomainError
from wallet.domain.batch import apply
from wallet.domain.errors import (
    HoldClosed,
    HoldInvalid,
    HoldMismatched,
    HoldNotFound,
    OperationKeyReused,
    WalletCreditsSpent,
    WalletGrantPending,
)
from wallet.domain.hold_batch import HoldBatch, end_each, hold_each, payment_lots
from wallet.domain.holds import PATHS, Hold, HoldRequest, HoldState, SpentCredits
from wallet.domain.operations import Consumption, Forgiveness, Grant, hold_refusal
from wallet.domain.wallets import Lot, Transaction, TransactionType, Wallet, burn_order

from .. import builders as make

CONSUMED, RELEASED, REGRANTED = HoldState.CONSUMED, HoldState.RELEASED, HoldState.REGRANTED


class Books:
    """One wallet with everything that was ever granted to it, as the store would read it for each step."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.wallet: Wallet = make.wallet()
        self.batch = HoldBatch({make.owner(): self.wallet}, {})

    def read(self) -> None:
        lots = [(opened.wallet_id, opened.lot) for opened in self.batch.opened_lots]
        self.wallet.lots = sorted((lot for _, lot in lots if lot.remaining), key=burn_order)
        self.batch.payment_lots = payment_lots(lots)
        self.batch.lots = {lot.id: lot for _, lot in lots}
        self.batch.holds |= {hold.id: hold for hold in self.batch.opened_holds if hold.id not in self.batch.holds}

    def apply(self, *operations: Grant | Consumption | Forgiveness) -> list[Transaction | DomainError]:
        self.read()
        return apply(self.batch, operations, self.now, make.new_id)

    def hold(self, request: HoldRequest) -> Hold | DomainError:
        self.read()
        return hold_each(self.batch, [request], self.now, make.new_id)[0]

    def held(self, request: HoldRequest) -> Hold:
        hold = self.hold(request)
        assert isinstance(hold, Hold)
        return hold

    def end(self, hold: Hold, request: HoldRequest, *states: HoldState) -> list[DomainError | None]:
        self.read()
        outcomes = [make.outcome(hold.id, request, state) for state in states]
        return end_each(self.batch, outcomes, self.now, make.new_id)

    @property
    def lots(self) -> list[Lot]:
        return [opened.lot for opened in self.batch.opened_lots]

    def types(self) -> list[str]:
        return [str(transaction.type) for transaction in self.batch.transactions]


@pytest.fixture
def books(now: datetime) -> Books:
    return Books(now)


def values(lots: Iterable[Lot]) -> int:
    return sum(lot.value_left_minor for lot in lots)


def test_a_hold_takes_the_credits_of_its_payment_with_their_value(books: Books) -> None:
    ours, other = make.grant(), make.grant()
    books.apply(ours, other)
    hold = books.held(make.hold(ours))
    assert (hold.credits_paid, hold.credits_bonus, hold.value_minor, hold.debt) == (5000, 500, 42_373, 0)
    assert (books.wallet.available, books.wallet.locked) == (5500, 5500)
    assert [lot.remaining for lot in books.lots if lot.payment_id == ours.payment_id] == [0, 0]
    assert [lot.remaining for lot in books.lots if lot.payment_id == other.payment_id] == [5000, 500]


def test_a_released_hold_gives_back_to_exactly_its_lots(books: Books) -> None:
    bought = make.grant()
    books.apply(bought, make.consumption(123))
    before = [(lot.remaining, lot.value_left_minor) for lot in books.lots]
    request = make.hold(bought, 1000, 77)
    hold = books.held(request)
    assert books.end(hold, request, RELEASED) == [None]
    assert [(lot.remaining, lot.value_left_minor) for lot in books.lots] == before
    assert (books.wallet.available, books.wallet.locked) == (5377, 0)
    assert books.types() == ["GRANT", "CONSUME", "LOCK", "RELEASE"]


def test_what_was_spent_between_hold_and_release_never_takes_value_from_nowhere(books: Books) -> None:
    """Three paise on ten credits: each credit's turn to carry one is fixed, and a hold may take it out of turn."""
    bought = make.grant(paid=10, bonus=0, net=3)
    books.apply(bought)
    request = make.hold(bought, 3, 0)
    hold = books.held(request)
    assert hold.value_minor == 0
    books.apply(make.consumption(1))
    books.end(hold, request, RELEASED)
    spent = [books.apply(make.consumption(1))[0] for _ in range(9)]
    released = [each.value_minor for each in spent if isinstance(each, Transaction)]
    assert all(value >= 0 for value in released)
    assert values(books.lots) == 0
    consumed = sum(each.value_minor for each in books.batch.transactions if each.type is TransactionType.CONSUME)
    assert consumed == 3


def test_block_holds_nothing_when_one_credit_is_spent(books: Books) -> None:
    bought = make.grant()
    books.apply(bought, make.consumption(1))
    request = make.hold(bought, policy=SpentCredits.BLOCK)
    assert isinstance(books.hold(request), WalletCreditsSpent)
    assert (books.wallet.available, books.wallet.locked) == (5499, 0)
    # The key is not used up.
    assert isinstance(books.hold(make.hold(bought, 5000, 499, SpentCredits.BLOCK, request.operation_key)), Hold)


def test_debt_is_owed_once_the_money_went_back_and_the_next_grant_pays_it(books: Books) -> None:
    bought = make.grant()
    books.apply(bought, make.consumption(5400))
    request = make.hold(bought)
    hold = books.held(request)
    assert (hold.credits_paid, hold.credits_bonus, hold.missing_paid, hold.missing_bonus) == (100, 0, 4900, 500)
    assert books.wallet.debt == 0
    books.end(hold, request, CONSUMED)
    assert (books.wallet.available, books.wallet.locked, books.wallet.debt) == (0, 0, 5400)
    books.apply(make.grant())
    assert (books.wallet.available, books.wallet.debt) == (100, 0)
    paid = books.batch.transactions[-1]
    assert (paid.type, paid.credits_paid, paid.credits_bonus, paid.debt) == (TransactionType.DEBT, -4900, -500, -5400)
    assert paid.operation_key.startswith("grant:")


def test_a_grant_smaller_than_the_debt_goes_into_it_whole(books: Books) -> None:
    bought = make.grant()
    books.apply(bought, make.consumption(5500))
    request = make.hold(bought)
    hold = books.held(request)
    assert hold.transaction_id is None, "nothing was left to lock"
    books.end(hold, request, CONSUMED)
    books.apply(make.grant(paid=100, bonus=0, net=500), make.grant(paid=100, bonus=7, net=500))
    assert (books.wallet.available, books.wallet.debt) == (0, 5500 - 207)
    assert values(books.lots) == 0
    books.apply(make.grant(), make.grant())
    assert (books.wallet.available, books.wallet.debt) == (2 * 5500 - 5293, 0)


def test_absorbed_credits_are_owed_by_nobody(books: Books) -> None:
    bought = make.grant()
    books.apply(bought, make.consumption(5500))
    request = make.hold(bought, policy=SpentCredits.ABSORB)
    hold = books.held(request)
    assert books.end(hold, request, CONSUMED) == [None]
    assert books.wallet.debt == 0
    assert books.types() == ["GRANT", "CONSUME"], "nothing moved"


def test_a_reversed_refund_grants_again_and_cancels_its_debt(books: Books) -> None:
    bought = make.grant()
    books.apply(bought, make.consumption(1000))
    request = make.hold(bought)
    hold = books.held(request)
    books.end(hold, request, CONSUMED)
    assert books.wallet.debt == 1000
    books.apply(make.grant(paid=300, bonus=0, net=1000))
    assert books.end(hold, request, REGRANTED) == [None]
    # 4,500 that were taken, and 300 that had paid the debt.
    assert (books.wallet.available, books.wallet.debt) == (4800, 0)
    again = [lot for lot in books.lots if lot.regrant_hold_id == hold.id]
    assert sorted((lot.granted, lot.value_minor) for lot in again) == [(300, 0), (4500, hold.value_minor)]
    assert {lot.payment_id for lot in again} == {bought.payment_id}, "a second refund finds them"
    second = books.held(make.hold(bought))
    assert (second.credits, second.debt) == (4800, 700)


def test_forgiven_debt_is_no_longer_owed(books: Books) -> None:
    bought = make.grant()
    books.apply(bought, make.consumption(1000))
    request = make.hold(bought)
    books.end(books.held(request), request, CONSUMED)
    refused, done, again = books.apply(make.forgiveness(1001), make.forgiveness(400), make.forgiveness(400))
    assert isinstance(refused, DomainError)
    assert refused.code == "wallet_debt_exceeded"
    assert done is again
    assert books.wallet.debt == 600
    [other] = books.apply(make.forgiveness(401))
    assert isinstance(other, OperationKeyReused)


@pytest.mark.parametrize(("start", "said"), sorted(PATHS))
def test_from_every_state_every_event_leads_where_the_table_says(
    books: Books, start: HoldState, said: HoldState
) -> None:
    bought = make.grant()
    books.apply(bought, make.consumption(10))
    request = make.hold(bought)
    hold = books.held(request)
    if start is not HoldState.HELD:
        books.end(hold, request, start)
    number = len(books.batch.transactions)
    [refusal] = books.end(hold, request, said)
    assert isinstance(refusal, HoldClosed) == (PATHS[start, said] is None)
    if not PATHS[start, said]:
        assert len(books.batch.transactions) == number
        assert books.batch.holds[hold.id].state is start
    else:
        assert books.batch.holds[hold.id].state is said


@pytest.mark.parametrize("order", [(CONSUMED, REGRANTED), (REGRANTED, CONSUMED), (REGRANTED, REGRANTED, CONSUMED)])
def test_a_refund_and_its_reversal_commute(books: Books, order: tuple[HoldState, ...]) -> None:
    bought = make.grant()
    books.apply(bought, make.consumption(1000))
    request = make.hold(bought)
    hold = books.held(request)
    assert set(books.end(hold, request, *order)) == {None}
    assert (books.wallet.available, books.wallet.locked, books.wallet.debt) == (4500, 0, 0)
    assert books.types() == ["GRANT", "CONSUME", "LOCK", "REFUND", "DEBT", "GRANT"]


def test_the_same_key_answers_with_the_first_hold_and_with_other_content_not_at_all(books: Books) -> None:
    bought = make.grant()
    books.apply(bought)
    request = make.hold(bought, 100, 10)
    first = books.held(request)
    assert books.hold(request) is first
    assert books.wallet.locked == 110
    assert isinstance(books.hold(make.hold(bought, 100, 11, key=request.operation_key)), OperationKeyReused)


def test_a_payment_that_has_granted_nothing_yet_is_not_spent(books: Books) -> None:
    books.apply(make.grant())
    assert isinstance(books.hold(make.hold(make.grant())), WalletGrantPending)
    nobody = make.grant(make.owner("usr_nobody"))
    assert isinstance(books.hold(make.hold(nobody)), WalletGrantPending)


def test_an_event_about_another_refund_does_not_end_the_hold(books: Books) -> None:
    bought = make.grant()
    books.apply(bought)
    request = make.hold(bought)
    hold = books.held(request)
    assert [type(each) for each in books.end(hold, make.hold(bought), CONSUMED)] == [HoldMismatched]
    unknown = make.outcome(make.new_id(), request, CONSUMED)
    assert [type(each) for each in end_each(books.batch, [unknown], books.now, make.new_id)] == [HoldNotFound]
    assert books.wallet.locked == 5500


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda grant: make.hold(grant, key="refund:rfd_1"), "operation_key"),
        (lambda grant: make.hold(grant, key="grant:pay_1"), "operation_key"),
        (lambda grant: make.hold(grant, key=""), "operation_key"),
        (lambda grant: make.hold(grant, -1, 5), "credits_paid"),
        (lambda grant: make.hold(grant, 0, 0), "credits_paid"),
        (lambda grant: make.hold(grant, 5, 2**31 + 1), "credits_bonus"),
    ],
)
def test_what_is_wrong_with_a_hold_in_any_state_is_named(change: Callable[[Grant], HoldRequest], field: str) -> None:
    refusal = hold_refusal(change(make.grant()))
    assert isinstance(refusal, HoldInvalid)
    assert list(refusal.fields) == [field]


def test_a_preview_needs_no_key() -> None:
    assert hold_refusal(make.hold(make.grant(), key="x")) is not None
    assert hold_refusal(HoldRequest("", make.owner(), make.new_id(), 1, 0, SpentCredits.BLOCK), is_preview=True) is None
