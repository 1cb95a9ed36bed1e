"""How operations are carried out: one after the other, in the order given, each on what the ones before it left.

A batch works on one `WalletBatch`: the wallets that the transaction holds locked, their open lots and the operations
that were carried out before. They are the transaction's own and are changed in place; nothing is copied.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct, field

from common.errors import DomainError
from common.money import allocate
from wallet.domain import debts
from wallet.domain.debts import Debt
from wallet.domain.errors import (
    OperationKeyReused,
    WalletCurrencyMismatch,
    WalletDebtExceeded,
    WalletInsufficientCredits,
)
from wallet.domain.operations import Consumption, Forgiveness, Grant, Operation, ScopedKey, scoped_key
from wallet.domain.wallets import Burn, Held, Lot, LotKind, Owner, Transaction, TransactionType, Wallet, burn_order

Result = Transaction | DomainError


class OpenedLot(Struct, frozen=True, gc=False):
    """A lot that the batch opened, and in which wallet."""

    wallet_id: UUID
    lot: Lot


class WalletBatch(Struct):
    """What one batch works on, and what came of it.

    Mutable, because it accumulates: each operation adds its transaction and finds what the ones before it left. A batch
    of 2,048 operations meets the same wallets again and again; a copy for each would cost more than the rules do.
    """

    wallets: dict[Owner, Wallet]
    transactions_by_key: dict[ScopedKey, Transaction]
    transactions: list[Transaction] = field(default_factory=list)
    changed_wallets: dict[Owner, Wallet] = field(default_factory=dict)
    opened_lots: list[OpenedLot] = field(default_factory=list)
    burnt_lots: dict[UUID, Lot] = field(default_factory=dict)
    # What is open of wallets that are granted to and owe something, by wallet, the oldest first.
    debts: dict[UUID, list[Debt]] = field(default_factory=dict)
    changed_debts: dict[UUID, Debt] = field(default_factory=dict)


def apply(
    batch: WalletBatch, operations: Iterable[Operation], now: datetime, new_id: Callable[[], UUID]
) -> list[Result]:
    """Carry out each operation or say why not, in order; one that is refused does not touch the others."""
    results: list[Result] = []
    for operation in operations:
        try:
            results.append(_apply_one(batch, operation, now, new_id))
        except DomainError as refusal:
            results.append(refusal)
    return results


def _apply_one(batch: WalletBatch, operation: Operation, now: datetime, new_id: Callable[[], UUID]) -> Transaction:
    key = scoped_key(operation)
    first = batch.transactions_by_key.get(key)
    if first is not None:
        return _repeated(first, operation)
    wallet = batch.wallets.get(operation.owner)
    if isinstance(operation, Consumption):
        transaction = _consume(batch, wallet, operation, now, new_id)
    elif isinstance(operation, Grant):
        transaction = _grant(batch, wallet, operation, now, new_id)
    else:
        transaction = _forgive(batch, wallet, operation, now, new_id)
    batch.transactions_by_key[key] = transaction
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
    elif isinstance(operation, Forgiveness):
        same = (
            first.type is TransactionType.DEBT
            and first.debt == -operation.credits
            and (first.source, first.source_id) == (FORGIVEN, operation.actor)
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
    batch: WalletBatch, wallet: Wallet | None, consumption: Consumption, now: datetime, new_id: Callable[[], UUID]
) -> Transaction:
    credits = consumption.credits
    if wallet is None or credits > wallet.available:
        raise WalletInsufficientCredits(f"{wallet.available if wallet else 0} available, {credits} asked for")
    burns, bonus, value = _burnt(batch, wallet, wallet.lots, credits)
    return moved(
        batch, wallet, TransactionType.CONSUME, bonus - credits, -bonus, value,
        consumption.purpose, consumption.source_id, consumption.operation_key, now, new_id(), burns,
    )  # fmt: skip


def _burnt(batch: WalletBatch, wallet: Wallet, lots: list[Lot], credits: int) -> tuple[list[Burn], int, int]:
    """Take *credits* out of *lots*, which are in burn order; what was taken, how many were bonus, and their value."""
    left, bonus, value, emptied = credits, 0, 0, 0
    burns: list[Burn] = []
    for lot in lots:
        taken = min(left, lot.remaining)
        released = lot.burn(taken)
        burns.append(Burn(lot.id, taken, released))
        batch.burnt_lots[lot.id] = lot
        left -= taken
        value += released
        bonus += taken if lot.kind is LotKind.BONUS else 0
        emptied += not lot.remaining
        if not left:
            break
    if left:
        raise AssertionError(f"the lots of wallet {wallet.id} hold {left} credits less than its balance")
    del lots[:emptied]
    return burns, bonus, value


def _grant(
    batch: WalletBatch, wallet: Wallet | None, grant: Grant, now: datetime, new_id: Callable[[], UUID]
) -> Transaction:
    if wallet is None:
        raise AssertionError("a wallet is opened before it is granted to")
    if wallet.currency != grant.value.currency:
        raise WalletCurrencyMismatch(
            f"the wallet counts in {wallet.currency}, the payment was in {grant.value.currency}"
        )
    lots = lots_of(grant, new_id)
    open_lots(batch, wallet, lots)
    wallet.lifetime_purchased += grant.credits_paid
    granted = moved(
        batch, wallet, TransactionType.GRANT, grant.credits_paid, grant.credits_bonus, grant.value.minor,
        "payment", grant.source_id, grant.operation_key, now, new_id(), (),
    )  # fmt: skip
    if wallet.debt:
        settle_debt(batch, wallet, lots, granted, now, new_id)
    return granted


def open_lots(batch: WalletBatch, wallet: Wallet, lots: Sequence[Lot]) -> None:
    """Add new lots to a wallet."""
    for lot in lots:
        insort(wallet.lots, lot, key=burn_order)
        batch.opened_lots.append(OpenedLot(wallet.id, lot))


# Sources of transactions that change a debt: who forgave it, or the grant that paid it.
FORGIVEN = "forgiven"
DEBT_KEY_SUFFIX = ":debt"


def settle_debt(
    batch: WalletBatch, wallet: Wallet, lots: Sequence[Lot], granted: Transaction, now: datetime,
    new_id: Callable[[], UUID],
) -> None:  # fmt: skip
    """Pay what *wallet* owes out of the *lots* that *granted* has just opened, as far as they reach."""
    credits = min(wallet.debt, sum(lot.remaining for lot in lots))
    burns, bonus, value = _burnt(batch, wallet, sorted(lots, key=burn_order), credits)
    wallet.lots = [lot for lot in wallet.lots if lot.remaining]
    for debt in debts.settle(batch.debts[wallet.id], credits - bonus, bonus):
        batch.changed_debts[debt.hold_id] = debt
    moved(
        batch, wallet, TransactionType.DEBT, bonus - credits, -bonus, value, granted.source, granted.source_id,
        granted.operation_key + DEBT_KEY_SUFFIX, now, new_id(), burns, debt=-credits,
    )  # fmt: skip


def _forgive(
    batch: WalletBatch, wallet: Wallet | None, forgiveness: Forgiveness, now: datetime, new_id: Callable[[], UUID]
) -> Transaction:
    if wallet is None or forgiveness.credits > wallet.debt:
        raise WalletDebtExceeded(f"{wallet.debt if wallet else 0} owed, {forgiveness.credits} to be forgiven")
    for debt in debts.forgive(batch.debts[wallet.id], forgiveness.credits):
        batch.changed_debts[debt.hold_id] = debt
    return moved(
        batch, wallet, TransactionType.DEBT, 0, 0, 0, FORGIVEN, forgiveness.actor, forgiveness.operation_key, now,
        new_id(), (), debt=-forgiveness.credits,
    )  # fmt: skip


def lots_of(grant: Grant, new_id: Callable[[], UUID]) -> list[Lot]:
    """The paid and the bonus lot of a payment; its net price is spread over all its credits, bonus included."""
    parts = ((LotKind.PAID, grant.credits_paid), (LotKind.BONUS, grant.credits_bonus))
    values = allocate(grant.value, [credits for _, credits in parts])
    return [
        Lot(new_id(), kind, grant.payment_id, credits, credits, value.minor, value.minor)
        for (kind, credits), value in zip(parts, values, strict=True)
        if credits
    ]


def moved(
    batch: WalletBatch, wallet: Wallet, type: TransactionType, paid: int, bonus: int, value_minor: int,
    source: str, source_id: str, key: str, now: datetime, id: UUID, burns: Sequence[Burn],
    *, locked: int = 0, debt: int = 0, held: Held | None = None,
) -> Transaction:  # fmt: skip
    before = wallet.available
    wallet.available = after = before + paid + bonus
    wallet.locked += locked
    wallet.debt += debt
    wallet.seq += 1
    batch.changed_wallets[wallet.owner] = wallet
    transaction = Transaction(
        id, wallet.id, wallet.owner, type, paid, bonus, value_minor, wallet.currency,
        before, after, wallet.seq, source, source_id, key, now, burns, locked, debt, wallet.debt, held,
    )  # fmt: skip
    batch.transactions.append(transaction)
    return transaction
