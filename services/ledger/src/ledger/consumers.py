"""Queue consumers: ledger.posting and audit.log."""

from collections.abc import Sequence
from functools import partial

from commdesk.common.v1.events_pb2 import AuditRecorded
from commdesk.payment.v1.disputes_pb2 import PaymentDisputed, PaymentDisputeLost, PaymentDisputeWon
from commdesk.payment.v1.events_pb2 import PaymentReceiptRefunded, PaymentReceived, PaymentSucceeded
from commdesk.payment.v1.refunds_pb2 import PaymentRefunded, RefundReversed
from commdesk.payment.v1.settlements_pb2 import SettlementImported
from commdesk.wallet.v1.events_pb2 import (
    WalletCredited,
    WalletDebited,
    WalletDebtSettled,
    WalletLocked,
    WalletReleased,
    WalletReversed,
)
from common.database import Tx
from common.errors import DomainError
from common.subscriptions import Subscription
from ledger.domain.audit import AuditRecord
from ledger.domain.journals import FinancialEvent
from ledger.use_cases import books
from ledger.wire import audit
from ledger.wire import events as wire


async def on_financial_events(tx: Tx, events: Sequence[FinancialEvent]) -> list[DomainError | None]:
    """Post each event's journals. What the book cannot take now it cannot take later: its errors are permanent."""
    return await books.post_journals(tx, events)


async def on_audits_recorded(tx: Tx, records: Sequence[AuditRecord]) -> None:
    """Keep each record, once."""
    await books.keep_audit(tx, records)


# An event brings rows of its own and shares none with others, but what a transaction costs whatever its size.
EVENTS_MAX = 1024


def subscriptions() -> list[Subscription]:
    # Nobody waits for the books: whether it is paid and what is left, others answer from their own tables.
    posting = partial(
        Subscription, "ledger.posting", handle=on_financial_events, low_priority=True, events_max=EVENTS_MAX
    )
    return [
        posting(message=PaymentSucceeded, decode=wire.payment_succeeded),
        posting(message=PaymentReceived, decode=wire.payment_received),
        posting(message=PaymentReceiptRefunded, decode=wire.payment_receipt_refunded),
        posting(message=WalletCredited, decode=wire.wallet_credited),
        posting(message=WalletDebited, decode=wire.wallet_debited),
        posting(message=PaymentRefunded, decode=wire.payment_refunded),
        posting(message=RefundReversed, decode=wire.refund_reversed),
        posting(message=PaymentDisputed, decode=wire.payment_disputed),
        posting(message=PaymentDisputeWon, decode=wire.payment_dispute_won),
        posting(message=PaymentDisputeLost, decode=wire.payment_dispute_lost),
        posting(message=SettlementImported, decode=wire.settlement_imported),
        posting(message=WalletLocked, decode=wire.wallet_locked),
        posting(message=WalletReleased, decode=wire.wallet_released),
        posting(message=WalletReversed, decode=wire.wallet_reversed),
        posting(message=WalletDebtSettled, decode=wire.wallet_debt_settled),
        Subscription("audit.log", AuditRecorded, audit.audit_recorded, on_audits_recorded, low_priority=True),
    ]
