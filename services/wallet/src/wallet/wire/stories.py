"""Stories, as operators read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common import ids
from common.delivery import Story, StoryEntry
from wallet.domain import Transaction, TransactionType

_MEANT = {"pay": "payment_id", "wal": "wallet_id", "wtx": "transaction_id"}


def meant(reference: str) -> dict[str, Any]:
    """What a reference names, as a keyword of `store.story_transactions`; what is none of our ids is an owner's."""
    name = _MEANT.get(reference[:3])
    return {name: ids.decode(reference[:3], reference)} if name else {"owner_id": reference}


def story(transactions: Sequence[Transaction]) -> Story:
    references = {ids.encode("wal", done.wallet_id) for done in transactions}
    references |= {done.owner.id for done in transactions}
    references |= {done.source_id for done in transactions if done.type is TransactionType.GRANT}
    return Story([_story_entry(done) for done in transactions], sorted(references))


def _story_entry(done: Transaction) -> StoryEntry:
    summary = f"{done.type.lower()} {done.credits:+} credits: {done.balance_before} → {done.balance_after}"
    fields = {
        "walletId": ids.encode("wal", done.wallet_id),
        "transactionId": ids.encode("wtx", done.id),
        "seq": str(done.seq),
        "paid": str(done.credits_paid),
        "bonus": str(done.credits_bonus),
        "valueMinor": str(done.value_minor),
        "source": done.source,
        "sourceId": done.source_id,
        "operationKey": done.operation_key,
    }
    return StoryEntry(done.created_at, "wallet_transaction", summary, fields)
