"""Razorpay's settlements and the report of what is in them: build the request, parse the page. Pure.

A settlement shows what reached the bank and nothing of what it is made of. That stands in the report of its day, by
which payments, refunds and fees are told apart (`with_rows`).
"""

import json
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from loguru import logger

from common.money import EXPONENTS, Money
from gateways import Unknown
from gateways.bounds import MINOR_MAX
from gateways.client import HttpRequest
from gateways.json_duplicates import has_duplicate_keys
from gateways.json_repair import UNREADABLE, repairing
from gateways.razorpay.answers import PAGE_ITEMS, id_of, items_of, reference_of, time_of, unanswered
from gateways.razorpay.refunds import TAG
from gateways.settlements import (
    RowKind,
    SettlementRow,
    SettlementSnapshot,
    SettlementStatus,
    SettlementWindow,
)

# Razorpay's maximum for the report; a row is 0.5 to 1 KB.
REPORT_ROWS: Final = 1_000
_REPORT_BYTES_MAX: Final = 8 << 20
# A million rows of one day.
REPORT_PAGES_MAX: Final = 1_000
_CURRENCY: Final = "INR"
_INDIA: Final = timezone(timedelta(hours=5, minutes=30))

T = TypeVar("T")

# "created" and what nobody knows yet is on its way; "failed" is tried again.
_STATUS = {
    "processed": SettlementStatus.SETTLED,
    "failed": SettlementStatus.ON_HOLD,
}
_KIND = {
    "payment": RowKind.PAYMENT,
    "refund": RowKind.REFUND,
}


def build_get_settlements(window: SettlementWindow, skip: int) -> HttpRequest:
    """GET /v1/settlements: those of the window's days in India's time."""
    first = datetime.combine(window.first, time.min, _INDIA)
    last = datetime.combine(window.last + timedelta(days=1), time.min, _INDIA) - timedelta(seconds=1)
    query = {"from": int(first.timestamp()), "to": int(last.timestamp()), "count": PAGE_ITEMS, "skip": skip}
    return HttpRequest("read_settlements", "GET", f"/v1/settlements?{urlencode(query)}")


def build_get_settlement(gateway_settlement_id: str) -> HttpRequest:
    return HttpRequest("read_settlement", "GET", f"/v1/settlements/{quote(gateway_settlement_id, safe='')}")


def build_get_report(day: date, skip: int) -> HttpRequest:
    """GET /v1/settlements/recon/combined: everything that was settled on *day*, in all its settlements."""
    query = {
        "year": f"{day.year:04}",
        "month": f"{day.month:02}",
        "day": f"{day.day:02}",
        "count": REPORT_ROWS,
        "skip": skip,
    }
    path = f"/v1/settlements/recon/combined?{urlencode(query)}"
    return HttpRequest("read_settlement_rows", "GET", path, answer_bytes_max=_REPORT_BYTES_MAX)


# ── Settlements ──────────────────────────────────────────────────────────────────────────────────────────────────


class _Settlement(msgspec.Struct):
    id: str
    status: str
    amount: int
    fees: int | None = None
    tax: int | None = None
    utr: Any = None
    created_at: Any = None


_decode_settlement = repairing(msgspec.json.Decoder(_Settlement).decode)
_SETTLEMENT_DECISIVE: Final = (b'"id"', b'"status"', b'"amount"', b'"fees"', b'"tax"')


def parse_get_settlements(status: int, body: bytes) -> Sequence[SettlementSnapshot | None] | Unknown:
    """A page of GET /v1/settlements, each without its rows; None for one that cannot be read."""
    items = items_of(status, body)
    if isinstance(items, Unknown):
        return items
    return [_read("settlement", item, _settlement) for item in items]


def parse_get_settlement(gateway_settlement_id: str, status: int, body: bytes) -> SettlementSnapshot | Unknown:
    """The answer to GET /v1/settlements/{id}, without its rows."""
    if status != 200:
        return unanswered(status)
    settlement = _read("settlement", body, _settlement)
    if settlement is None:
        return Unknown("unreadable")
    return settlement if settlement.gateway_settlement_id == gateway_settlement_id else Unknown("foreign_settlement")


def status_of(word: str) -> SettlementStatus:
    return _STATUS.get(word, SettlementStatus.PENDING)


def day_of(settlement: SettlementSnapshot) -> date | None:
    """The day in India's time whose report has the settlement's rows."""
    return settlement.settled_at.astimezone(_INDIA).date() if settlement.settled_at else None


def with_rows(settlement: SettlementSnapshot, rows: Sequence[SettlementRow]) -> SettlementSnapshot | None:
    """*settlement* with what its rows say it is made of; None when it was paid out and the report does not say of what.

    What the rows do not explain counts as an adjustment, so that the parts add up to what reached the bank.
    """
    own = [row for row in rows if row.gateway_settlement_id == settlement.gateway_settlement_id]
    if not own:
        is_paid_out = settlement.status is SettlementStatus.SETTLED and settlement.net.minor != 0
        return None if is_paid_out else settlement
    gross = sum(row.amount.minor for row in own if row.kind is not RowKind.ADJUSTMENT)
    fee = settlement.fee.minor + sum(row.fee.minor for row in own)
    fee_tax = settlement.fee_tax.minor + sum(row.fee_tax.minor for row in own)
    return msgspec.structs.replace(
        settlement,
        gross=Money(gross),
        fee=Money(fee),
        fee_tax=Money(fee_tax),
        adjustment=Money(gross - fee - fee_tax - settlement.net.minor),
    )


