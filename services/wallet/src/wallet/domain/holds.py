"""Holds: credits that a payment bought, reserved while their money may go back.

A hold never expires. The event about its refund or dispute ends it, and events come in no order: each says what became
of the hold, and `PATHS` says which steps lead there from wherever the hold is.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import product
from uuid import UUID

from msgspec import Struct

from wallet.domain.wallets import Burn, Owner


class SpentCredits(StrEnum):
    """What becomes of a hold when credits of it are spent already."""

    # Nothing is held.
    BLOCK = "BLOCK"
    # When the hold is consumed, the wallet owes them.
    DEBT = "DEBT"
    # Nobody owes them.
    ABSORB = "ABSORB"


class HoldState(StrEnum):
    """How far a hold has come."""

    HELD = "HELD"
    # The money went back: so did the credits.
    CONSUMED = "CONSUMED"
    # The money stayed: so did the credits.
    RELEASED = "RELEASED"
    # The money had gone back, and came to us again: so did the credits.
    REGRANTED = "REGRANTED"


MOVES: dict[HoldState, frozenset[HoldState]] = {
    HoldState.HELD: frozenset({HoldState.CONSUMED, HoldState.RELEASED}),
    HoldState.CONSUMED: frozenset({HoldState.REGRANTED}),
    HoldState.RELEASED: frozenset(),
    HoldState.REGRANTED: frozenset(),
}

# What an event says became of a hold, from each state: the steps there, none when it has been there already. None is a
# contradiction. A reversal that comes before its refund takes both steps, and the refund then has nothing to do.
PATHS: dict[tuple[HoldState, HoldState], tuple[HoldState, ...] | None] = {
    (HoldState.HELD, HoldState.CONSUMED): (HoldState.CONSUMED,),
    (HoldState.HELD, HoldState.RELEASED): (HoldState.RELEASED,),
    (HoldState.HELD, HoldState.REGRANTED): (HoldState.CONSUMED, HoldState.REGRANTED),
    (HoldState.CONSUMED, HoldState.CONSUMED): (),
    (HoldState.CONSUMED, HoldState.RELEASED): None,
    (HoldState.CONSUMED, HoldState.REGRANTED): (HoldState.REGRANTED,),
    (HoldState.RELEASED, HoldState.CONSUMED): None,
    (HoldState.RELEASED, HoldState.RELEASED): (),
    (HoldState.RELEASED, HoldState.REGRANTED): None,
    (HoldState.REGRANTED, HoldState.CONSUMED): (),
    (HoldState.REGRANTED, HoldState.RELEASED): None,
    (HoldState.REGRANTED, HoldState.REGRANTED): (),
}
# What an event can say of a hold: everything but that it is held.
OUTCOMES = tuple(state for state in HoldState if state is not HoldState.HELD)
if MOVES.keys() != set(HoldState) or PATHS.keys() != set(product(HoldState, OUTCOMES)):
    raise AssertionError("every state needs its row, and every outcome in it")
for (_start, _outcome), _path in PATHS.items():
    for _before, _after in zip((_start, *(_path or ())), _path or (), strict=False):
        if _after not in MOVES[_before]:
            raise AssertionError(f"a hold cannot go from {_before} to {_after}")


class HoldRequest(Struct, frozen=True):
    """Credits of each kind to reserve, of those that one payment granted to *owner*."""

    operation_key: str
    owner: Owner
    payment_id: UUID
    credits_paid: int
    credits_bonus: int
    policy: SpentCredits


class HoldOutcome(Struct, frozen=True):
    """What an event says became of a hold. *operation_key* is the one the hold must have been made under."""

    hold_id: UUID
    operation_key: str
    merchant_id: str
    outcome: HoldState


class Hold(Struct, frozen=True):
    """What was reserved, by kind, what was missing because it is spent, and which lots it came from."""

    id: UUID
    wallet_id: UUID
    owner: Owner
    operation_key: str
    payment_id: UUID
    policy: SpentCredits
    credits_paid: int
    credits_bonus: int
    missing_paid: int
    missing_bonus: int
    # What the held credits carry of the payment's net price, in minor units of the wallet's currency.
    value_paid_minor: int
    value_bonus_minor: int
    currency: str
    state: HoldState = HoldState.HELD
    # The transaction that locked the credits; None when all were spent.
    transaction_id: UUID | None = None
    burns: Sequence[Burn] = ()

    @property
    def credits(self) -> int:
        return self.credits_paid + self.credits_bonus

    @property
    def value_minor(self) -> int:
        return self.value_paid_minor + self.value_bonus_minor

    @property
    def source(self) -> str:
        """refund or dispute."""
        return self.operation_key.partition(":")[0]

    @property
    def source_id(self) -> str:
        """rfd_… or dsp_…."""
        return self.operation_key.partition(":")[2]

    @property
    def debt(self) -> int:
        """What the wallet owes once the hold is consumed."""
        return self.missing_paid + self.missing_bonus if self.policy is SpentCredits.DEBT else 0

    def is_of(self, request: HoldRequest) -> bool:
        """Whether *request* asks for this hold: it is the key's fingerprint."""
        return (
            self.owner == request.owner
            and self.payment_id == request.payment_id
            and self.credits_paid + self.missing_paid == request.credits_paid
            and self.credits_bonus + self.missing_bonus == request.credits_bonus
            and self.policy is request.policy
        )
