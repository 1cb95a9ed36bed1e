"""Grants, spends, holds, refunds, reversals and debts in any order: no credit and no paisa is made or lost."""

from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from common.errors import DomainError
from wallet.domain.hold_batch import end_each
from wallet.domain.holds import PATHS, Hold, HoldRequest, HoldState, SpentCredits
from wallet.domain.operations import Grant
from wallet.domain.wallets import TransactionType

from .. import builders as make
from .test_holds import Books

NOW = datetime(2026, 3, 1, tzinfo=UTC)
_OUTCOMES = st.sampled_from([HoldState.CONSUMED, HoldState.RELEASED, HoldState.REGRANTED])


class HoldMachine(RuleBasedStateMachine):
    """Few credits and odd prices, so that each credit's share of the price is never whole."""

    @initialize()
    def begin(self) -> None:
        self.books = Books(NOW)
        self.grants: list[Grant] = []
        self.holds: list[tuple[HoldRequest, Hold]] = []

    @rule(paid=st.integers(0, 30), bonus=st.integers(0, 10), net=st.integers(0, 200))
    def grant(self, paid: int, bonus: int, net: int) -> None:
        if paid + bonus:
            self.grants.append(make.grant(paid=paid, bonus=bonus, net=net))
            self.books.apply(self.grants[-1])

    @rule(credits=st.integers(1, 20))
    def spend(self, credits: int) -> None:
        available = self.books.wallet.available
        [result] = self.books.apply(make.consumption(credits))
        assert isinstance(result, DomainError) == (credits > available)

    @rule(data=st.data(), paid=st.integers(0, 30), bonus=st.integers(0, 10), policy=st.sampled_from(SpentCredits))
    def hold(self, data: st.DataObject, paid: int, bonus: int, policy: SpentCredits) -> None:
        if not self.grants or not paid + bonus:
            return
        request = make.hold(data.draw(st.sampled_from(self.grants)), paid, bonus, policy)
        result = self.books.hold(request)
        if isinstance(result, Hold):
            self.holds.append((request, result))
        else:
            assert (policy, result.code) == (SpentCredits.BLOCK, "wallet_credits_spent")

    @rule(data=st.data(), outcome=_OUTCOMES, times=st.integers(1, 2))
    def end(self, data: st.DataObject, outcome: HoldState, times: int) -> None:
        if not self.holds:
            return
        request, hold = data.draw(st.sampled_from(self.holds))
        self.books.read()
        state = self.books.batch.holds[hold.id].state
        for _ in range(times):
            outcomes = [make.outcome(hold.id, request, outcome)]
            [refusal] = end_each(self.books.batch, outcomes, NOW, make.new_id)
            assert (refusal is None) == (PATHS[state, outcome] is not None)

    @rule(data=st.data())
    def forgive(self, data: st.DataObject) -> None:
        if owed := self.books.wallet.debt:
            credits = data.draw(st.integers(1, owed))
            [result] = self.books.apply(make.forgiveness(credits, key=f"forgive-{make.new_id()}"))
            assert not isinstance(result, DomainError)

    @invariant()
    def lots_and_holds_are_the_balances(self) -> None:
        wallet = self.books.wallet
        assert wallet.available == sum(lot.remaining for lot in self.books.lots)
        assert wallet.locked == sum(lot.held for lot in self.books.lots)
        current = [self.books.batch.holds.get(hold.id, hold) for _, hold in self.holds]
        assert wallet.locked == sum(hold.credits for hold in current if hold.state is HoldState.HELD)
        assert wallet.debt == sum(debt.left for debt in self.books.batch.opened_debts)
        assert min(wallet.available, wallet.locked, wallet.debt) >= 0

    @invariant()
    def every_lot_is_within_its_bounds(self) -> None:
        for lot in self.books.lots:
            assert min(lot.remaining, lot.held, lot.value_left_minor, lot.held_value_minor) >= 0
            assert lot.remaining + lot.held <= lot.granted
            assert lot.value_left_minor + lot.held_value_minor <= lot.value_minor
            assert lot.remaining or not lot.value_left_minor
            assert lot.held or not lot.held_value_minor
            assert lot.remaining < lot.granted or lot.value_left_minor == lot.value_minor

    @invariant()
    def value_is_neither_made_nor_lost(self) -> None:
        def moved(*types: TransactionType) -> int:
            transactions = self.books.batch.transactions
            assert all(each.value_minor >= 0 for each in transactions)
            return sum(each.value_minor for each in transactions if each.type in types)

        left = sum(lot.value_left_minor + lot.held_value_minor for lot in self.books.lots)
        gone = moved(TransactionType.CONSUME, TransactionType.DEBT, TransactionType.REFUND)
        assert moved(TransactionType.GRANT) == left + gone

    @invariant()
    def each_number_is_the_sum_of_its_transactions(self) -> None:
        wallet, chain = self.books.wallet, self.books.batch.transactions
        assert [each.seq for each in chain] == list(range(1, wallet.seq + 1))
        assert len({each.operation_key for each in chain}) == len(chain)
        sums: list[Callable[[], int]] = [
            lambda: sum(each.credits for each in chain) - wallet.available,
            lambda: sum(each.locked for each in chain) - wallet.locked,
            lambda: sum(each.debt for each in chain) - wallet.debt,
        ]
        assert [difference() for difference in sums] == [0, 0, 0]
        balance = 0
        for each in chain:
            assert each.balance_before == balance
            balance += each.credits
            assert each.balance_after == balance


TestHolds = HoldMachine.TestCase
TestHolds.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
