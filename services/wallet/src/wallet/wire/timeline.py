"""The wallet's part of a timeline, as operators read it."""

from collections.abc import Sequence

from common import ids
from common.delivery import Timeline, TimelineEntry
from wallet.domain.wallets import TimelineSubject, Transaction, TransactionType


def subject(reference: str) -> TimelineSubject:
    """What *reference* names; what is none of our ids is an owner's. Raises IdInvalid."""
    match reference.partition("_")[0]:
        case "pay":
            return TimelineSubject(payment_id=ids.decode("pay", reference))
        case "wal":
            return TimelineSubject(wallet_id=ids.decode("wal", reference))
        case "wtx":
            return TimelineSubject(transaction_id=ids.decode("wtx", reference))
        case _:
            return TimelineSubject(owner_id=reference)


def timeline(transactions: Sequence[Transaction]) -> Timeline:
    references = {ids.encode("wal", transaction.wallet_id) for transaction in transactions}
    references |= {transaction.owner.id for transaction in transactions}
    references |= {each.source_id for each in transactions if each.type is not TransactionType.CONSUME}
    return Timeline([_entry(transaction) for transaction in transactions], sorted(references))


def _entry(transaction: Transaction) -> TimelineEntry:
    balances = f"{transaction.balance_before} → {transaction.balance_after}"
    fields = {
        "walletId": ids.encode("wal", transaction.wallet_id),
        "transactionId": ids.encode("wtx", transaction.id),
        "seq": str(transaction.seq),
        "paid": str(transaction.credits_paid),
        "bonus": str(transaction.credits_bonus),
        "locked": str(transaction.locked),
        "debt": str(transaction.debt),
        "valueMinor": str(transaction.value_minor),
        "source": transaction.source,
        "sourceId": transaction.source_id,
        "operationKey": transaction.operation_key,
    }
    summary = f"{transaction.type.lower()} {transaction.credits:+} credits: {balances}"
    for name, change in (("locked", transaction.locked), ("owed", transaction.debt)):
        summary += f", {name} {change:+}" if change else ""
    return TimelineEntry(transaction.created_at, "wallet_transaction", summary, fields)
