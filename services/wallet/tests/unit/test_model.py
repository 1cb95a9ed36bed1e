"""A naive wallet beside the real rules: whatever happens, both agree, and a batch is its items one by one."""

from copy import deepcopy
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from common.errors import DomainError
from common.money import Money
from wallet.domain.batch import WalletBatch, apply
from wallet.domain.operations import Consumption, Grant, Operation
from wallet.domain.wallets import LotKind, Owner, Wallet

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OWNERS = [Owner("mer_commdesk", "USER", name) for name in ("usr_asha", "usr_ravi")]

_owners = st.sampled_from(OWNERS)
# Few keys and payments, so that they often come again, with the same content or another.
_grants = st.builds(
    lambda to, number, paid, bonus, net: Grant(to, UUID(int=number), paid, bonus, Money(net)),
    _owners, st.integers(1, 6), st.integers(1, 30), st.integers(0, 10), st.integers(0, 500),
)  # fmt: skip
_consumptions = st.builds(
    Consumption, st.sampled_from("abcdefgh"), _owners, st.integers(1, 25), st.just("boost"), st.just("")
)
_operations = st.lists(st.one_of(_grants, _consumptions), max_size=8)


class Naive:
    """A wallet as a bag of single credits, each with its kind and age; a grant's value counts per payment."""

    def __init__(self) -> None:
        self.credits: dict[Owner, list[tuple[str, int]]] = {owner: [] for owner in OWNERS}
        self.by_key: dict[str, Operation] = {}
        self.grants = 0

    def carry_out(self, operation: Operation) -> str:
        first = self.by_key.get(operation.operation_key)
        if first is not None:
            return "again" if self._content(first) == self._content(operation) else "operation_key_reused"
        bag = self.credits[operation.owner]
        if isinstance(operation, Consumption):
            if len(bag) < operation.credits:
                return "wallet_insufficient_credits"
            bag.sort()
            del bag[: operation.credits]
        else:
            self.grants += 1
            bag += [("BONUS", self.grants)] * operation.credits_bonus + [("PAID", self.grants)] * operation.credits_paid
        self.by_key[operation.operation_key] = operation
        return "done"

    @staticmethod
    def _content(operation: Operation) -> object:
        if isinstance(operation, Consumption):
            return operation
        return (operation.owner, operation.credits_paid, operation.credits_bonus, operation.value)


class WalletMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        numbers = count(1)
        self.new_id = lambda: UUID(int=next(numbers))
        wallets = {owner: Wallet(UUID(int=2**100 + n), owner, "INR") for n, owner in enumerate(OWNERS)}
        self.batch = WalletBatch(wallets, {})
        self.naive = Naive()

    @rule(operations=_operations)
    def carry_out(self, operations: list[Operation]) -> None:
        existing = set(self.batch.transactions_by_key)
        singly = deepcopy(self.batch)
        results = apply(self.batch, operations, NOW, self.new_id)
        for operation, result in zip(operations, results, strict=True):
            expected = self.naive.carry_out(operation)
            if isinstance(result, DomainError):
                assert result.code == expected
            else:
                key = (operation.owner.merchant_id, operation.operation_key)
                assert expected == ("again" if key in existing else "done")
                existing.add(key)
        self._one_by_one_is_the_same(singly, operations)

    def _one_by_one_is_the_same(self, batch: WalletBatch, operations: list[Operation]) -> None:
        for operation in operations:
            apply(batch, [operation], NOW, self.new_id)
        for owner, wallet in self.batch.wallets.items():
            other = batch.wallets[owner]
            assert (other.available, other.seq) == (wallet.available, wallet.seq)
            assert [(lot.kind, lot.remaining, lot.value_left_minor) for lot in other.lots] == [
                (lot.kind, lot.remaining, lot.value_left_minor) for lot in wallet.lots
            ]

    @invariant()
    def both_hold_the_same(self) -> None:
        for owner, bag in self.naive.credits.items():
            wallet = self.batch.wallets[owner]
            assert wallet.available == len(bag) == sum(lot.remaining for lot in wallet.lots)
            for kind in LotKind:
                held = sum(lot.remaining for lot in wallet.lots if lot.kind is kind)
                assert held == sum(1 for each, _ in bag if each == kind)

    @invariant()
    def value_is_neither_made_nor_lost(self) -> None:
        granted = sum(each.value_minor for each in self.batch.transactions if each.type == "GRANT")
        released = sum(each.value_minor for each in self.batch.transactions if each.type == "CONSUME")
        left = sum(lot.value_left_minor for wallet in self.batch.wallets.values() for lot in wallet.lots)
        assert granted == released + left

    @invariant()
    def every_wallet_is_a_chain(self) -> None:
        for wallet in self.batch.wallets.values():
            chain = [each for each in self.batch.transactions if each.wallet_id == wallet.id]
            assert [each.seq for each in chain] == list(range(1, wallet.seq + 1))
            balance = 0
            for each in chain:
                assert each.balance_before == balance
                balance += each.credits
                assert each.balance_after == balance >= 0
            assert balance == wallet.available


TestWallets = WalletMachine.TestCase
TestWallets.settings = settings(max_examples=80, stateful_step_count=20, deadline=None)
