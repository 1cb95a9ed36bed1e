"""What HTTP answers."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from common import ids, pages
from common.pages import Page
from wallet.domain.wallets import Pack, Transaction, WalletContents


class LotSumView(Struct, frozen=True, rename="camel"):
    """Open credits that expire at one time; null is never."""

    expires_at: datetime | None
    paid: int
    bonus: int


class WalletView(Struct, frozen=True, rename="camel"):
    """Whole credits. `walletId` is null while the wallet has never been used. `locked` are reserved for refunds and
    disputes; `debt` were spent and refunded: the next credits pay it first.
    """

    wallet_id: str | None
    available: int
    locked: int
    pending: int
    lifetime_purchased: int
    debt: int
    lots: Sequence[LotSumView]


class TransactionView(Struct, frozen=True, rename="camel"):
    """`credits`, `locked` and `debt` are signed: what the available balance, the locked credits and what is owed
    changed by. `balanceBefore` and `balanceAfter` are of the available balance.
    """

    transaction_id: str
    type: str
    credits: int
    credits_paid: int
    credits_bonus: int
    locked: int
    debt: int
    balance_before: int
    balance_after: int
    seq: int
    source: str
    source_id: str
    created_at: datetime


class PackView(Struct, frozen=True, rename="camel"):
    """`amount` is in the minor unit of `currency` (paise for INR)."""

    pack_id: str
    version: int
    name: str
    amount: int
    currency: str
    credits_paid: int
    credits_bonus: int
    credits_total: int


def wallet(contents: WalletContents) -> WalletView:
    wallet = contents.wallet
    if wallet is None:
        return WalletView(None, 0, 0, 0, 0, 0, [])
    return WalletView(
        ids.encode("wal", wallet.id),
        wallet.available,
        wallet.locked,
        wallet.pending,
        wallet.lifetime_purchased,
        wallet.debt,
        [LotSumView(lot.expires_at, lot.paid, lot.bonus) for lot in contents.lots],
    )


def transaction(moved: Transaction) -> TransactionView:
    return TransactionView(
        ids.encode("wtx", moved.id), moved.type, moved.credits, moved.credits_paid, moved.credits_bonus, moved.locked,
        moved.debt, moved.balance_before, moved.balance_after, moved.seq, moved.source, moved.source_id,
        moved.created_at,
    )  # fmt: skip


def pack(pack: Pack) -> PackView:
    return PackView(
        pack.pack_id, pack.version, pack.name, pack.price.minor, pack.price.currency,
        pack.credits_paid, pack.credits_bonus, pack.credits_paid + pack.credits_bonus,
    )  # fmt: skip


def transactions_page(transactions: Sequence[Transaction], limit: int) -> Page[TransactionView]:
    return pages.page(transactions, limit, transaction, lambda last: pages.encode_cursor(last.seq))
