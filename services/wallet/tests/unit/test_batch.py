"""One operation after the other: keys, refusals and order within a batch."""

from collections.abc import Callable
from datetime import datetime

import msgspec
import pytest

from common.errors import DomainError
from wallet.domain.batch import Result, WalletBatch, apply
from wallet.domain.errors import (
    ConsumptionInvalid,
    GrantInvalid,
    OperationKeyReused,
    WalletCurrencyMismatch,
    WalletInsufficientCredits,
)
from wallet.domain.operations import Consumption, Operation, refusal_of
from wallet.domain.wallets import Owner, Transaction

from .. import builders as make

CarryOut = Callable[..., list[Result]]


@pytest.fixture
def batch() -> WalletBatch:
    return WalletBatch({make.owner(): make.wallet()}, {})


@pytest.fixture
def carry_out(batch: WalletBatch, now: datetime) -> CarryOut:
    def carry_out(*operations: Operation) -> list[Result]:
        return apply(batch, operations, now, make.new_id)

    return carry_out


def moved(result: Result) -> Transaction:
    """The transaction that *result* must be."""
    assert isinstance(result, Transaction)
    return result


def test_a_debit_sees_the_credit_before_it_and_not_the_one_after(carry_out: CarryOut) -> None:
    early, granted, late = carry_out(make.consumption(10), make.grant(), make.consumption(10))
    assert isinstance(early, WalletInsufficientCredits)
    granted, late = moved(granted), moved(late)
    assert (granted.balance_after, late.balance_before, late.balance_after) == (5500, 5500, 5490)


def test_of_two_debits_that_fit_one_by_one_but_not_together_the_first_wins(
    carry_out: CarryOut, batch: WalletBatch
) -> None:
    carry_out(make.grant())
    first, second = carry_out(make.consumption(3000), make.consumption(3000))
    assert isinstance(first, Transaction)
    assert isinstance(second, WalletInsufficientCredits)
    assert second.message == "2500 available, 3000 asked for"
    assert batch.wallets[make.owner()].available == 2500


def test_the_same_key_and_content_answers_with_the_first_result(carry_out: CarryOut, batch: WalletBatch) -> None:
    bought = make.grant()
    first, again = carry_out(bought, bought)
    assert again is first
    spent, spent_again = carry_out(make.consumption(7, "boost-1"), make.consumption(7, "boost-1"))
    assert spent_again is spent
    assert batch.wallets[make.owner()].available == 5493
    assert len(batch.transactions) == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda: make.consumption(8, "boost-1"),
        lambda: make.consumption(7, "boost-1", purpose="gift"),
        lambda: make.consumption(7, "boost-1", of=make.owner("usr_ravi")),
    ],
)
def test_the_same_key_and_other_content_is_refused(carry_out: CarryOut, other: Callable[[], Consumption]) -> None:
    carry_out(make.grant(), make.consumption(7, "boost-1"))
    [refused] = carry_out(other())
    assert isinstance(refused, OperationKeyReused)


def test_keys_of_two_merchants_do_not_meet(now: datetime) -> None:
    ours, theirs = make.owner(), make.owner(merchant_id="mer_other")
    batch = WalletBatch({each: make.wallet(each) for each in (ours, theirs)}, {})
    operations = [
        make.grant(ours),
        make.grant(theirs),
        make.consumption(5, "k", ours),
        make.consumption(9, "k", theirs),
    ]
    assert not [result for result in apply(batch, operations, now, make.new_id) if isinstance(result, DomainError)]


def test_a_payment_that_comes_again_with_other_credits_is_refused(carry_out: CarryOut) -> None:
    bought = make.grant()
    _, refused = carry_out(bought, make.grant(paid=9999, payment_id=bought.payment_id))
    assert isinstance(refused, OperationKeyReused)


def test_a_refusal_does_not_use_up_its_key(carry_out: CarryOut) -> None:
    refused, _, repeated = carry_out(make.consumption(7, "boost-1"), make.grant(), make.consumption(7, "boost-1"))
    assert isinstance(refused, WalletInsufficientCredits)
    assert isinstance(repeated, Transaction)


def test_a_wallet_counts_in_one_currency(carry_out: CarryOut) -> None:
    [refused] = carry_out(make.grant(net=600, currency="USD"))
    assert isinstance(refused, WalletCurrencyMismatch)


def test_an_unknown_wallet_holds_nothing(carry_out: CarryOut) -> None:
    [refused] = carry_out(make.consumption(1, of=make.owner("usr_nobody")))
    assert isinstance(refused, WalletInsufficientCredits)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("credits", 0, "credits"),
        ("credits", -5, "credits"),
        ("credits", 2**31 + 1, "credits"),
        ("operation_key", "", "operation_key"),
        ("operation_key", "k" * 129, "operation_key"),
        ("operation_key", "a\0b", "operation_key"),
        ("operation_key", "grant:pay_00000000000000000000000000", "operation_key"),
        ("operation_key", "refund:rfd_00000000000000000000000000", "operation_key"),
        ("operation_key", "dispute:x", "operation_key"),
        ("operation_key", "regrant:x", "operation_key"),
        ("operation_key", "forgive:x", "operation_key"),
        ("purpose", "p" * 65, "purpose"),
        ("purpose", "a\0b", "purpose"),
        ("source_id", "s" * 129, "source_id"),
        ("owner", Owner("", "USER", "usr_asha"), "owner.merchant_id"),
        ("owner", Owner("mer_commdesk", "ROBOT", "usr_asha"), "owner.kind"),
        ("owner", Owner("mer_commdesk", "", "usr_asha"), "owner.kind"),
        ("owner", Owner("mer_commdesk", "USER", ""), "owner.id"),
        ("owner", Owner("mer_commdesk", "USER", "\0"), "owner.id"),
    ],
)
def test_what_is_wrong_in_any_state_is_named(field: str, value: object, named: str) -> None:
    refusal = refusal_of(msgspec.structs.replace(make.consumption(5), **{field: value}))
    assert isinstance(refusal, ConsumptionInvalid)
    assert list(refusal.fields) == [named]


@pytest.mark.parametrize("credits", [1, 2**31])
def test_the_limits_themselves_are_allowed(credits: int) -> None:
    assert refusal_of(make.consumption(credits)) is None


@pytest.mark.parametrize("wrong", [{"paid": -1}, {"paid": 2**31 + 1}, {"paid": 0, "bonus": 0}, {"net": -1}])
def test_a_malformed_grant_is_refused(wrong: dict[str, int]) -> None:
    assert isinstance(refusal_of(make.grant(**wrong)), GrantInvalid)
