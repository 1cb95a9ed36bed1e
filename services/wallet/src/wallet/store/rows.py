"""Rows to the domain's values, by the names of their columns; shared by commands and queries."""

from collections.abc import Sequence

from common.database import Row
from common.money import Money
from wallet.domain.wallets import Lot, LotKind, Owner, Pack, Transaction, TransactionType, Wallet

# Looked up rather than called: an enum's constructor costs more than the rest of a lot.
_LOT_KINDS = {kind.value: kind for kind in LotKind}
_TYPES = {type.value: type for type in TransactionType}

# The columns that `transaction` reads, of a transaction `t` and its wallet `w`.
TRANSACTION = """
t.transaction_id, t.wallet_id, w.merchant_id, w.owner_kind, w.owner_id, t.type, t.credits_paid, t.credits_bonus,
t.value_minor, w.currency, t.balance_before, t.balance_after, t.seq, t.source, t.source_id, t.operation_key,
t.created_at
"""


def owner_columns(owners: Sequence[Owner]) -> dict[str, list[str]]:
    """*owners* as the arrays that a statement unnests."""
    return {
        "merchant_ids": [owner.merchant_id for owner in owners],
        "kinds": [owner.kind for owner in owners],
        "owner_ids": [owner.id for owner in owners],
    }


def wallet(row: Row) -> Wallet:
    """A wallet without its lots."""
    return Wallet(
        row["wallet_id"], _owner(row), row["currency"], row["available"], row["locked"], row["pending"],
        row["lifetime_purchased"], row["seq"],
    )  # fmt: skip


def lot(row: Row) -> Lot:
    return Lot(
        row["lot_id"], _LOT_KINDS[row["kind"]], row["payment_id"], row["granted"], row["remaining"],
        row["value_minor"], row["value_left_minor"], row["priority"], row["expires_at"],
    )  # fmt: skip


def transaction(row: Row) -> Transaction:
    """A transaction without the lots that paid it."""
    return Transaction(
        row["transaction_id"], row["wallet_id"], _owner(row), _TYPES[row["type"]], row["credits_paid"],
        row["credits_bonus"], row["value_minor"], row["currency"], row["balance_before"], row["balance_after"],
        row["seq"], row["source"], row["source_id"], row["operation_key"], row["created_at"],
    )  # fmt: skip


def pack(row: Row) -> Pack:
    return Pack(
        row["pack_id"], row["version"], row["name"], Money(row["price_minor"], row["currency"]), row["credits_paid"],
        row["credits_bonus"],
    )  # fmt: skip


def _owner(row: Row) -> Owner:
    return Owner(row["merchant_id"], row["owner_kind"], row["owner_id"])
