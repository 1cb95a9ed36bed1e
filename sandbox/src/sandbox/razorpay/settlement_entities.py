"""Settlements and the rows inside them as API answers and webhooks."""

from datetime import datetime
from typing import Any

from sandbox.clock import IST
from sandbox.razorpay.domain import Row, Settlement


def entity(it: Settlement) -> dict[str, Any]:
    """Fees and tax are those of the transfer itself: none. Those of the payments are in their rows."""
    return {
        "id": it.id,
        "entity": "settlement",
        "amount": it.amount,
        "status": it.status,
        "fees": 0,
        "tax": 0,
        "utr": it.utr or None,
        "created_at": it.created_at,
    }


def row(of: Settlement, it: Row) -> dict[str, Any]:
    """An item of GET /settlements/recon/combined."""
    is_card = it.method == "card"
    return {
        "entity_id": it.entity_id,
        "type": it.type,
        "debit": it.debit,
        "credit": it.credit,
        "amount": abs(it.amount),
        "currency": it.currency,
        "fee": it.fee,
        "tax": it.tax,
        "on_hold": False,
        "settled": of.status == "processed",
        "created_at": it.created_at,
        "settled_at": of.processed_at,
        "settlement_id": of.id,
        "posted_at": None,
        "credit_type": "default",
        "description": it.description,
        "notes": None,
        "payment_id": it.payment_id,
        "settlement_utr": it.utr or of.utr or None,
        "order_id": it.order_id,
        "order_receipt": it.order_receipt,
        "method": it.method,
        "card_network": it.card_network,
        "card_issuer": "HDFC" if is_card else None,
        "card_type": "credit" if is_card else None,
        "dispute_id": it.dispute_id,
    }


def day_of(it: Settlement) -> dict[str, int]:
    """The day in India on which it was settled, as recon asks for it."""
    day = datetime.fromtimestamp(it.processed_at or it.created_at, IST)
    return {"year": day.year, "month": day.month, "day": day.day}
