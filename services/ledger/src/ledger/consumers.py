"""Doors from the queues: ledger.posting and audit.log."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from commdesk.common.v1.events_pb2 import AuditRecorded
from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.wallet.v1.events_pb2 import WalletCredited, WalletDebited
from common.consuming import Refused, Subscription
from common.database import Tx
from ledger import use_cases, wire
from ledger.domain import AuditRecord, Occurrence


async def on_financial_events(tx: Tx, occurrences: Sequence[Occurrence]) -> list[Refused]:
    """What the book cannot take now it cannot take later either: it goes to the dead letters, for a person."""
    refused = await use_cases.post_journals(tx, occurrences)
    return [Refused(occurrence, error, for_good=True) for occurrence, error in refused]


async def on_audit_recorded(tx: Tx, records: Sequence[AuditRecord]) -> None:
    await use_cases.keep_audit(tx, records)


# An event brings rows of its own and shares none with others, but what a transaction costs whatever its size.
EVENTS_MAX = 1024


def subscriptions() -> tuple[Subscription, ...]:
    # Nobody waits for the books: what is asked at once (is it paid, what is left) others answer from their own tables.
    posting = partial(Subscription, "ledger.posting", handle=on_financial_events, unhurried=True, events_max=EVENTS_MAX)
    return (
        posting(message=PaymentSucceeded, decode=wire.payment_succeeded),
        posting(message=WalletCredited, decode=wire.wallet_credited),
        posting(message=WalletDebited, decode=wire.wallet_debited),
        Subscription("audit.log", AuditRecorded, wire.audit_recorded, on_audit_recorded, unhurried=True),
    )
