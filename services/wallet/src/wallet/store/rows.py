"""Rows to the domain's values, by the names of their columns; shared by commands and queries."""

from collections.abc import Sequence

from common.database import Row
from common.money import Money
from wallet.domain.debts import Debt
from wallet.domain.holds import Hold, HoldState, SpentCredits
from wallet.domain.wallets import Burn, Lot, LotKind, Owner, Pack, PaymentGrant, Transaction, TransactionType, Wallet

# Looked up rather than called: an enum's constructor costs more than the rest of a lot.
_LOT_KINDS = {kind.value: kind for kind in LotKind}
_TYPES = {type.value: type for type in TransactionType}

# The columns that `transaction` reads, of a transaction `t` and its wallet `w`.
TRANSACTION = """
t.transaction_id, t.wallet_id, w.merchant_id, w.owner_kind, w.owner_id, t.type, t.credits_paid, t.credits_bonus,
t.value_minor, w.currency, t.balance_before, t.balance_after, t.seq, t.source, t.source_id, t.operation_key,
t.created_at, t.locked, t.debt
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
        row["wallet_id"], owner(row), row["currency"], row["available"], row["locked"], row["pending"],
        row["lifetime_purchased"], row["seq"], row["debt"],
    )  # fmt: skip


def lot(row: Row) -> Lot:
    return Lot(
        row["lot_id"], _LOT_KINDS[row["kind"]], row["payment_id"], row["granted"], row["remaining"],
        row["value_minor"], row["value_left_minor"], row["priority"], row["expires_at"],
    )  # fmt: skip


def held_lot(row: Row) -> Lot:
    """A lot with what holds took out of it."""
    known = lot(row)
    known.held, known.held_value_minor = row["held"], row["held_value_minor"]
    return known


def debt(row: Row) -> Debt:
    return Debt(
        row["hold_id"], row["wallet_id"], row["credits"], row["settled_paid"], row["settled_bonus"], row["forgiven"]
    )


def hold(row: Row) -> Hold:
    """A hold with its wallet's owner and currency, and what its LOCK took out of which lot."""
    taken = zip(row["burnt_lots"] or (), row["burnt_credits"] or (), row["burnt_value"] or (), strict=True)
    return Hold(
        row["hold_id"], row["wallet_id"], owner(row), row["operation_key"], row["payment_id"],
        SpentCredits(row["policy"]), row["credits_paid"], row["credits_bonus"], row["missing_paid"],
        row["missing_bonus"], row["value_paid_minor"], row["value_bonus_minor"], row["currency"],
        HoldState(row["state"]), row["transaction_id"], [Burn(*each) for each in taken],
    )  # fmt: skip


def transaction(row: Row) -> Transaction:
    """A transaction without the lots that paid it."""
    return Transaction(
        row["transaction_id"], row["wallet_id"], owner(row), _TYPES[row["type"]], row["credits_paid"],
        row["credits_bonus"], row["value_minor"], row["currency"], row["balance_before"], row["balance_after"],
        row["seq"], row["source"], row["source_id"], row["operation_key"], row["created_at"],
        locked=row["locked"], debt=row["debt"],
    )  # fmt: skip


def pack(row: Row) -> Pack:
    return Pack(
        row["pack_id"], row["version"], row["name"], Money(row["price_minor"], row["currency"]), row["credits_paid"],
        row["credits_bonus"],
    )  # fmt: skip


def owner(row: Row) -> Owner:
    return Owner(row["merchant_id"], row["owner_kind"], row["owner_id"])


def payment_grant(row: Row) -> PaymentGrant:
    return PaymentGrant(
        row["payment_id"], owner(row), int(row["credits_paid"]), int(row["credits_bonus"]), int(row["granted_again"]),
        int(row["reversed"]), int(row["value_minor"]), row["currency"], row["grants"],
    )  # fmt: skip
