"""What a wallet is made of: credits in lots, and the transactions that moved them.

A record says `gc=False` where thousands are made per batch and none can be part of a cycle: the collector skips them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct, field

from common.money import Money

OWNER_KINDS = frozenset({"USER", "COMMUNITY", "PLATFORM"})


class LotKind(StrEnum):
    """Whether a lot's credits were bought or given on top."""

    BONUS = "BONUS"
    PAID = "PAID"


# Of two lots that are alike otherwise, the earlier kind burns first. The order is kept by sorting the kinds as text:
# burn_order below, the `order by … kind` of store.commands and the index credit_lots_in_burn_order (whose column has
# the collation "C") all rely on it. A kind that does not sort where it should burn needs a number of its own there.
BURN_ORDER = (LotKind.BONUS, LotKind.PAID)
if [*BURN_ORDER] != sorted(LotKind, key=str):
    raise AssertionError("the kinds of lots burn in the order of their texts, in SQL and in the index")


class TransactionType(StrEnum):
    """Why a balance changed."""

    GRANT = "GRANT"
    CONSUME = "CONSUME"
    # Of a hold: its credits leave the available ones, come back, or are taken back because their money went back.
    LOCK = "LOCK"
    RELEASE = "RELEASE"
    REFUND = "REFUND"
    # Owed credits were paid out of a grant, or are no longer owed.
    DEBT = "DEBT"


class Owner(Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """Whose wallet it is. Sorted as wallets are locked; every step of a batch looks wallets up by it."""

    merchant_id: str
    kind: str
    id: str


class Pack(Struct, frozen=True):
    """So many credits at a price; a changed pack is a new version."""

    pack_id: str
    version: int
    name: str
    price: Money
    credits_paid: int
    credits_bonus: int


_NEVER = datetime.max.replace(tzinfo=UTC)


class Lot(Struct, gc=False):
    """Credits that came together and have the same value. `value_minor` is the value of all of them, in
    the wallet's currency; `value_left_minor` is what the remaining ones still carry, `held_value_minor` what holds
    took. `held` and `held_value_minor` are known only where holds are made or closed.

    Mutable: a batch burns the lots that its transaction holds locked, one operation after the other.
    """

    id: UUID
    kind: LotKind
    payment_id: UUID | None
    granted: int
    remaining: int
    value_minor: int
    value_left_minor: int
    priority: int = 0
    expires_at: datetime | None = None
    held: int = 0
    held_value_minor: int = 0
    # The hold whose consumed credits this lot grants again; None for what was bought.
    regrant_hold_id: UUID | None = None

    def burn(self, credits: int) -> int:
        """Take *credits* out; returns the value they carry away, in minor units.

        What has left a lot depends only on how many credits have, not on how they were sliced: the value is rounded
        down over all of them together, so the last credit takes the rest. Credits that came back from a hold brought
        back what they had taken, which may be a paisa less than their turn: then nothing leaves until it is made up.
        """
        self.remaining -= credits
        value_left = self.value_minor - self.value_minor * (self.granted - self.remaining) // self.granted
        value_left = min(value_left, self.value_left_minor)
        released, self.value_left_minor = self.value_left_minor - value_left, value_left
        return released

    def hold(self, credits: int) -> int:
        """Reserve *credits*; returns the value that they carry meanwhile, in minor units."""
        value = self.burn(credits)
        self.held += credits
        self.held_value_minor += value
        return value

    def take_held(self, credits: int, value_minor: int) -> None:
        """End a hold of *credits*: they do not come back."""
        self.held -= credits
        self.held_value_minor -= value_minor

    def release(self, credits: int, value_minor: int) -> None:
        """End a hold of *credits*: they come back with the value that they took."""
        self.take_held(credits, value_minor)
        self.remaining += credits
        self.value_left_minor += value_minor


def burn_order(lot: Lot) -> tuple[int, datetime, str, int]:
    """The published order: priority, soonest expiry (never comes last), BURN_ORDER of kinds, oldest.

    The kinds are compared as text, as Postgres does.
    """
    return lot.priority, lot.expires_at or _NEVER, lot.kind, lot.id.int


class Wallet(Struct):
    """Credits of one owner. `lots` are open ones in burn order: at least as many as the batch can burn.

    Mutable: its balance runs through the operations of a batch; the row is locked meanwhile.
    """

    id: UUID
    owner: Owner
    currency: str
    available: int = 0
    locked: int = 0
    pending: int = 0
    lifetime_purchased: int = 0
    seq: int = 0
    # Credits that were spent and whose money went back since: the next grants pay them first.
    debt: int = 0
    lots: list[Lot] = field(default_factory=list)


class Burn(Struct, frozen=True, gc=False):
    """What one transaction took out of one lot, or gave back to it."""

    lot_id: UUID
    credits: int
    value_minor: int


class Held(Struct, frozen=True, gc=False):
    """The hold that a transaction belongs to: what it holds, by kind, and which payment bought the credits."""

    hold_id: UUID
    payment_id: UUID
    credits_paid: int
    credits_bonus: int


class Transaction(Struct, frozen=True, gc=False):
    """A change of one wallet. Credits are signed and say what the available balance changed by; `locked` and `debt`
    say the same of the locked credits and of what is owed. The value is not signed.
    """

    id: UUID
    wallet_id: UUID
    owner: Owner
    type: TransactionType
    credits_paid: int
    credits_bonus: int
    value_minor: int
    currency: str
    balance_before: int
    balance_after: int
    seq: int
    source: str
    source_id: str
    operation_key: str
    created_at: datetime
    burns: Sequence[Burn] = ()
    locked: int = 0
    debt: int = 0
    # Known only while the transaction is being made.
    debt_after: int = 0
    held: Held | None = None

    @property
    def credits(self) -> int:
        return self.credits_paid + self.credits_bonus


class PaymentGrant(Struct, frozen=True):
    """What one payment granted: sums over its lots and its holds, in credits."""

    payment_id: UUID
    owner: Owner
    credits_paid: int
    credits_bonus: int
    # Granted after a reversed refund, apart from the others.
    granted_again: int
    # Taken back by refunds and lost disputes.
    reversed: int
    value_minor: int
    currency: str
    # How often it was granted: more than once is a double grant.
    grants: int


class LotSum(Struct, frozen=True):
    """Open credits of one wallet that expire at one time."""

    expires_at: datetime | None
    paid: int
    bonus: int


class WalletContents(Struct, frozen=True):
    """A wallet as its owner sees it; no wallet while the owner has never been granted anything."""

    wallet: Wallet | None
    lots: Sequence[LotSum]


class TransactionFilter(Struct, frozen=True):
    """Which of an owner's transactions, newest first: *since* is included, *until* is not."""

    limit: int
    before_seq: int | None = None
    type: TransactionType | None = None
    since: datetime | None = None
    until: datetime | None = None


class TimelineSubject(Struct, frozen=True):
    """What a timeline is about: exactly one of these."""

    payment_id: UUID | None = None
    wallet_id: UUID | None = None
    transaction_id: UUID | None = None
    owner_id: str | None = None
