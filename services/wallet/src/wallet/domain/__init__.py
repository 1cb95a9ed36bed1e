"""Wallets, lots and what may happen to them: pure, and written for batches."""

from wallet.domain.batch import Book, Result, apply, lots_of
from wallet.domain.errors import (
    InvalidConsumption,
    InvalidGrant,
    OperationKeyReused,
    WalletCurrencyMismatch,
    WalletInsufficientCredits,
)
from wallet.domain.operations import CREDITS_MAX, GRANT_KEY, Consumption, Grant, Operation, ScopedKey, refusal_of
from wallet.domain.wallets import (
    OWNER_KINDS,
    Burn,
    Lot,
    LotKind,
    LotSum,
    Owner,
    Pack,
    Transaction,
    TransactionType,
    Wallet,
    burn_order,
)

__all__ = [
    "CREDITS_MAX",
    "GRANT_KEY",
    "OWNER_KINDS",
    "Book",
    "Burn",
    "Consumption",
    "Grant",
    "InvalidConsumption",
    "InvalidGrant",
    "Lot",
    "LotKind",
    "LotSum",
    "Operation",
    "OperationKeyReused",
    "Owner",
    "Pack",
    "Result",
    "ScopedKey",
    "Transaction",
    "TransactionType",
    "Wallet",
    "WalletCurrencyMismatch",
    "WalletInsufficientCredits",
    "apply",
    "burn_order",
    "lots_of",
    "refusal_of",
]
