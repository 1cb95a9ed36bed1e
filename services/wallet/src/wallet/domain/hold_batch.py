"""How holds are made and ended: one after the other, in the order given, each on what the ones before it left."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import field
from msgspec.structs import replace

from common.errors import DomainError
from wallet.domain import debts
from wallet.domain.batch import WalletBatch, moved, open_lots, settle_debt
from wallet.domain.debts import Debt
from wallet.domain.errors import (
    HoldClosed,
    HoldMismatched,
    HoldNotFound,
    OperationKeyReused,
    WalletCreditsSpent,
    WalletGrantPending,
)
from wallet.domain.holds import PATHS, Hold, HoldOutcome, HoldRequest, HoldState, SpentCredits
from wallet.domain.operations import REGRANT_KEY, ScopedKey
from wallet.domain.wallets import Burn, Held, Lot, LotKind, Transaction, TransactionType, Wallet, burn_order

NewId = Callable[[], UUID]


class HoldBatch(WalletBatch):
    """What a batch of holds works on, and what came of it."""

    # To make holds: those made under the same keys before, and all lots of the payments, in burn order.
    holds_by_key: dict[ScopedKey, Hold] = field(default_factory=dict)
    payment_lots: dict[tuple[UUID, UUID], list[Lot]] = field(default_factory=dict)
    # To end them: the holds, the lots that they took from, and the debts that they made.
    holds: dict[UUID, Hold] = field(default_factory=dict)
    lots: dict[UUID, Lot] = field(default_factory=dict)
    debts_of_holds: dict[UUID, Debt] = field(default_factory=dict)
    # What came of it.
    opened_holds: list[Hold] = field(default_factory=list)
    changed_holds: dict[UUID, Hold] = field(default_factory=dict)
    held_lots: dict[UUID, Lot] = field(default_factory=dict)
    opened_debts: list[Debt] = field(default_factory=list)


def hold_each(
    batch: HoldBatch, requests: Iterable[HoldRequest], now: datetime, new_id: NewId
) -> list[Hold | DomainError]:
    """Make each hold or say why not, in order; a repeated key answers with the first hold."""
    results: list[Hold | DomainError] = []
    for request in requests:
        try:
            results.append(_hold(batch, request, now, new_id))
        except DomainError as refusal:
            results.append(refusal)
    return results


def _hold(batch: HoldBatch, request: HoldRequest, now: datetime, new_id: NewId) -> Hold:
    key = request.owner.merchant_id, request.operation_key
    if first := batch.holds_by_key.get(key):
        if not first.is_of(request):
            raise OperationKeyReused("this key already stands for another hold", operation_key="already used")
        return first
    wallet = batch.wallets.get(request.owner)
    lots = batch.payment_lots.get((wallet.id, request.payment_id)) if wallet else None
    if wallet is None or not lots:
        raise WalletGrantPending("the payment has granted nothing to this wallet yet")
    parts = ((LotKind.PAID, request.credits_paid), (LotKind.BONUS, request.credits_bonus))
    held = {kind: min(asked, sum(lot.remaining for lot in lots if lot.kind is kind)) for kind, asked in parts}
    missing = {kind: asked - held[kind] for kind, asked in parts}
    if any(missing.values()) and request.policy is SpentCredits.BLOCK:
        raise WalletCreditsSpent(f"{sum(missing.values())} of the credits are spent")
    burns = {kind: _taken(batch, [lot for lot in lots if lot.kind is kind], held[kind]) for kind in held}
    hold = Hold(
        new_id(), wallet.id, request.owner, request.operation_key, request.payment_id, request.policy,
        held[LotKind.PAID], held[LotKind.BONUS], missing[LotKind.PAID], missing[LotKind.BONUS],
        _value(burns[LotKind.PAID]), _value(burns[LotKind.BONUS]), wallet.currency,
        burns=(*burns[LotKind.PAID], *burns[LotKind.BONUS]),
    )  # fmt: skip
    if hold.credits:
        locked = _move_held(batch, wallet, hold, TransactionType.LOCK, hold.operation_key, now, new_id)
        hold = replace(hold, transaction_id=locked.id)
    batch.holds_by_key[key] = hold
    batch.opened_holds.append(hold)
    return hold


def _taken(batch: HoldBatch, lots: Sequence[Lot], credits: int) -> list[Burn]:
    burns = []
    for lot in lots:
        if part := min(credits, lot.remaining):
            burns.append(Burn(lot.id, part, lot.hold(part)))
            batch.held_lots[lot.id] = lot
            credits -= part
    return burns


def _value(burns: Iterable[Burn]) -> int:
    return sum(burn.value_minor for burn in burns)


def end_each(
    batch: HoldBatch, outcomes: Iterable[HoldOutcome], now: datetime, new_id: NewId
) -> list[DomainError | None]:
    """Take each hold where its event says it went, or say why not; one that is there already stays."""
    refusals: list[DomainError | None] = []
    for outcome in outcomes:
        try:
            _end(batch, outcome, now, new_id)
        except DomainError as refusal:
            refusals.append(refusal)
        else:
            refusals.append(None)
    return refusals


def _end(batch: HoldBatch, outcome: HoldOutcome, now: datetime, new_id: NewId) -> None:
    hold = batch.holds.get(outcome.hold_id)
    if hold is None:
        raise HoldNotFound("there is no such hold")
    if (hold.owner.merchant_id, hold.operation_key) != (outcome.merchant_id, outcome.operation_key):
        raise HoldMismatched(f"the hold is that of {hold.operation_key}, not of {outcome.operation_key}")
    path = PATHS[hold.state, outcome.outcome]
    if path is None:
        raise HoldClosed(f"the hold is {hold.state}, and cannot be {outcome.outcome} any more")
    for state in path:
        _STEPS[state](batch, batch.wallets[hold.owner], hold, now, new_id)
        hold = replace(hold, state=state)
        batch.holds[hold.id] = batch.changed_holds[hold.id] = hold


def _consume(batch: HoldBatch, wallet: Wallet, hold: Hold, now: datetime, new_id: NewId) -> None:
    for burn in hold.burns:
        lot = batch.held_lots[burn.lot_id] = batch.lots[burn.lot_id]
        lot.take_held(burn.credits, burn.value_minor)
    if hold.credits or hold.debt:
        _move_held(batch, wallet, hold, TransactionType.REFUND, f"{hold.operation_key}:taken", now, new_id)
    if hold.debt:
        debt = Debt(hold.id, hold.wallet_id, hold.debt)
        batch.opened_debts.append(debt)
        batch.debts_of_holds[hold.id] = debt
        batch.debts.setdefault(hold.wallet_id, []).append(debt)


def _release(batch: HoldBatch, wallet: Wallet, hold: Hold, now: datetime, new_id: NewId) -> None:
    for burn in hold.burns:
        lot = batch.held_lots[burn.lot_id] = batch.lots[burn.lot_id]
        lot.release(burn.credits, burn.value_minor)
    if hold.credits:
        _move_held(batch, wallet, hold, TransactionType.RELEASE, f"{hold.operation_key}:released", now, new_id)


def _regrant(batch: HoldBatch, wallet: Wallet, hold: Hold, now: datetime, new_id: NewId) -> None:
    """Grant again what was taken, and what grants have paid of the debt meanwhile; the rest is no longer owed.

    What paid the debt was earned then: those credits come back without a value.
    """
    key = REGRANT_KEY + hold.source_id
    debt = batch.debts_of_holds.get(hold.id)
    settled_paid, settled_bonus = (debt.settled_paid, debt.settled_bonus) if debt else (0, 0)
    if debt and debt.left:
        cancelled = debt.left
        for changed in debts.forgive([debt], cancelled):
            batch.changed_debts[changed.hold_id] = changed
        moved(
            batch, wallet, TransactionType.DEBT, 0, 0, 0, hold.source, hold.source_id, f"{key}:cancelled", now,
            new_id(), (), debt=-cancelled,
        )  # fmt: skip
    lots = [
        Lot(new_id(), kind, hold.payment_id, credits, credits, value, value, regrant_hold_id=hold.id)
        for kind, credits, value in (
            (LotKind.PAID, hold.credits_paid, hold.value_paid_minor),
            (LotKind.BONUS, hold.credits_bonus, hold.value_bonus_minor),
            (LotKind.PAID, settled_paid, 0),
            (LotKind.BONUS, settled_bonus, 0),
        )
        if credits
    ]
    if not lots:
        return
    open_lots(batch, wallet, lots)
    granted = moved(
        batch, wallet, TransactionType.GRANT, hold.credits_paid + settled_paid, hold.credits_bonus + settled_bonus,
        hold.value_minor, hold.source, hold.source_id, key, now, new_id(), (), held=_held(hold),
    )  # fmt: skip
    if wallet.debt:
        settle_debt(batch, wallet, lots, granted, now, new_id)


_STEPS = {HoldState.CONSUMED: _consume, HoldState.RELEASED: _release, HoldState.REGRANTED: _regrant}

# How a transaction of each type moves the held credits: the available ones, and the locked ones.
_SIGNS = {TransactionType.LOCK: (-1, 1), TransactionType.RELEASE: (1, -1), TransactionType.REFUND: (0, -1)}


def _move_held(
    batch: HoldBatch, wallet: Wallet, hold: Hold, type: TransactionType, key: str, now: datetime, new_id: NewId
) -> Transaction:
    available, locked = _SIGNS[type]
    return moved(
        batch, wallet, type, available * hold.credits_paid, available * hold.credits_bonus, hold.value_minor,
        hold.source, hold.source_id, key, now, new_id(), hold.burns, locked=locked * hold.credits,
        debt=hold.debt if type is TransactionType.REFUND else 0, held=_held(hold),
    )  # fmt: skip


def _held(hold: Hold) -> Held:
    return Held(hold.id, hold.payment_id, hold.credits_paid, hold.credits_bonus)


def payment_lots(lots: Iterable[tuple[UUID, Lot]]) -> dict[tuple[UUID, UUID], list[Lot]]:
    """*lots* with their wallets, by wallet and payment, in burn order."""
    grouped: dict[tuple[UUID, UUID], list[Lot]] = {}
    for wallet_id, lot in lots:
        if lot.payment_id:
            grouped.setdefault((wallet_id, lot.payment_id), []).append(lot)
    for each in grouped.values():
        each.sort(key=burn_order)
    return grouped