def _settlement(item: bytes) -> SettlementSnapshot:
    entity = _decode_settlement(item)
    own_id = id_of(entity.id)
    if not own_id:
        raise ValueError("a settlement without its id")
    if has_duplicate_keys(item, _SETTLEMENT_DECISIVE, 1):
        raise ValueError("a key is repeated")
    net, fees, tax = _bounded(entity.amount), _bounded(entity.fees or 0), _bounded(entity.tax or 0)
    return SettlementSnapshot(
        gateway_settlement_id=own_id,
        utr=reference_of(entity.utr),
        status=status_of(entity.status),
        gross=Money(net + fees),
        # The fee includes the tax on it, as everywhere at Razorpay.
        fee=Money(fees - tax),
        fee_tax=Money(tax),
        adjustment=Money(0),
        net=Money(net),
        settled_at=time_of(entity.created_at),
    )


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Row(msgspec.Struct):
    entity_id: str
    type: str
    amount: int
    debit: int | None = None
    credit: int | None = None
    fee: int | None = None
    tax: int | None = None
    currency: str | None = None
    settlement_id: Any = None
    settlement_utr: Any = None
    payment_id: Any = None
    order_receipt: Any = None
    dispute_id: Any = None
    notes: Any = None
    settled_at: Any = None
    created_at: Any = None


_decode_row = repairing(msgspec.json.Decoder(_Row).decode)
_ROW_DECISIVE: Final = (b'"entity_id"', b'"type"', b'"amount"', b'"debit"', b'"credit"', b'"fee"', b'"tax"')


def parse_get_report(status: int, body: bytes) -> Sequence[SettlementRow | None] | Unknown:
    """A page of the report: rows of all the day's settlements; None for one that cannot be read."""
    items = items_of(status, body)
    if isinstance(items, Unknown):
        return items
    return [_read("settlement row", item, _row) for item in items]


def _row(item: bytes) -> SettlementRow:
    row = _decode_row(item)
    own_id = id_of(row.entity_id)
    if not own_id or not row.type.isidentifier() or len(row.type) > 32 or not row.type.isascii():
        raise ValueError("a row without its id or its type")
    if has_duplicate_keys(item, _ROW_DECISIVE, 1):
        raise ValueError("a key is repeated")
    currency = row.currency or _CURRENCY
    if currency not in EXPONENTS:
        raise ValueError("not an amount")
    net = _bounded(row.credit or 0) - _bounded(row.debit or 0)
    kind = _KIND.get(row.type, RowKind.ADJUSTMENT)
    is_debit = net < 0 or (net == 0 and kind is RowKind.REFUND)
    amount = -abs(_bounded(row.amount)) if is_debit else abs(_bounded(row.amount))
    dispute_id = id_of(row.dispute_id)
    if kind is RowKind.ADJUSTMENT and dispute_id:
        kind = RowKind.DISPUTE
    # Fees that are billed apart are in neither amount: what was taken off here is what counts.
    fee_tax = _bounded(row.tax or 0) if amount != net else 0
    return SettlementRow(
        row_id=f"{row.type}:{own_id}",
        gateway_settlement_id=id_of(row.settlement_id),
        kind=kind,
        order_id=reference_of(row.order_receipt),
        gateway_payment_id=own_id if kind is RowKind.PAYMENT else id_of(row.payment_id),
        reference=dispute_id if kind is RowKind.DISPUTE else _refund_id(row.notes, own_id, kind),
        amount=Money(amount, currency),
        fee=Money(amount - net - fee_tax, currency),
        fee_tax=Money(fee_tax, currency),
        net=Money(net, currency),
        at=time_of(row.settled_at) or time_of(row.created_at),
        utr=reference_of(row.settlement_utr),
    )


def _refund_id(notes: object, gateway_refund_id: str, kind: RowKind) -> str:
    """Ours from the refund's notes, which the report has as a text; the gateway's id for a refund of its dashboard."""
    if kind is not RowKind.REFUND:
        return ""
    try:
        read = json.loads(notes) if isinstance(notes, str) else notes
    except (ValueError, RecursionError):
        read = None
    return (reference_of(read.get(TAG)) if isinstance(read, dict) else "") or gateway_refund_id


def _bounded(minor: int) -> int:
    if abs(minor) > MINOR_MAX:
        raise ValueError("more than anybody pays")
    return minor


def _read(what: str, item: bytes, read: Callable[[bytes], T]) -> T | None:
    try:
        return read(item)
    except UNREADABLE:
        logger.bind(bytes=len(item)).warning("a {} cannot be read", what)
        return None
