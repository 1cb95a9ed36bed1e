"""What travels by HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from common import ids
from wallet.domain import LotSum, Pack, Transaction, Wallet


class LotSumJson(msgspec.Struct, rename="camel"):
    """Open credits that expire at one time; null is never."""

    expires_at: datetime | None
    paid: int
    bonus: int


class WalletJson(msgspec.Struct, rename="camel"):
    """Whole credits. `walletId` is null while the wallet has never been used."""

    wallet_id: str | None
    available: int
    locked: int
    pending: int
    lifetime_purchased: int
    lots: list[LotSumJson]


class TransactionJson(msgspec.Struct, rename="camel"):
    """`credits` is signed: what the available balance changed by."""

    transaction_id: str
    type: str
    credits: int
    credits_paid: int
    credits_bonus: int
    balance_before: int
    balance_after: int
    seq: int
    source: str
    source_id: str
    created_at: datetime


class TransactionsJson(msgspec.Struct, rename="camel"):
    """`nextCursor` asks for the page after this one; null means that this was the last."""

    transactions: list[TransactionJson]
    next_cursor: str | None


class PackJson(msgspec.Struct, rename="camel"):
    """`priceMinor` is in the minor unit of its currency (paise for INR)."""

    pack_id: str
    version: int
    name: str
    price_minor: int
    currency: str
    credits_paid: int
    credits_bonus: int
    credits_total: int


def wallet_json(wallet: Wallet | None, lots: Sequence[LotSum]) -> WalletJson:
    if wallet is None:
        return WalletJson(None, 0, 0, 0, 0, [])
    return WalletJson(
        ids.encode("wal", wallet.id),
        wallet.available,
        wallet.locked,
        wallet.pending,
        wallet.lifetime_purchased,
        [LotSumJson(lot.expires_at, lot.paid, lot.bonus) for lot in lots],
    )


def transactions_json(transactions: Sequence[Transaction], next_cursor: str | None) -> TransactionsJson:
    return TransactionsJson([_transaction_json(done) for done in transactions], next_cursor)


def _transaction_json(done: Transaction) -> TransactionJson:
    return TransactionJson(
        ids.encode("wtx", done.id), done.type, done.credits, done.credits_paid, done.credits_bonus,
        done.balance_before, done.balance_after, done.seq, done.source, done.source_id, done.created_at,
    )  # fmt: skip


def pack_json(pack: Pack) -> PackJson:
    return PackJson(
        pack.pack_id, pack.version, pack.name, pack.price.minor, pack.price.currency,
        pack.credits_paid, pack.credits_bonus, pack.credits_paid + pack.credits_bonus,
    )  # fmt: skip
