"""How operations are carried out: one after the other, in the order given, each on what the ones before it left.

A batch works on one `Book`: the wallets that the transaction holds locked, their open lots and the operations that
were carried out before. They are the transaction's own and are changed in place; nothing is copied.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from common.errors import DomainError
from common.money import allocate
from wallet.domain.errors import OperationKeyReused, WalletCurrencyMismatch, WalletInsufficientCredits
from wallet.domain.operations import Consumption, Grant, Operation, ScopedKey
from wallet.domain.wallets import Burn, Lot, LotKind, Owner, Transaction, TransactionType, Wallet, burn_order

Result = Transaction | DomainError


@dataclass(slots=True)
class Book:
    """What one batch works on, and what came of it."""

    wallets: dict[Owner, Wallet]
    done: dict[ScopedKey, Transaction]
    transactions: list[Transaction] = field(default_factory=list)
    moved: dict[Owner, Wallet] = field(default_factory=dict)
    opened: list[tuple[Wallet, Lot]] = field(default_factory=list)
    burnt: dict[UUID, Lot] = field(default_factory=dict)


def apply(book: Book, operations: Iterable[Operation], now: datetime, new_id: Callable[[], UUID]) -> list[Result]:
    """Carry out each operation or say why not, in order; one that is refused does not touch the others."""
    results: list[Result] = []
    for operation in operations:
        try:
            results.append(_apply_one(book, operation, now, new_id))
        except DomainError as refusal:
            results.append(refusal)
    return results


def _apply_one(book: Book, operation: Operation, now: datetime, new_id: Callable[[], UUID]) -> Transaction:
    key = (operation.owner.merchant_id, operation.operation_key)
    first = book.done.get(key)
    if first is not None:
        return _repeated(first, operation)
    wallet = book.wallets.get(operation.owner)
    if isinstance(operation, Consumption):
        transaction = _consume(book, wallet, operation, now, new_id)
    else:
        transaction = _grant(book, wallet, operation, now, new_id)
    book.done[key] = transaction
    book.transactions.append(transaction)
    return transaction


def _repeated(first: Transaction, operation: Operation) -> Transaction:
    """The first result again, if it is the same operation: the transaction itself is the key's fingerprint."""
    if isinstance(operation, Consumption):
        same = (
            first.type is TransactionType.CONSUME
            and first.credits == -operation.credits
            and first.source == operation.purpose
            and first.source_id == operation.source_id
        )
    else:
        same = (
            first.type is TransactionType.GRANT
            and (first.credits_paid, first.credits_bonus) == (operation.credits_paid, operation.credits_bonus)
            and (first.value_minor, first.currency) == (operation.value.minor, operation.value.currency)
        )
    if not same or first.owner != operation.owner:
        raise OperationKeyReused("this key already stands for another operation", operation_key="already used")
    return first


def _consume(
    book: Book, wallet: Wallet | None, asked: Consumption, now: datetime, new_id: Callable[[], UUID]
) -> Transaction:
    if wallet is None or asked.credits > wallet.available:
        raise WalletInsufficientCredits(f"{wallet.available if wallet else 0} available, {asked.credits} asked for")
    left, bonus, value, emptied = asked.credits, 0, 0, 0
    burns: list[Burn] = []
    for lot in wallet.lots:
        taken = min(left, lot.remaining)
        released = lot.burn(taken)
        burns.append(Burn(lot.id, taken, released))
        book.burnt[lot.id] = lot
        left -= taken
        value += released
        bonus += taken if lot.kind is LotKind.BONUS else 0
        emptied += not lot.remaining
        if not left:
            break
    if left:
        raise AssertionError(f"the lots of wallet {wallet.id} hold {left} credits less than its balance")
    del wallet.lots[:emptied]
    return _moved(
        book, wallet, TransactionType.CONSUME, bonus - asked.credits, -bonus, value,
        asked.purpose, asked.source_id, asked.operation_key, now, new_id(), burns,
    )  # fmt: skip


def _grant(book: Book, wallet: Wallet | None, grant: Grant, now: datetime, new_id: Callable[[], UUID]) -> Transaction:
    if wallet is None:
        raise AssertionError("a wallet is opened before it is granted to")
    if wallet.currency != grant.value.currency:
        raise WalletCurrencyMismatch(
            f"the wallet counts in {wallet.currency}, the payment was in {grant.value.currency}"
        )
    for lot in lots_of(grant, new_id):
        insort(wallet.lots, lot, key=burn_order)
        book.opened.append((wallet, lot))
    wallet.lifetime_purchased += grant.credits_paid
    return _moved(
        book, wallet, TransactionType.GRANT, grant.credits_paid, grant.credits_bonus, grant.value.minor,
        "payment", grant.source_id, grant.operation_key, now, new_id(), (),
    )  # fmt: skip


def lots_of(grant: Grant, new_id: Callable[[], UUID]) -> list[Lot]:
    """The paid and the bonus lot of a payment; its net price is spread over all its credits, bonus included."""
    parts = ((LotKind.PAID, grant.credits_paid), (LotKind.BONUS, grant.credits_bonus))
    worth = allocate(grant.value, [credits for _, credits in parts])
    return [
        Lot(new_id(), kind, grant.payment_id, credits, credits, value.minor, value.minor)
        for (kind, credits), value in zip(parts, worth, strict=True)
        if credits
    ]


def _moved(
    book: Book, wallet: Wallet, type: TransactionType, paid: int, bonus: int, value_minor: int,
    source: str, source_id: str, key: str, now: datetime, id: UUID, burns: Sequence[Burn],
) -> Transaction:  # fmt: skip
    before = wallet.available
    wallet.available = after = before + paid + bonus
    wallet.seq += 1
    book.moved[wallet.owner] = wallet
    return Transaction(
        id, wallet.id, wallet.owner, type, paid, bonus, value_minor, wallet.currency,
        before, after, wallet.seq, source, source_id, key, now, burns,
    )  # fmt: skip
