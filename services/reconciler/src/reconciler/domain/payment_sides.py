"""What rules about one payment read of it, and how they say what is wrong."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from reconciler.domain.differences import Kind, difference, side
from reconciler.domain.records import PaymentFacts, PaymentRecord, SettlementRow
from reconciler.domain.runs import Evidence, Finding

# A rule yields what is wrong now, or the moment from which on it would be.
Outcomes = Iterator[Finding | datetime]
OPEN_REFUNDS: Final = frozenset({"INITIATED", "PROCESSING"})


def rows_that_count(facts: PaymentFacts) -> list[SettlementRow]:
    """Rows whose money was not sent back: a reversed settlement is settled again in another."""
    return [row for row in facts.rows if row_status(facts, row) != "REVERSED"]


def settled_at(facts: PaymentFacts) -> datetime | None:
    """When the payment's own row reached the bank; None while it has not."""
    own, _ = payment_rows(facts)
    moments = [
        (each.settled_at if (each := facts.settlements.get(row.settlement_id)) else None) or row.at
        for row in own
        if row_status(facts, row) == "SETTLED"
    ]
    return min((moment for moment in moments if moment), default=None)


def row_status(facts: PaymentFacts, row: SettlementRow) -> str:
    settlement = facts.settlements.get(row.settlement_id)
    return settlement.status if settlement is not None else "SETTLED" if row.utr else "PENDING"


def payment_rows(facts: PaymentFacts) -> tuple[list[SettlementRow], list[SettlementRow]]:
    """Rows of the payment's own transaction, and of others of the same order: second captures."""
    rows = [row for row in rows_that_count(facts) if row.kind == "PAYMENT"]
    own_id = facts.record.gateway_payment_id or (rows[0].gateway_payment_id if rows else "")
    own = [row for row in rows if row.gateway_payment_id == own_id]
    return own, [row for row in rows if row.gateway_payment_id != own_id]


def about(record: PaymentRecord, kind: Kind, amount: int, detail: str, *evidence: Evidence, of: str = "") -> Finding:
    return difference(
        kind,
        of or record.payment_id,
        amount,
        record.currency,
        detail,
        *evidence,
        payment_id=record.payment_id,
        merchant_id=record.merchant_id,
    )


def ours(record: PaymentRecord) -> Evidence:
    return side(
        "payment",
        status=record.status,
        amount=record.amount_minor,
        currency=record.currency,
        orderId=record.order_id,
        gatewayPaymentId=record.gateway_payment_id,
        paidAt=record.paid_at.isoformat() if record.paid_at else "",
    )


def theirs(row: SettlementRow) -> Evidence:
    return side(
        "gateway",
        settlementId=row.settlement_id,
        rowId=row.row_id,
        kind=row.kind,
        amount=row.amount_minor,
        currency=row.currency,
        fee=row.fee_minor,
        feeTax=row.fee_tax_minor,
        net=row.net_minor,
        gatewayPaymentId=row.gateway_payment_id,
        utr=row.utr,
    )
