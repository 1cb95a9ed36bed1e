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
    the wallet's currency; `value_left_minor` is what the remaining ones still carry.

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

    def burn(self, credits: int) -> int:
        """Take *credits* out; returns the value they carry away, in minor units.

        What has left a lot depends only on how many credits have, not on how they were sliced: the value is rounded
        down over all of them together, so the last credit takes the rest.
        """
        self.remaining -= credits
        value_left = self.value_minor - self.value_minor * (self.granted - self.remaining) // self.granted
        released, self.value_left_minor = self.value_left_minor - value_left, value_left
        return released


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
    lots: list[Lot] = field(default_factory=list)


class Burn(Struct, frozen=True, gc=False):
    """What one transaction took out of one lot."""

    lot_id: UUID
    credits: int
    value_minor: int


class Transaction(Struct, frozen=True, gc=False):
    """A change of one wallet's available balance. Credits are signed, the value is not."""

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

    @property
    def credits(self) -> int:
        return self.credits_paid + self.credits_bonus


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
