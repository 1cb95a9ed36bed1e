"""One operation after the other: keys, refusals and order within a batch."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace

import pytest

from common.errors import DomainError
from wallet import domain
from wallet.domain import (
    Book,
    InvalidConsumption,
    InvalidGrant,
    Operation,
    OperationKeyReused,
    Result,
    Transaction,
    WalletCurrencyMismatch,
    WalletInsufficientCredits,
)


@pytest.fixture
def book(make: SimpleNamespace) -> Book:
    return Book({make.owner(): make.wallet()}, {})


@pytest.fixture
def carried_out(book: Book, make: SimpleNamespace, now: datetime):
    def carry_out(*operations: Operation) -> list[Result]:
        return domain.apply(book, operations, now, make.id)

    return carry_out


def test_a_debit_sees_the_credit_before_it_and_not_the_one_after(carried_out, make) -> None:
    early, granted, late = carried_out(make.consumption(10), make.grant(), make.consumption(10))
    assert isinstance(early, WalletInsufficientCredits)
    assert (granted.balance_after, late.balance_before, late.balance_after) == (5500, 5500, 5490)


def test_of_two_debits_that_fit_one_by_one_but_not_together_the_first_wins(carried_out, make, book) -> None:
    carried_out(make.grant())
    first, second = carried_out(make.consumption(3000), make.consumption(3000))
    assert isinstance(first, Transaction)
    assert isinstance(second, WalletInsufficientCredits)
    assert second.message == "2500 available, 3000 asked for"
    assert book.wallets[make.owner()].available == 2500


def test_the_same_key_and_content_answers_with_the_first_result(carried_out, make, book) -> None:
    bought = make.grant()
    first, again = carried_out(bought, bought)
    assert again is first
    spent, spent_again = carried_out(make.consumption(7, "boost-1"), make.consumption(7, "boost-1"))
    assert spent_again is spent
    assert book.wallets[make.owner()].available == 5493
    assert len(book.transactions) == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda make: make.consumption(8, "boost-1"),
        lambda make: make.consumption(7, "boost-1", purpose="gift"),
        lambda make: make.consumption(7, "boost-1", of=make.owner("usr_ravi")),
    ],
)
def test_the_same_key_and_other_content_is_refused(carried_out, make, other) -> None:
    carried_out(make.grant(), make.consumption(7, "boost-1"))
    [refused] = carried_out(other(make))
    assert isinstance(refused, OperationKeyReused)


def test_keys_of_two_merchants_do_not_meet(make, now) -> None:
    ours, theirs = make.owner(), make.owner(merchant_id="mer_other")
    book = Book({each: make.wallet(each) for each in (ours, theirs)}, {})
    operations = [
        make.grant(ours),
        make.grant(theirs),
        make.consumption(5, "k", ours),
        make.consumption(9, "k", theirs),
    ]
    assert not [result for result in domain.apply(book, operations, now, make.id) if isinstance(result, DomainError)]


def test_a_payment_that_comes_again_with_other_credits_is_refused(carried_out, make) -> None:
    bought = make.grant()
    _, refused = carried_out(bought, make.grant(paid=9999, payment=bought.payment_id))
    assert isinstance(refused, OperationKeyReused)


def test_a_refusal_does_not_use_up_its_key(carried_out, make) -> None:
    refused, _, done = carried_out(make.consumption(7, "boost-1"), make.grant(), make.consumption(7, "boost-1"))
    assert isinstance(refused, WalletInsufficientCredits)
    assert isinstance(done, Transaction)


def test_a_wallet_counts_in_one_currency(carried_out, make) -> None:
    from common.money import Money

    dollars = make.grant()
    dollars.value = Money(600, "USD")
    [refused] = carried_out(dollars)
    assert isinstance(refused, WalletCurrencyMismatch)


def test_an_unknown_wallet_holds_nothing(carried_out, make) -> None:
    [refused] = carried_out(make.consumption(1, of=make.owner("usr_nobody")))
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
        ("purpose", "p" * 65, "purpose"),
        ("purpose", "a\0b", "purpose"),
        ("source_id", "s" * 129, "source_id"),
        ("owner", domain.Owner("", "USER", "usr_asha"), "owner.merchant_id"),
        ("owner", domain.Owner("mer_commdesk", "ROBOT", "usr_asha"), "owner.kind"),
        ("owner", domain.Owner("mer_commdesk", "", "usr_asha"), "owner.kind"),
        ("owner", domain.Owner("mer_commdesk", "USER", ""), "owner.id"),
        ("owner", domain.Owner("mer_commdesk", "USER", "\0"), "owner.id"),
    ],
)
def test_what_is_wrong_in_any_state_is_named(make, field: str, value: object, named: str) -> None:
    asked = make.consumption(5)
    setattr(asked, field, value)
    refusal = domain.refusal_of(asked)
    assert isinstance(refusal, InvalidConsumption)
    assert list(refusal.fields) == [named]


@pytest.mark.parametrize("credits", [1, 2**31])
def test_the_limits_themselves_are_allowed(make, credits: int) -> None:
    assert domain.refusal_of(make.consumption(credits)) is None


@pytest.mark.parametrize("wrong", [{"paid": -1}, {"paid": 2**31 + 1}, {"paid": 0, "bonus": 0}, {"net": -1}])
def test_a_malformed_grant_is_refused(make, wrong: dict[str, int]) -> None:
    assert isinstance(domain.refusal_of(make.grant(**wrong)), InvalidGrant)
