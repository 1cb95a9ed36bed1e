"""What a wallet owes: credits that were spent, and whose money went back."""

from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct


class Debt(Struct, gc=False):
    """What one consumed hold was short of. Mutable: the wallet's row is locked meanwhile."""

    # The hold is its origin, and there is one debt of a hold at most.
    hold_id: UUID
    wallet_id: UUID
    credits: int
    # Paid out of grants, by the kind of the credits that paid.
    settled_paid: int = 0
    settled_bonus: int = 0
    # No longer owed: by a person's decision, or because the refund was reversed.
    forgiven: int = 0

    @property
    def settled(self) -> int:
        return self.settled_paid + self.settled_bonus

    @property
    def left(self) -> int:
        return self.credits - self.settled - self.forgiven


def settle(debts: Iterable[Debt], paid: int, bonus: int) -> list[Debt]:
    """Pay *debts*, the oldest first, with so many credits of each kind; returns those that changed."""
    changed = []
    for debt in debts:
        by_bonus = min(bonus, debt.left)
        by_paid = min(paid, debt.left - by_bonus)
        if by_bonus or by_paid:
            debt.settled_bonus += by_bonus
            debt.settled_paid += by_paid
            bonus, paid = bonus - by_bonus, paid - by_paid
            changed.append(debt)
    if paid or bonus:
        raise AssertionError(f"{paid + bonus} credits more were taken than the debts come to")
    return changed


def forgive(debts: Iterable[Debt], credits: int) -> list[Debt]:
    """Take *credits* off *debts*, the oldest first; returns those that changed."""
    changed = []
    for debt in debts:
        if part := min(credits, debt.left):
            debt.forgiven += part
            credits -= part
            changed.append(debt)
    if credits:
        raise AssertionError(f"{credits} credits more were forgiven than the debts come to")
    return changed
