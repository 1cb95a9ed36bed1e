"""The only SQL: `moving` is the money path, `reading` answers questions."""

from wallet.store.moving import done_before, load_lots, lock, open_wallets, save
from wallet.store.reading import (
    lot_sums,
    mismatched,
    packs_on_sale,
    story_transactions,
    totals,
    transactions_page,
    wallets_by_id,
    wallets_of,
)

__all__ = [
    "done_before",
    "load_lots",
    "lock",
    "lot_sums",
    "mismatched",
    "open_wallets",
    "packs_on_sale",
    "save",
    "story_transactions",
    "totals",
    "transactions_page",
    "wallets_by_id",
    "wallets_of",
]
